//! Correct and faulty servers on `std::net` and threads, and the client as a child process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use corelane::poller::io_uring_refusal;
use serde_json::Value;

use self::require_io_uring::require_io_uring;

#[path = "../../../src/poller/require_io_uring.rs"]
mod require_io_uring;

/// Serves each connection with `serve` on a thread, for the life of the test process.
pub(crate) fn serve(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = |name: &str| thread::Builder::new().name(name.to_owned());
    let accept = move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread("connection").spawn(move || serve(stream)).unwrap();
        }
    };
    thread("accept").spawn(accept).unwrap();
    address
}

/// Echoes the stream up to the FIN, passed through `change` with the stream position.
pub(crate) fn echo(mut stream: TcpStream, change: impl Fn(u64, Vec<u8>) -> Vec<u8>) {
    let mut position = 0;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        let changed = change(position, buffer[..bytes].to_vec());
        if stream.write_all(&changed).is_err() {
            return;
        }
        position += bytes as u64;
    }
}

/// A correct echo server.
pub(crate) fn good() -> SocketAddr {
    serve(|stream| echo(stream, |_, bytes| bytes))
}

/// The result of the client's process.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The document of a run without errors, with the matching exit code. On a busy machine the run may
/// be INVALID.
pub(crate) fn sound(answer: &Answer) -> Value {
    let json = answer.json();
    let code = match json["verdict"]["valid"] == true {
        true => 0,
        false => 4,
    };
    assert_eq!(answer.code, Some(code), "{answer:?}");
    assert_eq!(json["errors"]["total"], 0, "{answer:?}");
    if json["interrupted"] == false {
        assert_eq!(json["totals"]["connections_failed"], 0, "{answer:?}");
    }
    json
}

pub(crate) fn client(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane-bench"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Answer {
    finish(client(arguments).output().unwrap())
}

pub(crate) fn finish(output: std::process::Output) -> Answer {
    Answer {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The pollers that a test runs on; see [`require_io_uring`] where io_uring is refused.
pub(crate) fn pollers() -> &'static [&'static str] {
    match require_io_uring(io_uring_refusal()) {
        true => &["io_uring", "epoll"],
        false => &["epoll"],
    }
}
