//! The close matrix: cell by cell, both ends' observations through corelane against the
//! observations on a direct connection. See [`verdict`] for the comparison.
//!
//! Every byte is compared with the pattern of its direction. The observations on a direct
//! connection are measured in the same run, [`DIRECT_RUNS`] times, since the network stack itself
//! is racy: a reset discards the sender's unsent bytes, and their number depends on the reader's
//! speed.
//!
//! Two rows have no direct connection of their own: see `close_matrix/unconnected.rs`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a table of what failed is the output")]
#![expect(
    clippy::disallowed_methods,
    reason = "peers are threads, and a slow one waits between its reads"
)]
#![expect(unsafe_code, reason = "an ioctl, and standard input as a socket")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use ::corelane::poller::io_uring_refusal;
use socket2::SockRef;

use crate::corelane::{Corelane, DEADLINE, Fields};
use crate::peer::{End, Seen, Side, Whisper, play, play_alone};
use crate::require_io_uring::require_io_uring;
use crate::scenario::{Cell, Flight};

#[path = "close_matrix/corelane.rs"]
mod corelane;
#[path = "close_matrix/peer.rs"]
mod peer;
#[path = "../src/poller/require_io_uring.rs"]
mod require_io_uring;
#[path = "close_matrix/scenario.rs"]
mod scenario;
#[path = "close_matrix/unconnected.rs"]
mod unconnected;

/// How often each cell runs without corelane.
const DIRECT_RUNS: usize = 3;
/// Cells that run at once; each worker has its own corelane.
const WORKERS: usize = 3;
/// The poller on whose system a reset discards unread bytes.
const FORGETS: &str = "iocp";

/// The observations of both sides of a cell.
type Both = [Seen; 2];

#[test]
fn plays_a_peer_that_crashes() {
    play_alone();
}

#[test]
fn io_uring_ends_as_a_direct_connection_does() {
    if require_io_uring(io_uring_refusal()) {
        matrix("io_uring");
    }
}

#[test]
fn epoll_ends_as_a_direct_connection_does() {
    matrix("epoll");
}

#[test]
fn io_uring_ends_sessions_without_an_upstream() {
    if require_io_uring(io_uring_refusal()) {
        unconnected::rows("io_uring");
    }
}

#[test]
fn epoll_ends_sessions_without_an_upstream() {
    unconnected::rows("epoll");
}

/// On the emulation of `src/sys/kqueue_emulated.rs`.
#[cfg(kqueue_emulated)]
#[test]
fn kqueue_ends_as_a_direct_connection_does() {
    matrix("kqueue");
}

/// On a corelane for Windows, which `CORELANE_PROGRAM` starts: `./ci-ports windows`. Its sockets
/// discard unread bytes at a reset, so fewer bytes may arrive; everything else must hold.
/// held.
#[test]
#[ignore = "wants Wine: ./ci-ports windows"]
fn iocp_ends_as_a_direct_connection_does() {
    matrix("iocp");
}

fn matrix(poller: &str) {
    let cells = Cell::all();
    let direct = direct();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut corelane = Corelane::start(poller, listener.local_addr().unwrap());
        while let Some(at) = take(&next, cells.len()) {
            let (seen, client) = run(cells[at], corelane.address, &listener);
            let record = corelane.record(client);
            let forgets = poller == FORGETS;
            let wrong = verdict(cells[at], &direct[at], &seen, record.as_ref(), forgets);
            if !wrong.is_empty() {
                failures.push(row(cells[at], &direct[at], &seen, &wrong));
            }
        }
        corelane.assert_quiet();
        failures
    };
    let failures: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    assert!(
        failures.is_empty(),
        "{poller}: {} of {} cells differ from a direct connection\n{}",
        failures.len(),
        cells.len(),
        failures.join("\n")
    );
}

/// The observations on a direct connection, cell by cell; measured once.
fn direct() -> &'static [Vec<Both>] {
    static DIRECT: OnceLock<Vec<Vec<Both>>> = OnceLock::new();
    DIRECT.get_or_init(|| {
        let cells = Cell::all();
        let next = AtomicUsize::new(0);
        let work = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let mut measured = Vec::new();
            while let Some(at) = take(&next, cells.len()) {
                let runs = (0..DIRECT_RUNS).map(|_| run(cells[at], address, &listener).0);
                measured.push((at, runs.collect()));
            }
            measured
        };
        let mut measured: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            let join = |w: thread::ScopedJoinHandle<'_, _>| -> Vec<(usize, Vec<Both>)> {
                w.join().unwrap()
            };
            workers.into_iter().flat_map(join).collect()
        });
        measured.sort_by_key(|(at, _)| *at);
        measured.into_iter().map(|(_, runs)| runs).collect()
    })
}

