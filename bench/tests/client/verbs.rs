//! Every verb against a correct server, on every poller: the load runs as planned, and its results
//! are complete.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use corelane_bench::outcome::{Distribution, Loop, Outcome};
use serde_json::Value;

use crate::servers::{client, echo, finish, good, pollers, run, serve, sound};

/// Runs a verb on one poller with the JSON on standard output, and returns the document.
fn made(poller: &str, arguments: &[&str]) -> Outcome {
    let answer = run(&[arguments, &["--poller", poller, "--json", "-"]].concat());
    parsed(sound(&answer))
}

fn parsed(json: Value) -> Outcome {
    serde_json::from_value(json).unwrap()
}

#[test]
fn an_open_loop_sends_at_the_planned_rate() {
    let target = good().to_string();
    for &poller in pollers() {
        for arrival in ["constant", "poisson"] {
            let load = ["--rate", "2k", "--arrival", arrival, "--connections", "7"];
            let time = ["--duration", "500ms", "--warmup", "50ms", "--ramp", "50ms"];
            let arguments = [&["run", &target][..], &load, &time].concat();
            let outcome = made(poller, &arguments);
            assert_eq!(outcome.shape.loop_, Loop::Open);
            assert_eq!(outcome.shape.rate, Some(2000.0));
            assert_eq!(outcome.shape.arrival.as_deref(), Some(arrival));
            let (totals, latency) = (&outcome.totals, &outcome.latency);
            let intended = latency.intended.as_ref().unwrap();
            let service = latency.service.as_ref().unwrap();
            assert_eq!(intended.count, service.count);
            assert!(intended.max >= service.max, "{latency:?}");
            // Each due message was sent and measured, or counts as unsent.
            let due = totals.due.unwrap();
            assert_eq!(due, intended.count + totals.unsent.unwrap(), "{totals:?}");
            match arrival {
                "constant" => assert!((990..=1010).contains(&due), "{totals:?}"),
                // Five standard deviations of a Poisson process.
                _ => assert!((840..=1160).contains(&due), "{totals:?}"),
            }
            assert_eq!(outcome.lateness.unwrap().count, intended.count);
        }
    }
}

#[test]
fn a_stall_counts_for_every_message_due_in_it() {
    // The first reply takes 300 ms. In this time thirty messages become due on the only connection.
    let stalled = |mut stream: TcpStream| {
        let mut buffer = [0; 64];
        stream.read_exact(&mut buffer).unwrap();
        let (_keep, never) = channel::<()>();
        let stall = Duration::from_millis(300);
        assert!(never.recv_timeout(stall).is_err());
        stream.write_all(&buffer).unwrap();
        echo(stream, |_, bytes| bytes);
    };
    let target = serve(stalled).to_string();
    for &poller in pollers() {
        let load = ["--rate", "100", "--connections", "1", "--duration", "600ms"];
        let arguments = [&["run", &target][..], &load, &["--warmup", "0s"]].concat();
        let outcome = made(poller, &arguments);
        let slow = |times: &Distribution| {
            times
                .histogram
                .open()
                .unwrap()
                .count_between(100_000_000, u64::MAX)
        };
        let intended = slow(outcome.latency.intended.as_ref().unwrap());
        // Twenty messages were due more than 100 ms before the end of the stall; a closed loop
        // would see one.
        assert!(intended >= 15, "{intended}");
        // Each message was really sent and has a service time.
        let service = outcome.latency.service.as_ref().unwrap();
        assert_eq!(
            service.count,
            outcome.latency.intended.as_ref().unwrap().count
        );
    }
}

#[test]
fn sizes_are_mixed_and_verified_under_a_pipeline() {
    let target = good().to_string();
    for &poller in pollers() {
        for size in ["64:90,16k:10", "lognormal:1k,2"] {
            let load = ["--size", size, "--pipeline", "8", "--connections", "3"];
            let arguments = [&["run", &target][..], &load, &["--count", "900"]].concat();
            let outcome = made(poller, &arguments);
            assert_eq!(outcome.totals.messages, 900);
            let (sent, received) = (outcome.totals.sent_bytes, outcome.totals.received_bytes);
            assert_eq!(sent, received);
            assert!(sent > 64 * 900, "{sent}");
        }
    }
}

