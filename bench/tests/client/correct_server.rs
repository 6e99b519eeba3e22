//! The client against a correct echo server, on every poller: with every shape of load, all bytes
//! return correctly and are counted.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::channel;

use crate::servers::{Answer, client, echo, finish, good, pollers, run, serve, sound};
use serde_json::Value;

/// Runs a load with the JSON on standard output and checks the properties of every successful run.
fn good_run(target: &str, poller: &str, more: &[&str]) -> Value {
    let fixed = ["run", target, "--poller", poller, "--json", "-"];
    let answer = run(&[&fixed, more].concat());
    let json = sound(&answer);
    assert_eq!(json["shape"]["poller"], poller);
    json
}

#[test]
fn every_shape_of_load_is_verified_and_counted() {
    let target = good().to_string();
    // Connections, size, pipeline, lanes, messages.
    let shapes = [
        ["1", "1", "1", "1", "100"],
        ["1", "64", "1", "1", "1000"],
        ["50", "64", "1", "1", "5000"],
        ["7", "100", "1", "3", "1000"],
        ["3", "7", "64", "1", "3000"],
        ["2", "16KiB", "3", "2", "200"],
        ["2", "16385", "1", "1", "100"],
        ["3", "1MiB", "1", "1", "20"],
        ["2", "300k", "16", "1", "60"],
        ["20", "64", "1", "2", "7"],
    ];
    for &poller in pollers() {
        for [connections, size, pipeline, lanes, count] in shapes {
            let json = good_run(
                &target,
                poller,
                &[
                    "--connections",
                    connections,
                    "--size",
                    size,
                    "--pipeline",
                    pipeline,
                    "--lanes",
                    lanes,
                    "--count",
                    count,
                ],
            );
            let count: u64 = count.parse().unwrap();
            let size: u64 = json["shape"]["size"].as_str().unwrap().parse().unwrap();
            let (bytes, json) = (count * size, &json);
            assert_eq!(json["totals"]["messages"], count, "{poller} {json}");
            assert_eq!(
                json["latency"]["service"]["count"], count,
                "{poller} {json}"
            );
            assert_eq!(json["totals"]["sent_bytes"], bytes, "{poller} {json}");
            assert_eq!(json["totals"]["received_bytes"], bytes, "{poller} {json}");
            let opened: u64 = connections.parse().unwrap();
            assert_eq!(json["totals"]["connections_opened"], opened);
        }
    }
}

#[test]
fn an_echo_in_single_bytes_is_verified() {
    let target = serve(|mut stream| {
        let mut buffer = [0; 50];
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            for byte in &buffer[..bytes] {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        }
    });
    for &poller in pollers() {
        let load = ["--connections", "3", "--size", "333", "--count", "30"];
        good_run(&target.to_string(), poller, &load);
    }
}

#[test]
fn a_run_by_time_measures_after_the_warm_up() {
    let target = good().to_string();
    for &poller in pollers() {
        let time = ["--duration", "1s", "--warmup", "50ms"];
        let json = good_run(&target, poller, &time);
        assert!(json["totals"]["messages"].as_u64().unwrap() > 0, "{json}");
        assert_eq!(json["totals"]["elapsed_ns"], 1_000_000_000, "{json}");
        assert_eq!(json["shape"]["duration_ns"], 1_000_000_000, "{json}");
        assert_eq!(json["shape"]["warmup_ns"], 50_000_000, "{json}");
        assert_eq!(json["shape"]["connections"], 50, "{json}");
        let rate = json["totals"]["messages_per_second"].as_f64().unwrap();
        let expected = json["totals"]["messages"].as_f64().unwrap();
        assert!((rate - expected).abs() < 1e-6 * expected, "{json}");
    }
}

#[test]
fn a_warm_up_is_not_part_of_the_count() {
    let target = good().to_string();
    for &poller in pollers() {
        let load = ["--count", "500", "--warmup", "20ms", "--pipeline", "3"];
        let json = good_run(&target, poller, &load);
        assert_eq!(json["totals"]["messages"], 500, "{json}");
        assert_eq!(json["latency"]["service"]["count"], 500, "{json}");
    }
}

