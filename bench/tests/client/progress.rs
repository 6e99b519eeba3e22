//! The client's progress output, and its own lateness.

use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use corelane_bench::outcome::{Distribution, Outcome};

use crate::servers::{client, echo, finish, good, pollers, run, serve, sound};

#[test]
fn bulk_reports_bytes_instead_of_messages() {
    let target = good().to_string();
    let pid = std::process::id().to_string();
    let load = ["bulk", &target, "-d", "1200ms", "--server-pid", &pid];
    let answer = run(&load);
    assert!(matches!(answer.code, Some(0 | 4)), "{answer:?}");
    let progress: Vec<&str> = answer.stderr.lines().collect();
    let found = |line: &&&str| line.contains("B/s sent") && line.contains("B/s received");
    assert!(progress.iter().filter(found).count() >= 2, "{answer:?}");
    assert!(
        progress.iter().any(|line| line.starts_with("measuring")),
        "{answer:?}"
    );
    assert!(
        !progress.iter().any(|line| line.contains("p99")),
        "{answer:?}"
    );
    assert!(answer.stdout.contains(" a GB, "), "{answer:?}");
}

#[test]
fn a_duel_reports_each_slice() {
    let (old, new) = (good().to_string(), good().to_string());
    let sides = [format!("old={old}"), format!("new={new}")];
    let load = ["--rounds", "1", "--slice", "300ms", "--warmup", "20ms"];
    let answer = run(&[&["duel", &sides[0], &sides[1]][..], &load].concat());
    for start in [
        "old, round 1 of 1: measuring",
        "new, round 1 of 1: measuring",
    ] {
        let found = answer.stderr.lines().filter(|line| line.starts_with(start));
        assert!(found.count() >= 1, "{answer:?}");
    }
    let ratio = "the ratio is old / new";
    assert!(answer.stdout.contains(ratio), "{answer:?}");
    let words = "For the rate more is better, for everything else less is better.";
    assert!(answer.stdout.contains(words), "{answer:?}");
}

/// Messages due while the client is stopped count as late: not only the first one of each
/// connection, but all behind it.
#[test]
fn a_stalled_client_counts_as_late() {
    for &poller in pollers() {
        let (seen, messages) = channel();
        let target = serve(move |stream| {
            let seen = seen.clone();
            echo(stream, move |_, bytes| {
                // The receiver is gone once the client has been stopped.
                _ = seen.send(());
                bytes
            });
        });
        let target = target.to_string();
        let load = ["--rate", "200", "-c", "20", "-d", "2s", "--warmup", "0s"];
        let arguments = [
            &["run", &target, "--poller", poller, "--json", "-"][..],
            &load,
        ];
        let child = client(&arguments.concat()).spawn().unwrap();
        for _ in 0..20 {
            messages.recv().unwrap();
        }
        let kill = |signal: &str| {
            let kill = format!("kill -{signal} {}", child.id());
            assert!(
                Command::new("sh")
                    .args(["-c", &kill])
                    .status()
                    .unwrap()
                    .success()
            );
        };
        kill("STOP");
        // Part of the load: eighty messages become due in this time.
        let (_keep, never) = channel::<()>();
        assert!(never.recv_timeout(Duration::from_millis(400)).is_err());
        kill("CONT");
        let outcome: Outcome =
            serde_json::from_value(sound(&finish(child.wait_with_output().unwrap()))).unwrap();
        let slow = |times: &Option<Distribution>| {
            let times = times.as_ref().unwrap().histogram.open().unwrap();
            times.count_between(100_000_000, u64::MAX)
        };
        // Sixty messages were due more than 100 ms before the end of the stop, three on each
        // connection. Some may have waited for a reply that had arrived but was not read: the
        // client cannot tell these from missing replies.
        let (late, latency) = (slow(&outcome.lateness), slow(&outcome.latency.intended));
        assert!(late >= 40 && latency >= 50, "{late} {latency}");
        // Eighty of 400 messages were late, by 200 ms on average.
        let mean = |times: &Option<Distribution>| times.as_ref().unwrap().mean.unwrap();
        let own = mean(&outcome.latency.intended) - mean(&outcome.latency.on_time);
        assert!(own >= 15e6, "{own}");
    }
}