#[test]
fn churn_uses_the_planned_number_of_connections() {
    for &poller in pollers() {
        for (close, ended_well) in [("fin", true), ("rst", false)] {
            let (ends, ended) = channel();
            let target = serve(move |mut stream| {
                let mut message = [0; 64];
                let received = stream.read_exact(&mut message);
                received.and_then(|()| stream.write_all(&message)).unwrap();
                ends.send(matches!(stream.read(&mut message), Ok(0)))
                    .unwrap();
            });
            let target = target.to_string();
            let load = ["--close", close, "--connections", "4", "--count", "30"];
            let outcome = made(poller, &[&["churn", &target][..], &load].concat());
            assert_eq!(outcome.totals.messages, 30);
            assert_eq!(outcome.totals.connections_opened, 30);
            assert_eq!(outcome.latency.connect.unwrap().count, 30);
            assert_eq!(outcome.shape.close.as_deref(), Some(close));
            let how: Vec<bool> = (0..30).map(|_| ended.recv().unwrap()).collect();
            assert_eq!(how, [ended_well; 30], "{close}");
        }
    }
}

#[test]
fn churn_in_an_open_loop() {
    let target = good().to_string();
    for &poller in pollers() {
        let load = ["--rate", "200", "--connections", "4", "--duration", "300ms"];
        let outcome = made(
            poller,
            &[&["churn", &target][..], &load, &["--warmup", "0s"]].concat(),
        );
        let due = outcome.totals.due.unwrap();
        assert!((58..=62).contains(&due), "{due}");
        let timed = outcome.latency.intended.unwrap().count;
        assert_eq!(timed + outcome.totals.unsent.unwrap(), due);
    }
}

#[test]
fn idle_holds_the_connections_then_sends_one_message_on_each() {
    let target = good().to_string();
    let pid = std::process::id().to_string();
    for &poller in pollers() {
        let load = [
            "--connections",
            "100",
            "--duration",
            "50ms",
            "--touch",
            "100",
        ];
        let more = ["--storm", "--server-pid", &pid];
        let outcome = made(poller, &[&["idle", &target][..], &load, &more].concat());
        assert_eq!(outcome.verb, "idle");
        assert_eq!(outcome.totals.messages, 100);
        assert_eq!(outcome.totals.sent_bytes, 100 * 100);
        assert_eq!(outcome.totals.connections_opened, 100);
        assert!(outcome.totals.connecting_ns.unwrap() > 0);
        assert!(outcome.shape.storm);
        let server = outcome.server.unwrap();
        assert!(server.cpu_hold_ns.is_some(), "{server:?}");
        assert!(server.threads.unwrap() > 1, "{server:?}");
    }
}

/// Reads to the end.
fn sink() -> SocketAddr {
    serve(|mut stream| while let Ok(1..) = stream.read(&mut [0; 65_536]) {})
}

/// Sends until the peer stops reading.
fn source() -> SocketAddr {
    serve(|mut stream| while stream.write_all(&[7; 65_536]).is_ok() {})
}

#[test]
fn bulk_bytes_go_up_down_and_both_ways() {
    for &poller in pollers() {
        for (direction, target) in [("up", sink()), ("down", source()), ("both", good())] {
            let target = target.to_string();
            let load = ["--direction", direction, "--streams", "2"];
            let time = ["--duration", "600ms", "--warmup", "20ms"];
            let outcome = made(poller, &[&["bulk", &target][..], &load, &time].concat());
            let totals = &outcome.totals;
            let flows = (totals.sent_bytes > 0, totals.received_bytes > 0);
            assert_eq!(flows.0, direction != "down", "{direction} {totals:?}");
            assert_eq!(flows.1, direction != "up", "{direction} {totals:?}");
            assert_eq!(outcome.shape.verify, direction == "both");
            assert_eq!(outcome.shape.direction.as_deref(), Some(direction));
        }
    }
}

#[test]
fn a_sweep_doubles_up_to_the_highest_rate_and_reports_each_step() {
    let target = good().to_string();
    for &poller in pollers() {
        let slo = ["--slo", "p50<10s", "--from", "500", "--to", "1k"];
        let time = ["--step", "100ms", "--warmup", "10ms", "--connections", "3"];
        let answer = run(&[
            &["sweep", &target, "--poller", poller, "--json", "-"][..],
            &slo,
            &time,
        ]
        .concat());
        let sweep = parsed(sound(&answer)).sweep.unwrap();
        assert_eq!(sweep.steps[0].rate, 500.0);
        assert!(answer.stderr.contains("knee"), "{answer:?}");
        // On a busy machine the sweep may be inconclusive.
        let all_kept = sweep.steps.iter().all(|step| step.kept);
        let doubted = sweep.steps.iter().any(|step| !step.valid);
        assert!(all_kept || doubted || sweep.steps.iter().any(|step| step.why.is_some()));
        if all_kept {
            assert_eq!(sweep.knee, Some(1000.0));
            assert_eq!(sweep.ended, "the highest rate met the objective");
        }
    }
}