#[test]
fn the_text_contains_the_load_and_its_results() {
    let target = good().to_string();
    let answer = run(&["run", &target, "--count", "100", "--connections", "2"]);
    assert!([Some(0), Some(4)].contains(&answer.code), "{answer:?}");
    for part in [
        "2 connections, 64 bytes a message, 1 in flight each, every byte verified",
        "measured for 100 messages",
        "2 opened, 0 failed",
        "\np99.9 ",
        "\np99.99 ",
        "\nmean ",
        "\ndeviation ",
        "n/a",
        "none",
        "(coordinated omission)",
    ] {
        assert!(answer.stdout.contains(part), "{part}: {answer:?}");
    }
}

#[test]
fn quiet_prints_nothing_and_writes_the_file() {
    let target = good().to_string();
    let name = format!("corelane-bench-{}.json", std::process::id());
    let path = std::env::temp_dir().join(name);
    // The old content of the file is gone.
    fs::write(&path, "x".repeat(100_000)).unwrap();
    let file = path.to_str().unwrap();
    let answer = run(&["run", &target, "--count", "10", "-q", "--json", file]);
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer.stdout, "");
    if json["verdict"]["valid"] == true {
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""));
    }
    assert_eq!(json["totals"]["messages"], 10);
}

#[test]
fn a_host_name_and_no_verification() {
    let port = good().port();
    let target = format!("localhost:{port}");
    let load = ["--connections", "5", "--count", "10", "--no-verify"];
    let json = good_run(&target, "epoll", &load);
    assert_eq!(json["target"]["given"], target);
    assert_eq!(json["target"]["address"], format!("127.0.0.1:{port}"));
    assert_eq!(json["shape"]["verify"], false);
}

#[test]
fn the_server_process_is_measured() {
    let target = good().to_string();
    let pid = std::process::id().to_string();
    let load = ["--count", "5000", "--server-pid", &pid];
    let server = &good_run(&target, "epoll", &load)["server"];
    assert_eq!(server["pid"], std::process::id());
    assert!(server["cpu_ns"].is_u64(), "{server}");
    assert!(server["cpu_per_message_ns"].is_f64(), "{server}");
    assert!(server["rss_before_bytes"].as_u64().unwrap() > 0, "{server}");
    assert!(server["rss_held_bytes"].as_u64().unwrap() > 0, "{server}");
}

/// Starts an endless load and interrupts it.
fn interrupted(poller: &str) -> Answer {
    let (seen, messages) = channel();
    let target = serve(move |stream| {
        echo(stream, |_, bytes| {
            // The receiver is gone once the client is interrupted.
            _ = seen.send(());
            bytes
        });
    });
    let target = target.to_string();
    let fixed = ["run", &target, "--duration", "1d", "--warmup", "0s"];
    let child = client(&[&fixed[..], &["--poller", poller, "--json", "-"]].concat())
        .spawn()
        .unwrap();
    for _ in 0..1000 {
        messages.recv().unwrap();
    }
    let signal = Command::new("sh")
        .args(["-c", &format!("kill -INT {}", child.id())])
        .status();
    assert!(signal.unwrap().success());
    finish(child.wait_with_output().unwrap())
}

#[test]
fn an_interrupted_run_shows_its_results() {
    for &poller in pollers() {
        let answer = interrupted(poller);
        let json = sound(&answer);
        assert_eq!(json["interrupted"], true);
        assert!(json["totals"]["messages"].as_u64().unwrap() > 0, "{json}");
        let elapsed = json["totals"]["elapsed_ns"].as_u64().unwrap();
        assert!((1..3_600_000_000_000).contains(&elapsed), "{json}");
        assert!(answer.stderr.contains("Interrupted"), "{answer:?}");
    }
}
