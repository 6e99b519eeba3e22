//! The client with scripted messages of other protocols, on every poller: requests are sent, and
//! the end of each reply is found. Uses Redis if installed, and servers of the tests that behave
//! like Redis and PostgreSQL; `tests/real/run` uses the real servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use corelane_bench::outcome::Outcome;

use crate::servers::{pollers, run, serve, sound};

const PING: [&str; 2] = ["--send", "PING\\r\\n"];

/// Replies to each line like Redis to a PING.
fn pong() -> SocketAddr {
    serve(|stream| answer_lines(stream, |_| b"+PONG\r\n".to_vec()))
}

/// Replies to each line with `answer` of its number.
fn answer_lines(mut stream: TcpStream, answer: impl Fn(u64) -> Vec<u8>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(1..) if stream.write_all(&answer(number)).is_ok() => {}
            _ => return,
        }
    }
}

fn made(poller: &str, arguments: &[&str]) -> Outcome {
    let answer = run(&[arguments, &["--poller", poller, "--json", "-"]].concat());
    serde_json::from_value(sound(&answer)).unwrap()
}

/// The only kind of error of a failed run, and the first message.
fn fault(poller: &str, arguments: &[&str]) -> (String, String) {
    let more = ["--poller", poller, "--json", "-", "-c", "1"];
    let answer = run(&[arguments, &more].concat());
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let first = answer.json()["errors"]["first"][0].clone();
    let word = |key: &str| first[key].as_str().unwrap().to_owned();
    (word("kind"), word("message"))
}

#[test]
fn a_request_is_sent_and_its_reply_ends_as_specified() {
    let target = pong().to_string();
    for &poller in pollers() {
        for (reply, verified) in [
            (["--expect", "+PONG\\r\\n"], true),
            (["--until", "\\r\\n"], false),
            (["--reply-bytes", "7"], false),
            (["--expect", "hex:2b504f4e470d0a"], true),
        ] {
            for depth in ["1", "5"] {
                let load = ["-c", "3", "-n", "300", "--pipeline", depth];
                let arguments = [&["run", &target][..], &PING, &reply, &load].concat();
                let outcome = made(poller, &arguments);
                let totals = &outcome.totals;
                assert_eq!(totals.messages, 300, "{reply:?}");
                assert_eq!(totals.sent_bytes, 300 * 6, "{reply:?}");
                assert_eq!(totals.received_bytes, 300 * 7, "{reply:?}");
                assert_eq!(outcome.shape.verify, verified, "{reply:?}");
                assert_eq!(outcome.first_reply.as_deref(), Some("\"+PONG\\r\\n\""));
                assert_eq!(outcome.shape.request.as_deref(), Some("\"PING\\r\\n\""));
            }
        }
    }
}

#[test]
fn replies_of_any_length_in_any_pieces() {
    let target = serve(|mut stream| {
        stream.set_nodelay(true).unwrap();
        let mut request = [0; 3];
        for number in 0.. {
            if stream.read_exact(&mut request).is_err() {
                return;
            }
            let answer = [&vec![b'x'; number % 50][..], b"\r\r\n"].concat();
            for byte in answer {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
            }
        }
    });
    let target = target.to_string();
    for &poller in pollers() {
        let talk = ["--send", "abc", "--until", "\\r\\n"];
        let load = ["-c", "2", "-n", "200", "--pipeline", "3"];
        let outcome = made(poller, &[&["run", &target][..], &talk, &load].concat());
        assert_eq!(outcome.totals.messages, 200);
    }
}

#[test]
fn a_request_from_a_file_that_is_larger_than_all_buffers() {
    let path = std::env::temp_dir().join(format!("request-{}", std::process::id()));
    std::fs::write(&path, [&vec![b'y'; 300_000][..], b"\n"].concat()).unwrap();
    let file = format!("@{}", path.display());
    let target = pong().to_string();
    for &poller in pollers() {
        let talk = ["--send", &file, "--expect", "+PONG\\r\\n"];
        let load = ["-c", "2", "-n", "20"];
        let outcome = made(poller, &[&["run", &target][..], &talk, &load].concat());
        assert_eq!(outcome.totals.sent_bytes, 20 * 300_001);
    }
    std::fs::remove_file(&path).unwrap();
}

