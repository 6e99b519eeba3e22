//! Every verb against faulty servers, on every poller: each error has the right kind, and the exit
//! code is 2. `faulty_server` covers `run` in a closed loop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::servers::{echo, pollers, run, serve};

/// The arguments of each kind of load with one connection. Short, but long enough to get a CPU on a
/// busy machine.
const LOADS: [&[&str]; 4] = [
    &[
        "run",
        "--rate",
        "1k",
        "--connections",
        "1",
        "--duration",
        "2s",
        "--warmup",
        "0s",
    ],
    &[
        "churn",
        "--connections",
        "1",
        "--duration",
        "2s",
        "--warmup",
        "0s",
    ],
    &["idle", "--connections", "1", "--duration", "100ms"],
    &["bulk", "--duration", "2s", "--warmup", "0s"],
];

/// Runs every load against a server; each must report errors of this kind only.
fn every_load_finds(kind: &str, serve: impl Fn() -> SocketAddr) {
    these_loads_find(&LOADS, kind, serve);
}

/// All at the same time, since some run into long timeouts.
fn these_loads_find(loads: &[&[&str]], kind: &str, serve: impl Fn() -> SocketAddr) {
    let find = |poller: &str, load: &[&str], target: String| {
        let more = [&*target, "--poller", poller, "--json", "-"];
        let json = failed(&[load, &more].concat());
        let kinds = json["errors"]["kinds"].as_object().unwrap();
        let found: Vec<&String> = kinds.keys().collect();
        assert_eq!(found, [kind], "{load:?} {poller}: {}", json["errors"]);
    };
    let find = &find;
    thread::scope(|scope| {
        for &poller in pollers() {
            for load in loads {
                let target = serve().to_string();
                scope.spawn(move || find(poller, load, target));
            }
        }
    });
}

/// A run with a failed target.
fn failed(arguments: &[&str]) -> Value {
    let answer = run(arguments);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let json = answer.json();
    let words = json["errors"]["first"][0]["kind"].as_str();
    let words = words.unwrap_or_else(|| panic!("no error: {answer:?}"));
    let words = words.replace('_', " ");
    assert!(answer.stderr.contains(&words), "{words}: {answer:?}");
    json
}

#[test]
fn a_corrupted_byte() {
    every_load_finds("corrupted", || {
        serve(|stream| {
            echo(stream, |position, mut bytes| {
                if position == 0 {
                    bytes[7] = !bytes[7];
                }
                bytes
            });
        })
    });
}

#[test]
fn dropped_bytes() {
    every_load_finds("closed_early", || {
        serve(|mut stream| {
            // Echoes only the first bytes of the stream.
            let mut message = [0; 64];
            stream.read_exact(&mut message).unwrap();
            stream.write_all(&message[..20]).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            while let Ok(1..) = stream.read(&mut [0; 65_536]) {}
        })
    });
}

#[test]
fn a_reset() {
    every_load_finds("reset", || {
        serve(|mut stream| {
            // A close with unread input sends a reset instead of a FIN.
            stream.read_exact(&mut [0]).unwrap();
        })
    });
}

#[test]
fn a_server_without_replies() {
    let silent =
        || serve(|mut stream: TcpStream| while let Ok(1..) = stream.read(&mut [0; 65_536]) {});
    // Not `idle`, whose timeout is half a minute. Not `bulk`, where missing bytes end in a FIN: see
    // `dropped_bytes`.
    these_loads_find(&LOADS[..2], "unanswered", silent);
}

#[test]
fn a_server_that_stalls_forever() {
    for &poller in pollers() {
        let target = serve(|mut stream: TcpStream| {
            let mut messages = [0; 640];
            stream.read_exact(&mut messages).unwrap();
            stream.write_all(&messages).unwrap();
            while let Ok(1..) = stream.read(&mut [0; 64]) {}
        });
        let target = target.to_string();
        let load = ["--rate", "1k", "--connections", "1", "--pipeline", "10"];
        let time = ["--duration", "200ms", "--warmup", "0s", "--json", "-"];
        let json = failed(&[&["run", &target, "--poller", poller][..], &load, &time].concat());
        assert_eq!(json["errors"]["kinds"]["unanswered"], 1, "{json}");
        let position = &json["errors"]["first"][0]["stream_position_bytes"];
        assert_eq!(*position, 640, "{json}");
    }
}

#[test]
fn a_port_without_a_listener() {
    every_load_finds("refused", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    });
}

#[test]
fn a_source_that_never_sends() {
    for &poller in pollers() {
        let target = serve(|mut stream: TcpStream| while let Ok(1..) = stream.read(&mut [0; 9]) {});
        let target = target.to_string();
        let load = [
            "--direction",
            "down",
            "--duration",
            "50ms",
            "--warmup",
            "0s",
        ];
        let more = ["--poller", poller, "--json", "-"];
        let json = failed(&[&["bulk", &target][..], &load, &more].concat());
        assert_eq!(json["errors"]["kinds"]["unanswered"], 1, "{json}");
        let message = &json["errors"]["first"][0]["message"];
        assert_eq!(message, "the server sent nothing by itself");
    }
}

#[test]
fn a_sweep_and_a_duel_report_errors() {
    let bad = serve(|mut stream: TcpStream| {
        stream.read_exact(&mut [0]).unwrap();
    });
    let bad = bad.to_string();
    let sweep = [
        "sweep", &bad, "--slo", "p50<1s", "--step", "50ms", "--warmup", "0s",
    ];
    let json = failed(&[&sweep[..], &["--connections", "1", "--json", "-"]].concat());
    assert_eq!(json["errors"]["kinds"]["reset"], 1, "{json}");
    assert_eq!(json["sweep"]["steps"][0]["kept"], false);
    let good = serve(|stream| echo(stream, |_, bytes| bytes));
    let sides = [format!("A={good}"), format!("B={bad}")];
    let duel = [
        "duel", &sides[0], &sides[1], "--rounds", "1", "--slice", "50ms",
    ];
    let json = failed(&[&duel[..], &["--connections", "1", "--json", "-"]].concat());
    assert_eq!(json["errors"]["kinds"]["reset"], 2, "{json}");
    assert_eq!(json["duel"]["rounds"][0]["a"]["errors"], 0, "{json}");
}
