//! The rows in which the session ends before its upstream is connected.
//!
//! *Refused*: a direct client's connect is refused; corelane has accepted its client by then, so
//! the nearest equivalent is a reset without a byte. *Before the connect*: a direct client cannot
//! end before it is connected, so the cell is compared with an end right after the connect; a reset
//! may also stay invisible to the server, since the connect is given up.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::corelane::{Corelane, DEADLINE};
use crate::peer::{End, Pace, Seen, Side, Step, Whisper, play};
use crate::scenario::{Cell, Ending, Flight, Path};
use crate::{Both, direct, row, verdict, whispers};

const FLIGHTS: [Flight; 3] = [Flight::Nothing, Flight::Small, Flight::Large];
const PACES: [Pace; 3] = [Pace::Fast, Pace::Slow, Pace::Stopped];
/// Timeout of a connect to a full backlog; Linux answers at once or not at all.
const FILL: Duration = Duration::from_millis(300);
/// Interval between checks of a listener.
const LOOK: Duration = Duration::from_millis(10);

/// Runs all rows on one poller.
pub(crate) fn rows(poller: &str) {
    let cell = |ending, flight, pace| Cell {
        ending,
        flight,
        pace,
        path: Path::Interactive,
    };
    let mut failures = Vec::new();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for flight in FLIGHTS {
            let reset = cell(Ending::Reset(Side::Client), flight, Pace::Fast);
            running.push(scope.spawn(move || refused(poller, flight)));
            running.push(scope.spawn(move || reset_before_connect(poller, reset)));
            for pace in PACES {
                let fin = cell(Ending::Fin(Side::Client), flight, pace);
                running.push(scope.spawn(move || fin_before_connect(poller, fin)));
            }
        }
        for cell in running {
            failures.extend(cell.join().unwrap());
        }
    });
    assert!(failures.is_empty(), "{poller}:\n{}", failures.join("\n"));
}

/// The client of a cell, alone, and its address.
fn client(to: SocketAddr, script: &[Step], whisper: &Whisper) -> (Seen, SocketAddr) {
    let socket = bound();
    let address = address_of(&socket);
    let end = match socket.connect(&to.into()) {
        Ok(()) => return (play(Side::Client, socket.into(), script, whisper), address),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => End::Refused,
        // Connected, and reset before the connect returned.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error}"),
    };
    let seen = Seen {
        end,
        ..Seen::default()
    };
    (seen, address)
}

/// A socket with its own address.
fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

fn refused(poller: &str, flight: Flight) -> Vec<String> {
    // Bound and not listening: the port is reserved, and connects to it are refused.
    let socket = bound();
    let dead = address_of(&socket);
    let cell = Cell {
        ending: Ending::Fin(Side::Client),
        flight,
        pace: Pace::Fast,
        path: Path::Interactive,
    };
    let script = [Step::Send(cell.bytes()), Step::ReceiveToEnd(Pace::Fast)];
    let (whisper, _other) = whispers();
    let direct = client(dead, &script, &whisper).0;
    assert_eq!(direct.end, End::Refused);
    let mut corelane = Corelane::start(poller, dead);
    let (seen, address) = client(corelane.address, &script, &whisper);
    let record = corelane.record(address).unwrap();
    corelane.assert_quiet();
    let as_told = (seen.end, seen.received, record["ended"].as_str());
    if as_told == (End::Reset, 0, "connect_refused") {
        return Vec::new();
    }
    vec![format!(
        "refused, {flight:?}: direct {direct}, corelane {seen}, {record:?}"
    )]
}

/// A listener with a full backlog of these connections.
fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let socket = bound();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let to = listener.local_addr().unwrap();
    let full = std::iter::from_fn(|| TcpStream::connect_timeout(&to, FILL).ok()).collect();
    (listener, full)
}

/// The client's FIN stands behind its bytes before an upstream is connected.
fn fin_before_connect(poller: &str, cell: Cell) -> Vec<String> {
    let (listener, full) = full_listener();
    let mut corelane = Corelane::start(poller, listener.local_addr().unwrap());
    let (client_whisper, server_whisper) = whispers();
    let [mut client_script, server_script] = cell.scripts();
    let end = client_script
        .iter()
        .position(|step| matches!(step, Step::Fin));
    // A second report, for the thread that makes room in the backlog.
    client_script.insert(end.unwrap() + 1, Step::Tell);
    let to = corelane.address;
    let (seen, address): (Both, _) = thread::scope(|scope| {
        let client = scope.spawn(move || client(to, &client_script, &client_whisper));
        server_whisper.hear.recv().unwrap();
        for _ in full {
            listener.accept().unwrap();
        }
        let (stream, _) = listener.accept().unwrap();
        let server = play(Side::Server, stream, &server_script, &server_whisper);
        let (client, address) = client.join().unwrap();
        ([client, server], address)
    });
    let record = corelane.record(address);
    corelane.assert_quiet();
    let direct = &direct()[cell.position()];
    let wrong = verdict(cell, direct, &seen, record.as_ref(), false);
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "before the connect: {}",
        row(cell, direct, &seen, &wrong)
    )]
}

/// The client resets during the connect to its upstream.
fn reset_before_connect(poller: &str, cell: Cell) -> Vec<String> {
    let (listener, full) = full_listener();
    let mut corelane = Corelane::start(poller, listener.local_addr().unwrap());
    let (whisper, other) = whispers();
    let script = [Step::Send(cell.bytes()), Step::Reset];
    let (seen, address) = client(corelane.address, &script, &whisper);
    for _ in full {
        listener.accept().unwrap();
    }
    let mut failures = Vec::new();
    let mut fail =
        |what: String| failures.push(format!("reset before the connect, {cell:?}: {what}"));
    // Either the session ends without a server, or the server sees the same as on a direct
    // connection: the session ends after the server has received all bytes before the reset.
    listener.set_nonblocking(true).unwrap();
    let record = (0..DEADLINE.as_millis() / LOOK.as_millis()).find_map(|_| {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            let server = play(
                Side::Server,
                stream,
                &[Step::ReceiveToEnd(Pace::Fast)],
                &other,
            );
            if server.end != End::Reset || server.corrupt || server.received > seen.sent {
                fail(format!("the server: {server}"));
            }
        }
        corelane.record_within(LOOK, address)
    });
    match record {
        None => fail("no record".to_owned()),
        Some(record) if record["ended"] != "client_rst" => fail(format!("{record:?}")),
        Some(_) => {}
    }
    corelane.assert_quiet();
    failures
}