/// PostgreSQL's startup message, a query, and the end of each reply.
const STARTUP: &str = "\\0\\0\\0\\x29\\0\\x03\\0\\0user\\0corelane\\0database\\0postgres\\0\\0";
const QUERY: &str = "Q\\0\\0\\0\\x0dselect 1\\0";
const READY: &str = "Z\\0\\0\\0\\x05I";

/// Behaves like PostgreSQL: a startup message without a type, then messages with a type.
fn postgres(mut stream: TcpStream) {
    let mut length = [0; 4];
    let mut body = |stream: &mut TcpStream| {
        stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut body).map(|()| body)
    };
    let startup = body(&mut stream).unwrap();
    assert!(startup.starts_with(b"\0\x03\0\0user\0corelane\0"));
    // A query before this message would violate the protocol.
    stream.write_all(b"R\0\0\0\x08\0\0\0\0").unwrap();
    stream.write_all(b"Z\0\0\0\x05I").unwrap();
    let mut kind = [0];
    while stream.read_exact(&mut kind).is_ok() {
        assert_eq!(kind, *b"Q");
        assert_eq!(body(&mut stream).unwrap(), b"select 1\0");
        let row = b"D\0\0\0\x0b\0\x01\0\0\0\x011C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
        stream.write_all(row).unwrap();
    }
}

#[test]
fn every_verb_sends_the_script_after_a_login() {
    let target = serve(postgres).to_string();
    let (a, b) = (format!("old={target}"), format!("new={target}"));
    let opening = ["--opening", STARTUP, "--opening-until", READY];
    let talk = [&["--send", QUERY, "--until", READY][..], &opening].concat();
    let verbs: [&[&str]; 5] = [
        &["run", &target, "-c", "3", "-n", "60"],
        &["churn", &target, "-c", "3", "-n", "30"],
        &["idle", &target, "-c", "9", "-d", "10ms"],
        &[
            "sweep", &target, "--slo", "p50<1h", "--from", "300", "--to", "300", "--step", "1s",
            "-c", "3",
        ],
        &[
            "duel", &a, &b, "--rounds", "1", "--slice", "500ms", "-c", "3",
        ],
    ];
    for &poller in pollers() {
        for verb in verbs {
            let outcome = made(poller, &[verb, &talk].concat());
            assert!(outcome.totals.messages > 0, "{verb:?}: {outcome:?}");
            let reply = outcome.first_reply.unwrap();
            assert!(reply.contains("SELECT 1"), "{verb:?}: {reply}");
            let opening = outcome.shape.opening.unwrap();
            assert!(opening.contains("user\\0corelane"), "{verb:?}: {opening}");
        }
    }
}

#[test]
fn the_greeting_of_a_server_is_awaited() {
    let target = serve(|mut stream| {
        stream.write_all(b"220 ready\r\n").unwrap();
        answer_lines(stream, |_| b"250 OK\r\n".to_vec());
    });
    let target = target.to_string();
    for &poller in pollers() {
        let talk = ["--send", "NOOP\\r\\n", "--expect", "250 OK\\r\\n"];
        let load = ["-n", "50", "-c", "2", "--opening-until", "ready\\r\\n"];
        let outcome = made(poller, &[&["run", &target][..], &talk, &load].concat());
        assert_eq!(outcome.totals.received_bytes, 50 * 8);
    }
}

#[test]
fn a_wrong_reply_is_shown() {
    let target = serve(|stream| {
        answer_lines(stream, |number| match number {
            0..3 => b"+PONG\r\n".to_vec(),
            _ => b"-ERR max number of clients reached\r\n".to_vec(),
        });
    });
    let target = target.to_string();
    for &poller in pollers() {
        let talk = ["--expect", "+PONG\\r\\n", "-n", "100"];
        let (kind, message) = fault(poller, &[&["run", &target][..], &PING, &talk].concat());
        assert_eq!(kind, "corrupted");
        let words = "expected byte 0x2b, got 0x2d: the server sent \"-ERR max number of clients";
        assert!(message.starts_with(words), "{message}");
    }
}

