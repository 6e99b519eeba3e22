//! The client against faulty servers, on every poller: each error has the right kind and position,
//! and the exit code is 2.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;

use crate::servers::{echo, pollers, run, serve};
use serde_json::Value;

/// The only error in the results of a load with one connection and messages of 64 bytes.
fn fault(target: &str, poller: &str, more: &[&str]) -> Value {
    let fixed = ["run", target, "--poller", poller, "--connections", "1"];
    let answer = run(&[&fixed[..], &["--json", "-"], more].concat());
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let json = answer.json();
    assert_eq!(json["errors"]["total"], 1, "{answer:?}");
    let fault = json["errors"]["first"][0].clone();
    assert_eq!(fault["connection"], 0);
    let kind = fault["kind"].as_str().unwrap();
    assert_eq!(json["errors"]["kinds"][kind], 1, "{answer:?}");
    let words = kind.replace('_', " ");
    assert!(
        answer.stderr.contains(&format!("1 {words}")),
        "{words}: {answer:?}"
    );
    fault
}

/// Reads one message of 64 bytes; false at the end of the stream.
fn message(stream: &mut TcpStream) -> Option<[u8; 64]> {
    let mut message = [0; 64];
    stream.read_exact(&mut message).ok().map(|()| message)
}

/// Sends a FIN at once, then reads on: a close with unread input would send a reset.
fn hangs_up() -> SocketAddr {
    serve(|mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        while let Ok(1..) = stream.read(&mut [0; 64]) {}
    })
}

#[test]
fn a_corrupted_byte_is_reported_with_its_position() {
    for &poller in pollers() {
        for wrong in [0, 63, 64, 1000, 6399_u64] {
            let target = serve(move |stream| {
                echo(stream, |position, mut bytes| {
                    let inside = wrong.checked_sub(position).map(usize::try_from);
                    if let Some(byte) = inside.and_then(|at| bytes.get_mut(at.unwrap())) {
                        *byte = !*byte;
                    }
                    bytes
                });
            });
            let fault = fault(&target.to_string(), poller, &["--count", "100"]);
            assert_eq!(fault["kind"], "corrupted", "{fault}");
            assert_eq!(fault["stream_position_bytes"], wrong, "{fault}");
            let byte = |key: &str| u8::try_from(fault[key].as_u64().unwrap()).unwrap();
            assert_eq!(byte("expected"), !byte("got"), "{fault}");
        }
    }
}

#[test]
fn a_missing_byte_is_corruption() {
    for &poller in pollers() {
        let target = serve(|stream| {
            echo(stream, |position, mut bytes| {
                if position == 128 {
                    bytes.remove(10);
                }
                bytes
            });
        });
        let load = ["--count", "1000", "--pipeline", "4", "--size", "32"];
        let fault = fault(&target.to_string(), poller, &load);
        assert_eq!(fault["kind"], "corrupted", "{fault}");
        let position = fault["stream_position_bytes"].as_u64().unwrap();
        assert!((128..160).contains(&position), "{fault}");
    }
}

#[test]
fn bytes_of_another_connection_are_corruption() {
    for &poller in pollers() {
        // Two connections; each gets the bytes of the other.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let server = std::thread::Builder::new().spawn(move || {
            let (mut one, _) = listener.accept().unwrap();
            let (mut other, _) = listener.accept().unwrap();
            let (first, second) = (message(&mut one).unwrap(), message(&mut other).unwrap());
            one.write_all(&second).unwrap();
            other.write_all(&first).unwrap();
        });
        let answer = run(&[
            "run",
            &target,
            "--poller",
            poller,
            "--connections",
            "2",
            "--count",
            "2",
            "--json",
            "-",
        ]);
        server.unwrap().join().unwrap();
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert_eq!(
            answer.json()["errors"]["kinds"]["corrupted"],
            2,
            "{answer:?}"
        );
    }
}

#[test]
fn a_fin_with_missing_bytes_is_closed_early() {
    for &poller in pollers() {
        let target = serve(|mut stream| {
            for _ in 0..3 {
                let message = message(&mut stream).unwrap();
                stream.write_all(&message).unwrap();
            }
            let message = message(&mut stream).unwrap();
            stream.write_all(&message[..40]).unwrap();
        });
        let fault = fault(&target.to_string(), poller, &["--count", "100"]);
        assert_eq!(fault["kind"], "closed_early", "{fault}");
        assert_eq!(fault["stream_position_bytes"], 3 * 64 + 40, "{fault}");
        let text = "the server closed with 24 bytes outstanding";
        assert_eq!(fault["message"], text, "{fault}");
    }
}