#[test]
fn an_objective_that_is_never_met_has_no_knee() {
    let target = good().to_string();
    let slo = [
        "--slo", "p50<1ns", "--from", "1k", "--step", "500ms", "--warmup", "0s",
    ];
    let answer = run(&[&["sweep", &target, "--json", "-"][..], &slo].concat());
    let sweep = parsed(sound(&answer)).sweep.unwrap();
    assert_eq!((sweep.knee, sweep.steps.len()), (None, 1));
    // A single failure may be chance.
    assert!(sweep.steps[0].tries >= 2, "{sweep:?}");
    assert_eq!(sweep.broken_at, Some(1000.0));
    let never = "p50<1ns was never met";
    assert!(answer.stderr.contains(never), "{answer:?}");
}

#[test]
fn a_step_of_too_few_messages_is_inconclusive() {
    let target = good().to_string();
    // At most a hundred messages. p99.99 needs a hundred thousand, and so a step of minutes.
    let slo = [
        "--slo",
        "p99.99<1h",
        "--from",
        "1k",
        "--step",
        "100ms",
        "--warmup",
        "0s",
    ];
    let answer = run(&[&["sweep", &target, "--json", "-"][..], &slo].concat());
    let sweep = parsed(sound(&answer)).sweep.unwrap();
    let ended = "the first step was inconclusive: too few messages; use a longer --step";
    assert_eq!((sweep.knee, &*sweep.ended), (None, ended));
    assert_eq!(sweep.steps[0].tries, 1);
}

#[test]
fn a_duel_alternates_between_the_targets() {
    let (old, new) = (good().to_string(), good().to_string());
    let sides = [
        &*format!("old={old}"),
        &format!("new={new},pid={}", std::process::id()),
    ];
    for &poller in pollers() {
        let load = ["--rounds", "2", "--slice", "200ms", "--warmup", "5ms"];
        let arguments = [
            &["duel", sides[0], sides[1], "--connections", "3"][..],
            &load,
        ]
        .concat();
        let outcome = made(poller, &arguments);
        let duel = outcome.duel.unwrap();
        let orders: Vec<&str> = duel.rounds.iter().map(|round| &*round.order).collect();
        assert_eq!(orders, ["ABBA", "BAAB"]);
        let [a, b] = duel.targets.each_ref();
        assert_eq!((a.name.as_deref(), &a.address), (Some("old"), &old));
        assert_eq!((b.name.as_deref(), &b.address), (Some("new"), &new));
        let rate = &duel.metrics[0];
        assert_eq!((&*rate.name, rate.ratios.len()), ("rate", 2));
        // Two rounds give no interval.
        assert_eq!((&rate.ratio, &rate.words), (&None, &None));
        // Three connections, two slices, two rounds, two targets.
        assert_eq!(outcome.totals.connections_opened, 24);
        assert!(duel.rounds[0].b.cpu_per_message_ns.is_some());
        assert!(duel.rounds[0].a.cpu_per_message_ns.is_none());
    }
}

#[test]
fn connections_rotate_over_the_sources_and_send_proxy_headers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let server = std::thread::Builder::new().spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (mut stream, peer) = listener.accept().unwrap();
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                line.push(byte[0]);
            }
            seen.push((peer.ip().to_string(), String::from_utf8(line).unwrap()));
            let thread = std::thread::Builder::new();
            thread
                .spawn(move || echo(stream, |_, bytes| bytes))
                .unwrap();
        }
        seen
    });
    let load = [
        "--connections",
        "4",
        "--count",
        "40",
        "--source",
        "127.0.0.2-3",
    ];
    let more = ["--proxy", "v1", "--congestion", "cubic"];
    let outcome = made("epoll", &[&["run", &target][..], &load, &more].concat());
    assert_eq!(outcome.shape.source.as_deref(), Some("127.0.0.2-3"));
    assert_eq!(outcome.shape.congestion.as_deref(), Some("cubic"));
    let mut seen = server.unwrap().join().unwrap();
    seen.sort_by_key(|(_, line)| line.clone());
    for (number, (peer, line)) in seen.iter().enumerate() {
        assert_eq!(*peer, ["127.0.0.2", "127.0.0.3"][number % 2]);
        let start = format!("PROXY TCP4 198.18.0.{number} 127.0.0.1 ");
        assert!(line.starts_with(&start), "{line}");
    }
}

