//! Checks that `examples/deny_io_uring.rs` denies what it says, with the error it was told.
//!
//! Without this, "the whole suite passes with io_uring denied" would prove nothing: a filter that
//! had no effect would look the same. Each test runs this very program again below the runner.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::path::PathBuf;
use std::process::Command;

use corelane::poller::io_uring_refusal;
use io_uring::IoUring;

use self::require_io_uring::require_io_uring;

#[path = "../src/poller/require_io_uring.rs"]
mod require_io_uring;

/// Tells `probe` which error io_uring has to fail with.
const EXPECTED: &str = "CORELANE_EXPECTED_ERRNO";

#[test]
fn each_error_is_the_one_asked_for() {
    let cases: [(&[&str], i32); 4] = [
        (&[], libc::EPERM),
        (&["--errno", "EPERM"], libc::EPERM),
        (&["--errno", "ENOSYS"], libc::ENOSYS),
        (&["--errno", "ENOMEM"], libc::ENOMEM),
    ];
    for (flags, errno) in cases {
        let output = probe_below(flags, errno);
        assert!(output.contains("1 passed"), "{flags:?}: {output}");
    }
}

#[test]
fn probe_notices_another_error() {
    let output = probe_below(&["--errno", "ENOSYS"], libc::EPERM);
    assert!(output.contains("1 failed"), "{output}");
    assert!(
        output.contains(&format!("left: Some({})", libc::ENOSYS)),
        "{output}"
    );
}

#[test]
fn exit_code_is_the_commands_own() {
    let status = runner().args(["sh", "-c", "exit 7"]).status().unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
fn says_why_it_cannot_start() {
    let cases: [(&[&str], &str); 5] = [
        (&[], "usage: deny_io_uring"),
        (&["--errno"], "usage: deny_io_uring"),
        (&["--errno", "EPERM"], "usage: deny_io_uring"),
        (&["--errno", "EWRONG", "true"], "usage: deny_io_uring"),
        (&["/nonexistent/command"], "cannot run /nonexistent/command"),
    ];
    for (arguments, expected) in cases {
        let output = runner().args(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
    }
}

#[test]
#[ignore = "the other tests run it below the runner"]
fn probe() {
    let expected = env::var(EXPECTED).unwrap().parse().ok();
    assert_eq!(
        IoUring::new(2).err().and_then(|error| error.raw_os_error()),
        expected
    );
}

/// Where io_uring is refused, a test that uses it fails unless the refusal is meant.
#[test]
fn only_a_meant_refusal_skips_a_test() {
    let below = |variable: &[&str]| {
        let mut runner = runner();
        runner.arg("env").args(variable);
        print_of(runner.arg(env::current_exe().unwrap()), "probe_requires")
    };
    let meant = below(&[]);
    assert!(meant.contains("1 passed"), "{meant}");
    assert!(
        meant.contains("not run on io_uring: not permitted"),
        "{meant}"
    );
    for variable in [
        &["-u", "CORELANE_IO_URING_DENIED"][..],
        &["CORELANE_IO_URING_DENIED=0"],
    ] {
        let failed = below(variable);
        assert!(failed.contains("1 failed"), "{variable:?}: {failed}");
        let message = "io_uring is refused: not permitted, as by a container's seccomp filter; \
                       if that is meant, set CORELANE_IO_URING_DENIED=1";
        assert!(failed.contains(message), "{variable:?}: {failed}");
    }
}

#[test]
#[ignore = "the test above runs it below the runner"]
fn probe_requires() {
    assert!(!require_io_uring(io_uring_refusal()));
}

/// What the harness and the probe print.
fn probe_below(flags: &[&str], errno: i32) -> String {
    let mut runner = runner();
    runner.args(flags).arg(env::current_exe().unwrap());
    print_of(runner.env(EXPECTED, errno.to_string()), "probe")
}

/// Runs this program's test `name` and returns all that is printed.
fn print_of(program: &mut Command, name: &str) -> String {
    let program = program.args(["--ignored", "--exact", name, "--nocapture"]);
    let output = program.output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// The runner that `cargo test` built: examples lie beside the folder of the test programs.
fn runner() -> Command {
    let tests = env::current_exe().unwrap();
    let path: PathBuf = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/deny_io_uring");
    assert!(
        path.exists(),
        "{} is missing: cargo build --examples",
        path.display()
    );
    Command::new(path)
}
