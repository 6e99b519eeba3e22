//! The client's errors before the load: one clear line on standard error, nothing on standard
//! output, exit code 1.

use std::net::TcpListener;
use std::process::Command;

use crate::servers::{good, run};

/// Checks that nothing ran and returns standard error.
fn refused(arguments: &[&str]) -> String {
    let answer = run(arguments);
    assert_eq!(answer.code, Some(1), "{arguments:?}: {answer:?}");
    assert_eq!(answer.stdout, "", "{arguments:?}");
    answer.stderr
}

#[test]
fn bad_arguments_are_refused_before_anything_starts() {
    // Never accepts: a connection would wait in the backlog.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let target = &*listener.local_addr().unwrap().to_string();
    let cases: [(&[&str], &str); 15] = [
        (&[target, "--duration", "10"], "write a number and a unit"),
        (&[target, "--duration", "0s"], "write a duration above 0"),
        (&[target, "--warmup", "1 s"], "write a number and a unit"),
        (&[target, "--size", "1kB"], "write bytes, or a number and"),
        (&[target, "--size", "0"], "at least one byte"),
        (&[target, "--size", "2GiB"], "at most 1GiB"),
        (&[target, "--connections", "0"], "0 is not in 1.."),
        (&[target, "--pipeline", "0"], "0 is not in 1..=65536"),
        (
            &[target, "--lanes", "9", "--connections", "8"],
            "more lanes than connections",
        ),
        (
            &[target, "--poller", "kqueue"],
            "possible values: auto, io_uring, epoll",
        ),
        (
            &[target, "--count", "1", "--duration", "1s"],
            "cannot be used with",
        ),
        (
            &[target, "--connections", "4000000000"],
            "descriptors are needed",
        ),
        (
            &[target, "--server-pid", "4294967295"],
            "/proc/4294967295/stat",
        ),
        (
            &[target, "--json", "/nowhere/at/all"],
            "cannot write /nowhere/at/all",
        ),
        (&["127.0.0.1"], "is not HOST:PORT"),
    ];
    for (arguments, message) in cases {
        let stderr = refused(&[&["run"], arguments].concat());
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
    let waiting = listener.accept().map(drop).unwrap_err();
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn bad_arguments_of_the_other_verbs_are_refused() {
    let cases: [(&[&str], &str); 15] = [
        (&["run", "h:1", "--rate", "80 k"], "messages a second"),
        (&["run", "h:1", "--rate", "0"], "messages a second"),
        (&["run", "h:1", "--size", "64:90,16k"], "has no share"),
        (&["run", "h:1", "--size", "lognormal:1k"], "lognormal:1k,2"),
        (&["run", "h:1", "--source", "127.0.0.9-2"], "ends before"),
        (
            &["run", "127.0.0.1:1", "--source", "192.0.2.1"],
            "--source 192.0.2.1: cannot bind",
        ),
        (
            &["run", "127.0.0.1:1", "--congestion", "warp"],
            "--congestion warp: this kernel supports",
        ),
        (&["run", "h:1", "--proxy", "v3"], "possible values: v1, v2"),
        (&["run", "h:1", "--fail-if", "p99=2ms"], "write p99<1ms"),
        (&["sweep", "h:1"], "--slo <CONDITION>"),
        (
            &[
                "sweep", "h:1", "--slo", "p99<1ms", "--from", "2k", "--to", "1k",
            ],
            "the first rate is above the highest",
        ),
        (
            &["churn", "h:1", "--close", "x"],
            "possible values: fin, rst",
        ),
        (&["bulk", "h:1", "--direction", "x"], "up, down, both"),
        (
            &["bulk", "h:1", "--streams", "2", "--lanes", "3"],
            "--lanes 3: more lanes than connections (--streams 2)",
        ),
        (
            &["duel", "A=h:1", "A=h:2"],
            "the two targets need different names",
        ),
    ];
    for (arguments, message) in cases {
        let stderr = refused(arguments);
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_unknown_host_is_named() {
    // RFC 6761: no name below `invalid` exists.
    let stderr = refused(&["run", "nobody.invalid:7007"]);
    let start = "corelane-bench: cannot resolve \"nobody.invalid:7007\": ";
    assert!(stderr.starts_with(start), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn too_many_connections_are_refused_with_the_limit_on_descriptors() {
    let bench = env!("CARGO_BIN_EXE_corelane-bench");
    let command = format!("ulimit -n 100; exec '{bench}' run 127.0.0.1:1 --connections 1000");
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let text = "--connections 1000: 1035 descriptors are needed and the limit is 100";
    assert!(stderr.contains(text), "{stderr}");
}

#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    let target = good();
    let bench = env!("CARGO_BIN_EXE_corelane-bench");
    let load = "-c 60 -n 60 -q";
    let command = format!("ulimit -Sn 40; exec '{bench}' run {target} {load}");
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    // On a busy machine the run may be INVALID (4).
    assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
}

#[test]
fn help_and_version_work() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["idle", "--help"],
        &["sweep", "--help"],
        &["churn", "--help"],
        &["bulk", "--help"],
        &["duel", "--help"],
        &["report", "--help"],
        &["compare", "--help"],
        &["--version"],
    ] {
        let answer = run(arguments);
        assert_eq!(
            (answer.code, &*answer.stderr),
            (Some(0), ""),
            "{arguments:?}"
        );
        assert!(!answer.stdout.is_empty());
    }
    assert_eq!(run(&[]).code, Some(1));
}