#[test]
fn a_true_condition_fails_the_run() {
    let target = good().to_string();
    let load = [
        "run",
        &target,
        "--count",
        "2000",
        "--connections",
        "2",
        "--json",
        "-",
    ];
    let thresholds = ["--fail-if", "p50>1ns", "--fail-if", "errors>0"];
    let answer = run(&[&load[..], &thresholds].concat());
    let outcome = parsed(answer.json());
    let failed: Vec<bool> = outcome
        .thresholds
        .iter()
        .map(|judged| judged.failed)
        .collect();
    assert_eq!(failed, [true, false]);
    let code = match outcome.verdict.valid {
        true => 3,
        false => 4,
    };
    assert_eq!(answer.code, Some(code), "{answer:?}");
    assert!(answer.stderr.contains("p50>1ns: failed"), "{answer:?}");
}

#[test]
fn the_series_has_a_row_for_each_second_and_holds_every_message() {
    let target = good().to_string();
    for &poller in pollers() {
        let load = ["--rate", "500", "--connections", "3", "--duration", "2s"];
        let arguments = [&["run", &target][..], &load, &["--warmup", "0s"]].concat();
        let answer = run(&[&arguments[..], &["--poller", poller, "--json", "-"]].concat());
        let outcome = parsed(sound(&answer));
        assert!(outcome.series.len() >= 2, "{outcome:?}");
        let counts = outcome
            .series
            .iter()
            .filter_map(|row| row.histogram.as_ref());
        let all: u64 = counts.map(|packed| packed.open().unwrap().len()).sum();
        assert!(all >= outcome.latency.intended.unwrap().count, "{all}");
        assert!(answer.stderr.contains("measuring"), "{answer:?}");
    }
}

/// Starts an echo load of minutes and interrupts it.
fn interrupted(arguments: impl Fn(&str) -> Vec<String>) -> Outcome {
    let (seen, messages) = channel();
    let target = serve(move |stream| {
        echo(stream, |_, bytes| {
            // The receiver is gone once the client is interrupted.
            _ = seen.send(());
            bytes
        });
    });
    let arguments = arguments(&target.to_string());
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    let child = client(&[&arguments[..], &["--json", "-"]].concat())
        .spawn()
        .unwrap();
    for _ in 0..100 {
        messages.recv().unwrap();
    }
    let kill = ["-c", &format!("kill -INT {}", child.id())];
    assert!(Command::new("sh").args(kill).status().unwrap().success());
    let outcome = parsed(sound(&finish(child.wait_with_output().unwrap())));
    assert!(outcome.interrupted);
    assert!(outcome.totals.messages > 0);
    outcome
}

#[test]
fn an_interrupted_duel_reports_its_results() {
    let outcome = interrupted(|target| {
        let (a, b) = (format!("A={target}"), format!("B={target}"));
        let time = ["--slice", "1m", "--warmup", "0s"].map(str::to_owned);
        [&["duel".to_owned(), a, b][..], &time].concat()
    });
    assert_eq!(outcome.duel.unwrap().rounds, []);
}

#[test]
fn an_interrupted_sweep_reports_its_results() {
    let outcome = interrupted(|target| {
        let slo = ["--slo", "p50<1h", "--step", "1m", "--warmup", "0s"];
        [&["sweep", target][..], &slo]
            .concat()
            .iter()
            .map(|&word| word.to_owned())
            .collect()
    });
    let sweep = outcome.sweep.unwrap();
    assert_eq!((sweep.steps.len(), &*sweep.ended), (1, "interrupted"));
}

#[test]
fn several_lanes_share_the_load() {
    let target = good().to_string();
    for &poller in pollers() {
        let load = ["--lanes", "3", "--connections", "10", "--rate", "1k"];
        let time = ["--duration", "300ms", "--warmup", "0s"];
        let outcome = made(poller, &[&["run", &target][..], &load, &time].concat());
        assert_eq!(outcome.shape.lanes, 3);
        assert_eq!(outcome.totals.connections_opened, 10);
        let due = outcome.totals.due.unwrap();
        assert!((297..=303).contains(&due), "{due}");
    }
}
