//! The server on the kqueue back end, where that is emulated (`--cfg kqueue_emulated`, see
//! `src/sys/kqueue_emulated.rs`): echo and proxy, both ends of a connection, a drain.
#![cfg(kqueue_emulated)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

const PATIENCE: Duration = Duration::from_secs(20);
const CONNECTIONS: u8 = 100;

const CONFIG: &str = r#"
[runtime]
poller = "kqueue"
lanes = 2
pin = false
[[listener]]
name = "echo"
bind = "127.0.0.1:0"
service = "echo"
[[listener]]
name = "proxy"
bind = "127.0.0.1:0"
service = "proxy"
upstream = "up"
[[upstream]]
name = "up"
endpoints = ["ENDPOINT"]
"#;

/// A server, killed if it still runs when this goes.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts a server in front of that endpoint; gives the addresses of its echo and its proxy.
fn start(name: &str, endpoint: SocketAddr) -> (Server, SocketAddr, SocketAddr) {
    let file = std::env::temp_dir().join(format!("corelane-{}-{name}.toml", std::process::id()));
    std::fs::write(&file, CONFIG.replace("ENDPOINT", &endpoint.to_string())).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["run", "--config"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let server = Server(child);
    let mut addresses = Vec::new();
    loop {
        let line = lines.next().unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("address=") {
            addresses.push(rest.split(' ').next().unwrap().parse().unwrap());
        }
        if line.contains(" ready ") {
            assert!(line.contains("poller=kqueue"), "{line}");
            break;
        }
    }
    std::fs::remove_file(&file).unwrap();
    // Reads on, so that the server never waits for us.
    thread::spawn(move || lines.for_each(drop));
    (server, addresses[0], addresses[1])
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A megabyte and a FIN there, the same back.
fn exchange(mut stream: TcpStream, seed: u8) {
    let data: Vec<u8> = (0..1 << 20)
        .map(|at: u32| at.to_le_bytes()[1] ^ seed)
        .collect();
    let mut sender = stream.try_clone().unwrap();
    let sent = data.clone();
    let sending = thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    sending.join().unwrap();
    assert!(back == data, "{} bytes came back", back.len());
}

#[test]
fn kqueue_serves_echo_and_proxy_and_drains() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (mut behind, echo, _) = start("behind", nobody);
    let (mut server, direct, proxied) = start("server", echo);
    for address in [direct, proxied] {
        let streams: Vec<_> = (0..CONNECTIONS).map(|_| connect(address)).collect();
        for (mut stream, number) in streams.into_iter().zip(0..) {
            stream.write_all(&[number]).unwrap();
            let mut back = [0];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, [number]);
            if number % 20 == 0 {
                exchange(stream, number);
            }
        }
    }
    for server in [&mut server, &mut behind] {
        let pid = server.0.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
        assert_eq!(server.0.wait().unwrap().code(), Some(0), "drained");
    }
}

/// A reset is passed on as a reset, and what came before it arrives.
#[test]
fn kqueue_passes_a_reset_on() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_server, _, proxied) = start("reset", upstream.local_addr().unwrap());
    let mut client = connect(proxied);
    client.write_all(b"hello").unwrap();
    let (mut up, _) = upstream.accept().unwrap();
    up.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = [0; 5];
    up.read_exact(&mut got).unwrap();
    up.write_all(b"before the reset").unwrap();
    let mut before = [0; 16];
    client.read_exact(&mut before).unwrap();
    SockRef::from(&up).set_linger(Some(Duration::ZERO)).unwrap();
    drop(up);
    let error = client.read(&mut before).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
