//! `corelane ctl trace` on a running server: whose events a trace has, and who may record.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use crate::support::{Directory, Server, connect, corelane, echo, on_both, ping, runtime, until};

struct Traced {
    server: Server,
    directory: Directory,
}

impl Traced {
    fn start(poller: &str) -> Self {
        let directory = Directory::new();
        let socket = directory.0.join("control.sock");
        let control = format!("[control]\nsocket = \"{}\"\n", socket.display());
        let config = control + &runtime(poller, 2) + &echo();
        let server = Server::start(&config);
        Self { server, directory }
    }

    /// Starts a command.
    fn ctl(&self, arguments: &str) -> Child {
        let socket = self.directory.0.join("control.sock");
        let mut ctl = corelane();
        ctl.arg("ctl").arg("--socket").arg(socket);
        ctl.args(arguments.split(' '));
        ctl.stdout(Stdio::piped()).stderr(Stdio::piped());
        ctl.spawn().unwrap()
    }

    fn told(&self, arguments: &str) -> Vec<u8> {
        let output = self.ctl(arguments).wait_with_output().unwrap();
        stdout(&output, arguments)
    }
}

fn stdout(output: &Output, arguments: &str) -> Vec<u8> {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
    output.stdout.clone()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A client that goes away ends its recording, so that the next client need not wait a minute.
#[test]
fn a_trace_ends_with_its_client() {
    on_both(|poller| {
        let mut traced = Traced::start(poller);
        let body = "{\"seconds\": 60}";
        let length = body.len();
        let request = format!(
            "POST /v1/trace HTTP/1.1\r\nHost: corelane\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let socket = traced.directory.0.join("control.sock");
        // A client that has sent its FIN waits for the answer.
        let mut client = UnixStream::connect(socket).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        traced.server.await_line("POST /v1/trace");
        let is_refused = || {
            let output = traced.ctl("trace --seconds 1").wait_with_output();
            !output.unwrap().status.success()
        };
        assert!(is_refused(), "the client waits");
        drop(client);
        until("the end of the recording", || !is_refused());
        traced.server.stop();
    });
}

#[test]
fn a_trace_has_the_sessions_of_before_and_those_that_begin() {
    on_both(|poller| {
        let traced = Traced::start(poller);
        let old = connect(traced.server.address("echo"));
        ping(&old);
        let sessions = json(&traced.told("--json sessions"));
        let id = sessions["sessions"][0]["id"].as_u64().unwrap();
        let mut recording = traced.ctl("trace --seconds 1");
        let mut begun = 0;
        // Short sessions beside the old one, until the recording ends.
        let mut file = Vec::new();
        std::thread::scope(|scope| {
            let mut stdout = recording.stdout.take().unwrap();
            let reading = scope.spawn(move || {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut stdout, &mut bytes).unwrap();
                bytes
            });
            while !reading.is_finished() {
                ping(&old);
                ping(&connect(traced.server.address("echo")));
                begun += 1;
            }
            file = reading.join().unwrap();
        });
        assert!(recording.wait().unwrap().success());
        let path = traced.directory.0.join("t.pftrace");
        fs::write(&path, &file).unwrap();
        let read = |more: &str| {
            let arguments = format!("--json trace summary {}{more}", path.display());
            json(&traced.told(&arguments))
        };
        let all = read(" --top 1000000");
        assert!(all["recorded_us"].as_f64().unwrap() > 900_000.0, "{all:?}");
        let lanes = all["lanes"].as_array().unwrap();
        assert_eq!(lanes.len(), 2);
        let is_whole = |lane: &Value| lane["is_cut"] == false && lane["turns"].as_u64() > Some(0);
        assert!(lanes.iter().all(is_whole), "{lanes:?}");
        let waits = all["waits"].as_array().unwrap();
        let session = |wait: &&Value| wait["session"].is_u64();
        let sessions = waits.iter().filter(session).count();
        // Some begin before the recording, or after it.
        assert!((3..=begun + 1).contains(&sessions), "{sessions} of {begun}");
        let own = read(&format!(" --session {id}"));
        let waits = own["waits"].as_array().unwrap();
        assert_eq!(waits.len(), 10, "{own:?}");
        assert!(waits.iter().all(|wait| wait["session"] == id), "{own:?}");
    });
}

#[test]
fn one_recording_at_a_time_and_within_bounds() {
    let mut traced = Traced::start("auto");
    let mut first = traced.ctl("trace --seconds 2");
    traced.server.await_line("POST /v1/trace");
    let second = traced.ctl("trace summary --seconds 1");
    let second = second.wait_with_output().unwrap();
    let why = String::from_utf8(second.stderr).unwrap();
    assert!(why.contains("another trace is being recorded"), "{why}");
    assert_eq!(second.status.code(), Some(1));
    // A client that leaves ends the recording.
    first.kill().unwrap();
    first.wait().unwrap();
    until("the next is accepted", || {
        let next = traced.ctl("trace summary --seconds 1 --mib 1");
        next.wait_with_output().unwrap().status.success()
    });
    for wrong in [
        "trace --seconds 61",
        "trace --seconds 0",
        "trace summary",
        "trace --mib 0",
    ] {
        let output = traced.ctl(wrong).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(output.stdout.is_empty());
    }
    let missing = traced.ctl("trace summary /nowhere.pftrace");
    let missing = missing.wait_with_output().unwrap();
    let why = String::from_utf8(missing.stderr).unwrap();
    assert!(why.contains("/nowhere.pftrace cannot be read"), "{why}");
    assert_eq!(missing.status.code(), Some(2));
}
