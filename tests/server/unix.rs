//! Unix sockets: who may connect, what becomes of the file, and how connections end.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{self, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;

use crate::support::{
    Directory, End, PATIENCE, Server, accept, connect, corelane, echo, holder, listener, on_both,
    pattern, ping, pollers, proxy, read_pattern, reset, runtime, spawn, until,
};

/// More than the kernel and corelane buffer together.
const BULK: usize = 8 << 20;

/// A folder with the path of a socket in it.
fn place() -> (Directory, PathBuf) {
    let directory = Directory::new();
    let path = directory.0.join("corelane.sock");
    (directory, path)
}

fn at(path: &Path) -> String {
    format!("\"unix:{}\"", path.display())
}

fn echo_at(bind: &str) -> String {
    "[log]\nlevel = \"debug\"\n".to_owned() + &echo().replace("\"127.0.0.1:0\"", bind)
}

fn proxy_at(path: &Path, to: SocketAddr) -> String {
    proxy(&[to]).replace("\"127.0.0.1:0\"", &at(path))
}

fn connect_to(path: &Path) -> UnixStream {
    patient(UnixStream::connect(path).unwrap())
}

fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends the pattern and the FIN, and reads the same back, to the end.
fn echo_bulk(mut stream: &UnixStream) {
    let mut sender = stream.try_clone().unwrap();
    let sent = spawn(move || {
        sender.write_all(&pattern(0, BULK)).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), BULK);
    assert!(back == pattern(0, BULK), "other bytes");
    sent.join().unwrap();
}

fn ping_by(mut stream: &UnixStream) {
    stream.write_all(b"ping").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
}

/// Starts a server that fails; its exit code and its last line.
fn fails(config: &str) -> (Option<i32>, String) {
    let mut server = Server::spawn(corelane(), config);
    (
        server.wait(),
        server.log.last().cloned().unwrap_or_default(),
    )
}

#[test]
fn bytes_and_the_end_pass_an_echo() {
    on_both(|poller| {
        let (_directory, path) = place();
        let config = runtime(poller, 2) + &echo_at(&format!("[{}, \"127.0.0.1:0\"]", at(&path)));
        let mut server = Server::start(&config);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let log = server.log.join("\n");
        let line = format!("name=\"echo\" address=unix:{} ", path.display());
        assert!(log.contains(&line), "{log}");
        echo_bulk(&connect_to(&path));
        let line = server.await_line("ended=client_fin");
        assert!(line.contains(" client=unix: "), "{line}");
        // The same listener by TCP.
        let port = log.split_once("address=127.0.0.1:").unwrap().1;
        let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
        ping(&connect(SocketAddr::from(([127, 0, 0, 1], port))));
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        server.assert_calm();
        assert!(!path.exists(), "its file stays");
    });
}

/// A proxy moves a long transfer by splice(2), here in both directions.
#[test]
fn bytes_and_the_end_pass_a_proxy() {
    on_both(|poller| {
        let (_directory, path) = place();
        let (upstream, address) = listener();
        let server = Server::start(&(runtime(poller, 1) + &proxy_at(&path, address)));
        let client = connect_to(&path);
        let served = accept(&upstream);
        let serving = spawn(move || {
            assert_eq!(read_pattern(&served, 0), (BULK, End::Fin));
            // Behind the client's FIN the other direction is open.
            (&served).write_all(&pattern(0, BULK)).unwrap();
        });
        echo_bulk(&client);
        serving.join().unwrap();
        server.stop();
    });
}

/// The only reset of a unix socket is a close with unread input.
#[test]
fn a_client_that_closes_with_unread_input_resets() {
    on_both(|poller| {
        let (_directory, path) = place();
        let (upstream, address) = listener();
        let config = runtime(poller, 1) + "[log]\nlevel = \"debug\"\n" + &proxy_at(&path, address);
        let mut server = Server::start(&config);
        let mut client = connect_to(&path);
        let served = accept(&upstream);
        (&served).write_all(b"0123456789").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        // All ten have arrived: a piece of that size is sent at once.
        drop(client);
        assert_eq!(read_pattern(&served, 0), (0, End::Reset));
        server.await_line("ended=client_rst");
        server.stop();
    });
}

/// A unix socket can not tell a reset from an end, but loses no byte from before it.
#[test]
fn a_reset_of_the_upstream_ends_the_client_behind_all_bytes() {
    on_both(|poller| {
        let (_directory, path) = place();
        let (upstream, address) = listener();
        let config = runtime(poller, 1) + "[log]\nlevel = \"debug\"\n" + &proxy_at(&path, address);
        let mut server = Server::start(&config);
        let mut client = connect_to(&path);
        let served = accept(&upstream);
        (&served).write_all(&pattern(0, 1000)).unwrap();
        client.read_exact(&mut [0; 1]).unwrap();
        reset(served);
        server.await_line("ended=upstream_rst");
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert!(rest == pattern(1, 999), "{} bytes", rest.len());
        server.stop();
    });
}