fn take(next: &AtomicUsize, end: usize) -> Option<usize> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    (at < end).then_some(at)
}

/// Runs a cell: a client that connects to `to`, and a server that accepts from `listener`. The
/// client begins after the accept; `unconnected` covers earlier resets.
fn run(cell: Cell, to: SocketAddr, listener: &TcpListener) -> (Both, SocketAddr) {
    let [client_script, server_script] = cell.scripts();
    let (client_whisper, server_whisper) = whispers();
    let (begin, taken) = channel();
    // The timeout also applies to accept (socket(7)): a failure, not an endless wait.
    let bound = SockRef::from(listener).set_read_timeout(Some(DEADLINE));
    bound.unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(move || {
            let stream = TcpStream::connect(to).unwrap();
            let address = stream.local_addr().unwrap();
            taken.recv().unwrap();
            let seen = play(Side::Client, stream, &client_script, &client_whisper);
            (seen, address)
        });
        let (stream, _) = listener.accept().unwrap();
        begin.send(()).unwrap();
        let server = play(Side::Server, stream, &server_script, &server_whisper);
        let (client, address) = client.join().unwrap();
        ([client, server], address)
    })
}

/// The two ends of a channel.
fn whispers() -> (Whisper, Whisper) {
    let (to_server, from_client) = channel();
    let (to_client, from_server) = channel();
    let client = Whisper {
        tell: to_server,
        hear: from_server,
    };
    let server = Whisper {
        tell: to_client,
        hear: from_client,
    };
    (client, server)
}

/// The errors of a cell; empty for a good cell.
///
/// - Every received byte was sent, and there are no additional bytes.
/// - Each side sees an end that a direct connection shows in this cell.
/// - Before a FIN: all sent bytes. Before a reset: all bytes that the sender's peer had
///   acknowledged at the end, which a direct connection delivers with any timing. Where only few
///   bytes were in flight, which reach the peer's kernel at once, as many bytes as any direct run.
/// - One record of the session, with the right bytes and end reason.
fn verdict(
    cell: Cell,
    direct: &[Both],
    seen: &Both,
    record: Option<&Fields>,
    forgets: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, name) in ["client", "server"].into_iter().enumerate() {
        let (this, other) = (seen[at], seen[1 - at]);
        let ends: BTreeSet<End> = direct.iter().map(|run| run[at].end).collect();
        if !ends.contains(&this.end) {
            wrong.push(format!("{name} sees {:?}, direct {ends:?}", this.end));
        }
        if this.corrupt {
            wrong.push(format!("{name} got other bytes than were sent"));
        }
        let least = match this.end {
            End::Fin => other.sent,
            End::Reset if other.end == End::Own && !forgets => {
                let direct = direct.iter().map(|run| run[at].received).min().unwrap();
                let little = cell.flight != Flight::Large;
                let acknowledged = other.sent - other.outstanding;
                acknowledged.max(if little { direct } else { 0 })
            }
            _ => 0,
        };
        if this.received < least || this.received > other.sent {
            let got = this.received;
            wrong.push(format!("{name} got {got} of {least} to {}", other.sent));
        }
    }
    let Some(record) = record else {
        wrong.push("no record".to_owned());
        return wrong;
    };
    let words = cell.ending.words(cell.flight);
    if !words.contains(&record["ended"].as_str()) {
        wrong.push(format!("recorded as {}, not {words:?}", record["ended"]));
    }
    for (at, key) in ["to_client_bytes", "from_client_bytes"]
        .into_iter()
        .enumerate()
    {
        let bytes: u64 = record[key].parse().unwrap();
        let (received, sent) = (seen[at].received, seen[1 - at].sent);
        let exact = seen[at].end == End::Fin;
        if bytes < received || bytes > sent || exact && bytes != received {
            wrong.push(format!("{key}={bytes}, got {received}, sent {sent}"));
        }
    }
    wrong
}

fn row(cell: Cell, direct: &[Both], seen: &Both, wrong: &[String]) -> String {
    let Cell {
        ending,
        flight,
        pace,
        path,
    } = cell;
    let cell = format!("{ending:?}, {flight:?}, {pace:?}, {path:?}");
    let mut text = format!("{cell}: {}\n", wrong.join("; "));
    for (name, [client, server]) in [("direct", &direct[0]), ("corelane", seen)] {
        text += &format!("    {name:8}  client {client}   server {server}\n");
    }
    text
}