#[test]
fn surplus_and_missing_replies_are_errors() {
    let twice = serve(|stream| answer_lines(stream, |_| b"+PONG\r\n+".to_vec()));
    let silent = serve(|mut stream| while let Ok(1..) = stream.read(&mut [0; 64]) {});
    let closes = serve(|mut stream| {
        stream.read_exact(&mut [0; 6]).unwrap();
    });
    for &poller in pollers() {
        for (target, kind, words) in [
            (twice, "too_much", "1 bytes more than requested"),
            (silent, "unanswered", "timed out with 1 reply outstanding"),
            (
                closes,
                "closed_early",
                "the server closed with 1 reply outstanding",
            ),
        ] {
            let target = target.to_string();
            let talk = ["--until", "\\r\\n", "-d", "1s", "--warmup", "0s"];
            let found = fault(poller, &[&["run", &target][..], &PING, &talk].concat());
            assert_eq!(found.0, kind, "{found:?}");
            assert!(found.1.starts_with(words), "{found:?}");
        }
    }
}

#[test]
fn a_refused_login_is_an_error() {
    let target = serve(|mut stream| {
        stream.read_exact(&mut [0; 6]).unwrap();
        stream.write_all(b"-NO\r\n").unwrap();
    });
    let target = target.to_string();
    for &poller in pollers() {
        let talk = ["--until", "\\r\\n", "-n", "1", "--opening", "AUTH\\r\\n"];
        let fixed = [&["run", &target][..], &PING, &talk].concat();
        let found = fault(
            poller,
            &[&fixed[..], &["--opening-expect", "+OK\\r\\n"]].concat(),
        );
        assert_eq!(found.0, "corrupted", "{found:?}");
        assert!(
            found.1.ends_with("the server sent \"-NO\\r\\n\""),
            "{found:?}"
        );
        let found = fault(poller, &[&fixed[..], &["--opening-until", "OK"]].concat());
        assert_eq!(found.0, "closed_early", "{found:?}");
        let words = "the server closed 5 bytes into its reply to the opening";
        assert_eq!(found.1, words);
    }
}

#[test]
fn a_target_that_does_not_echo_is_reported() {
    let target = serve(|mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
        stream.write_all(b"-ERR Protocol error\r\n").unwrap();
    });
    let target = target.to_string();
    for &poller in pollers() {
        let (kind, message) = fault(poller, &["run", &target, "-n", "10"]);
        assert_eq!(kind, "no_echo");
        let words =
            "this target does not echo: it sent \"-ERR Protocol error\\r\\n\"; for a server";
        assert!(message.starts_with(words), "{message}");
    }
}

/// A Redis for this test, stopped at its end; `None` if Redis is not installed.
struct Redis(Child, SocketAddr);

impl Redis {
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let port_text = port.to_string();
        let options = ["--bind", "127.0.0.1", "--save", "", "--port", &port_text];
        let child = Command::new("redis-server")
            .args(options)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.ok()?;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        // The port may have been taken in the meantime.
        let ready = lines.any(|line| line.contains("eady to accept connections"));
        let redis = Self(child, ([127, 0, 0, 1], port).into());
        ready.then_some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn redis_is_measured_with_its_process() {
    let redis = Redis::start();
    let (target, pid) = match &redis {
        Some(redis) => (redis.1.to_string(), redis.0.id()),
        None => (pong().to_string(), std::process::id()),
    };
    let pid = pid.to_string();
    for &poller in pollers() {
        let talk = ["--expect", "+PONG\\r\\n", "--server-pid", &pid];
        let load = ["-n", "2000", "--pipeline", "4"];
        let arguments = [&["run", &target][..], &PING, &talk, &load].concat();
        let outcome = made(poller, &arguments);
        assert_eq!(outcome.totals.messages, 2000);
        assert!(outcome.server.unwrap().cpu_per_message_ns.is_some());
        let notes = &outcome.verdict.notes;
        assert!(
            !notes.iter().any(|note| note.contains("does not serve")),
            "{notes:?}"
        );
    }
}

#[test]
fn the_wrong_process_is_reported_before_and_after_the_load() {
    let target = pong().to_string();
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = other.id().to_string();
    let talk = ["--until", "\\n", "-n", "10", "--server-pid", &pid];
    let answer = run(&[&["run", &target][..], &PING, &talk].concat());
    drop(other.stdin.take());
    other.wait().unwrap();
    let words = format!("process {pid} does not serve {target}");
    let first = answer.stderr.lines().next().unwrap_or_default();
    let start = format!("corelane-bench: note: {words}");
    assert!(first.starts_with(&start), "{answer:?}");
    assert!(
        answer.stdout.contains(&format!("Note: {words}")),
        "{answer:?}"
    );
}