/// A client that has gone is a reset to the upstream as soon as the upstream sends.
#[test]
fn an_answer_to_a_client_that_has_gone_resets_the_upstream() {
    on_both(|poller| {
        let (_directory, path) = place();
        let (upstream, address) = listener();
        let config = runtime(poller, 1) + "[log]\nlevel = \"debug\"\n" + &proxy_at(&path, address);
        let mut server = Server::start(&config);
        let mut client = connect_to(&path);
        client.write_all(&pattern(0, 100)).unwrap();
        drop(client);
        let served = accept(&upstream);
        assert_eq!(read_pattern(&served, 0), (100, End::Fin));
        (&served).write_all(b"answer").unwrap();
        server.await_line("ended=client_rst");
        let mut byte = [0];
        let end = (&served).read(&mut byte);
        assert!(!matches!(end, Ok(1..)), "{end:?}");
        server.stop();
    });
}

/// One socket for all lanes: lane 0 accepts and hands over.
#[test]
fn every_lane_serves_a_unix_socket() {
    on_both(|poller| {
        let (_directory, path) = place();
        let mut server = Server::start(&(runtime(poller, 2) + &echo_at(&at(&path))));
        let clients: Vec<UnixStream> = (0..4).map(|_| connect_to(&path)).collect();
        clients.iter().for_each(ping_by);
        drop(clients);
        let lines: Vec<String> = (0..4).map(|_| server.await_line("ended=")).collect();
        for lane in ["lane=0 ", "lane=1 "] {
            let count = lines.iter().filter(|line| line.contains(lane)).count();
            assert_eq!(count, 2, "{lines:#?}");
        }
        server.stop();
    });
}

#[test]
fn a_stop_serves_the_clients_that_wait() {
    on_both(|poller| {
        let (_directory, path) = place();
        let config = runtime(poller, 2) + "max_sessions = 1\n" + &echo_at(&at(&path));
        let mut server = Server::start(&config);
        let first = connect_to(&path);
        ping_by(&first);
        let waiting: Vec<UnixStream> = (0..3).map(|_| connect_to(&path)).collect();
        server.signal("TERM");
        server.await_line("stopping: accepting no more");
        until("its file goes", || !path.exists());
        drop(first);
        for client in waiting {
            ping_by(&client);
        }
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        server.assert_calm();
    });
}

#[test]
fn the_file_of_a_killed_server_is_replaced() {
    on_both(|poller| {
        let (_directory, path) = place();
        let config = runtime(poller, 1) + &echo_at(&at(&path));
        let mut killed = Server::start(&config);
        killed.signal("KILL");
        killed.until_ended();
        assert!(path.exists());
        let server = Server::start(&config);
        ping_by(&connect_to(&path));
        server.stop();
    });
}

#[test]
fn a_name_that_is_not_free_is_refused() {
    let (directory, path) = place();
    let bind = at(&path);
    let config = runtime(pollers()[0], 1) + &echo_at(&bind);
    {
        let _other = UnixListener::bind(&path).unwrap();
        let (code, line) = fails(&config);
        let expected = format!(
            "listener[0].bind = {bind}: {} listens there already; stop it, or choose another \
             address",
            holder(process::id())
        );
        assert!(line.ends_with(&expected), "{line}");
        assert_eq!(code, Some(1));
    }
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let (code, line) = fails(&config);
    let expected = format!(
        "listener[0].bind = {bind}: this is no socket, and is not replaced; write another path, \
         or remove the file"
    );
    assert!(line.ends_with(&expected), "{line}");
    assert_eq!(code, Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let bind = at(&directory.0.join("none/x.sock"));
    let (code, line) = fails(&(runtime(pollers()[0], 1) + &echo_at(&bind)));
    let expected = format!(
        "listener[0].bind = {bind}: its folder does not exist; make it (systemd: \
         RuntimeDirectory=)"
    );
    assert!(line.ends_with(&expected), "{line}");
    assert_eq!(code, Some(2));
}

#[test]
fn the_file_has_the_owner_and_the_permissions_of_the_configuration() {
    let (directory, path) = place();
    let own = fs::metadata(&directory.0).unwrap();
    let of = |lines: String| {
        let config = runtime(pollers()[0], 1) + &echo_at(&at(&path));
        config.replace("service", &format!("{lines}\nservice"))
    };
    let (owner, group) = (own.uid(), own.gid());
    let unix = format!("unix = {{ mode = \"606\", owner = \"{owner}\", group = \"{group}\" }}");
    let server = Server::start(&of(unix));
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o606);
    assert_eq!((found.uid(), found.gid()), (owner, group));
    server.stop();
    let (code, line) = fails(&of("unix.owner = \"nobody-here\"".to_owned()));
    let expected = "unix.owner = \"nobody-here\": there is no such user in /etc/passwd";
    assert!(line.ends_with(expected), "{line}");
    assert_eq!(code, Some(2));
}

#[test]
fn an_abstract_name_has_no_file() {
    on_both(|poller| {
        let name = format!("corelane-{}-{poller}", process::id());
        let config = runtime(poller, 1) + &echo_at(&format!("\"unix:@{name}\""));
        let mut server = Server::start(&config);
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let client = patient(UnixStream::connect_addr(&address).unwrap());
        ping_by(&client);
        let (code, line) = fails(&config);
        assert!(line.contains("listens there already"), "{line}");
        assert_eq!(code, Some(1));
        drop(client);
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        let error = UnixStream::connect_addr(&address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}