#[test]
fn an_immediate_fin_is_closed_early() {
    for &poller in pollers() {
        let target = hangs_up();
        let fault = fault(&target.to_string(), poller, &["--count", "100"]);
        assert_eq!(fault["kind"], "closed_early", "{fault}");
        assert_eq!(fault["stream_position_bytes"], 0, "{fault}");
    }
}

#[test]
fn a_reset_is_a_reset() {
    for &poller in pollers() {
        let target = serve(|mut stream| {
            let first = message(&mut stream).unwrap();
            stream.write_all(&first).unwrap();
            // A close with unread input sends a reset instead of a FIN.
            stream.read_exact(&mut [0]).unwrap();
        });
        let fault = fault(&target.to_string(), poller, &["--count", "100"]);
        assert_eq!(fault["kind"], "reset", "{fault}");
        assert_eq!(fault["stream_position_bytes"], 64, "{fault}");
    }
}

#[test]
fn surplus_bytes_are_too_much() {
    for &poller in pollers() {
        let target = serve(|stream| {
            echo(stream, |_, mut bytes| {
                bytes.extend(b"more");
                bytes
            });
        });
        for more in [&[][..], &["--no-verify"]] {
            let load = [&["--count", "1"], more].concat();
            let fault = fault(&target.to_string(), poller, &load);
            assert_eq!(fault["kind"], "too_much", "{fault}");
            assert_eq!(fault["stream_position_bytes"], 64, "{fault}");
            assert_eq!(fault["message"], "4 bytes more than sent", "{fault}");
        }
    }
}

#[test]
fn missing_replies_are_unanswered() {
    for &poller in pollers() {
        let target = serve(
            |mut stream| {
                while let Ok(1..) = stream.read(&mut [0; 64]) {}
            },
        );
        let time = ["--duration", "1s", "--warmup", "0s"];
        let fault = fault(&target.to_string(), poller, &time);
        assert_eq!(fault["kind"], "unanswered", "{fault}");
        assert_eq!(fault["stream_position_bytes"], 0, "{fault}");
        let text = "timed out with 64 bytes outstanding";
        assert_eq!(fault["message"], text, "{fault}");
    }
}

#[test]
fn a_missing_fin_is_not_closed() {
    for &poller in pollers() {
        let (keep, kept) = channel();
        let target = serve(move |mut stream| {
            let message = message(&mut stream).unwrap();
            stream.write_all(&message).unwrap();
            keep.send(stream).unwrap();
        });
        let fault = fault(&target.to_string(), poller, &["--count", "1"]);
        drop(kept);
        assert_eq!(fault["kind"], "not_closed", "{fault}");
        assert_eq!(fault["stream_position_bytes"], 64, "{fault}");
    }
}

#[test]
fn a_refused_target_is_refused() {
    for &poller in pollers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        drop(listener);
        let load = ["--connections", "5", "--duration", "1h", "--json", "-"];
        let answer = run(&[&["run", &target, "--poller", poller], &load[..]].concat());
        assert_eq!(answer.code, Some(2), "{answer:?}");
        let json = answer.json();
        assert_eq!(json["errors"]["kinds"]["refused"], 5, "{answer:?}");
        assert_eq!(json["totals"]["connections_failed"], 5, "{answer:?}");
        assert_eq!(
            json["totals"]["messages_per_second"],
            Value::Null,
            "{answer:?}"
        );
    }
}

#[test]
fn the_working_connections_continue() {
    for &poller in pollers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let server = std::thread::Builder::new().spawn(move || {
            // Closes the first connection and serves the second.
            drop(listener.accept().unwrap());
            let (second, _) = listener.accept().unwrap();
            echo(second, |_, bytes| bytes);
        });
        let load = ["--connections", "2", "--count", "200", "--json", "-"];
        let answer = run(&[&["run", &target, "--poller", poller], &load[..]].concat());
        server.unwrap().join().unwrap();
        assert_eq!(answer.code, Some(2), "{answer:?}");
        let json = answer.json();
        assert_eq!(json["errors"]["total"], 1, "{answer:?}");
        assert_eq!(json["totals"]["connections_opened"], 2, "{answer:?}");
        assert_eq!(json["totals"]["messages"], 100, "{answer:?}");
    }
}

#[test]
fn idle_connections_that_broke_are_reported() {
    for &poller in pollers() {
        let target = hangs_up().to_string();
        let time = ["--connections", "10", "--duration", "0s"];
        let answer = run(&[&["idle", &target, "--poller", poller, "-q"], &time[..]].concat());
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert_eq!(answer.stdout, "");
        let lines = answer.stderr.lines();
        assert_eq!(
            lines.filter(|line| line.contains("closed early")).count(),
            10
        );
    }
}
