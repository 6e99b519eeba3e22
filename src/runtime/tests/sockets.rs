//! Sockets: backpressure, and futures dropped at the wrong moment, on every back end.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::mpsc::channel;

use socket2::SockRef;

use super::{PATIENCE, lane_on, ms, on_every_back_end, run, spawn, turn, turn_now};
use crate::buf::{Chain, Pool};
use crate::poller::{Close, PollerOptions};
use crate::runtime::handle::Handle;
use crate::runtime::lane::{Lane, LaneOptions};
use crate::runtime::latch::{Either, either};
use crate::runtime::socket::LaneSocket;
use crate::runtime::task_timer::{timeout, yield_now};
use crate::sys::{self, OsSocket};

/// Both ends of a connection; calls on the client's end time out.
pub(super) fn pair() -> (OsSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    let ours = listener.accept().unwrap().0;
    ours.set_nonblocking(true).unwrap();
    (ours.into(), client)
}

/// Bytes in which two ranges differ unless they are a large prime apart.
pub(super) fn pattern(from: usize, bytes: usize) -> Vec<u8> {
    const PERIOD: usize = 65_521;
    static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let byte = |at: usize| u8::try_from((at * 7 + at / 251) % 256).unwrap();
        (0..PERIOD).map(byte).collect()
    });
    let mut all = Vec::with_capacity(bytes);
    while all.len() < bytes {
        let rest = &BLOCK[(from + all.len()) % PERIOD..];
        all.extend_from_slice(&rest[..rest.len().min(bytes - all.len())]);
    }
    all
}

/// A chain of the pool's buffers with the given bytes.
pub(super) fn chain(pool: &Pool, bytes: &[u8]) -> Chain {
    let mut chain = Chain::default();
    for part in bytes.chunks(pool.buffer_bytes()) {
        let mut buf = pool.take().unwrap();
        buf.space()[..part.len()].copy_from_slice(part);
        buf.fill(part.len());
        chain.push(buf);
    }
    chain
}

pub(super) fn bytes_of(chain: &Chain) -> Vec<u8> {
    chain.parts().flatten().copied().collect()
}

/// Receives until the FIN.
pub(super) async fn recv_all(socket: &LaneSocket) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chain = socket.recv().await.unwrap();
        if chain.is_empty() {
            return all;
        }
        all.extend(bytes_of(&chain));
    }
}

#[test]
fn what_arrives_is_received_in_order_then_the_fin_for_ever() {
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        let writer = spawn(move || {
            for at in 0..300 {
                client.write_all(&pattern(at * 1000, 1000)).unwrap();
            }
        });
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let all = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            let all = recv_all(&socket).await;
            assert!(socket.recv().await.unwrap().is_empty(), "still the FIN");
            socket.close(Close::Fin);
            all
        });
        writer.join().unwrap();
        assert!(all == pattern(0, 300_000));
    });
}

/// Writes as much as fits without waiting.
fn write_what_fits(client: &mut TcpStream, from: usize, until: usize) -> usize {
    let mut at = from;
    while at < until {
        match client.write(&pattern(at, (until - at).min(64 * 1024))) {
            Ok(bytes) => at += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    at
}

/// Invariant I5: a task that does not receive holds a bounded number of buffers, whatever its peer
/// sends; no byte is lost, and all bytes arrive later.
#[test]
fn a_flood_to_a_task_that_does_not_receive_is_held_back() {
    const ALL: usize = 8 << 20;
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        let small = 256 * 1024;
        SockRef::from(&server).set_recv_buffer_size(small).unwrap();
        SockRef::from(&client).set_send_buffer_size(small).unwrap();
        let mut lane = Lane::open(
            LaneOptions {
                poller: PollerOptions {
                    receive_buffers: 64,
                    ..PollerOptions::default()
                },
                ..LaneOptions::new(back_end)
            },
            sys::now(),
        )
        .unwrap();
        let handle = lane.handle();
        let idle = handle.pool().in_use();
        client.write_all(&pattern(0, 1)).unwrap();
        let (socket, first) = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            let first = bytes_of(&socket.recv().await.unwrap());
            (socket, first)
        });
        assert_eq!(first, pattern(0, 1));
        client.set_nonblocking(true).unwrap();
        // The stream stays armed while the task is busy.
        let (mut sent, mut most, mut quiet) = (1, 0, 0);
        while quiet < 200 {
            let before = sent;
            sent = write_what_fits(&mut client, sent, ALL);
            turn_now(&mut lane);
            most = most.max(lane.handle().pool().in_use() - idle);
            quiet = if sent == before { quiet + 1 } else { 0 };
        }
        assert!(sent < ALL, "nothing held the sender back");
        assert!(most <= 64 + 48, "{back_end}: {most} buffers");
        let writer = spawn(move || {
            client.set_nonblocking(false).unwrap();
            while sent < ALL {
                let piece = pattern(sent, (ALL - sent).min(64 * 1024));
                client.write_all(&piece).unwrap();
                sent += piece.len();
            }
        });
        let received = run(&mut lane, async move {
            let mut at = 1;
            loop {
                let chain = socket.recv().await.unwrap();
                if chain.is_empty() {
                    return at;
                }
                assert_eq!(bytes_of(&chain), pattern(at, chain.len()), "at {at}");
                at += chain.len();
            }
        });
        writer.join().unwrap();
        assert_eq!(received, ALL);
    });
}

/// Two sends of one direction never mix, even after the first send's future is dropped.
#[test]
fn a_send_whose_future_was_dropped_is_not_mixed_with_the_next() {
    const EACH: usize = 8 << 20;
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        SockRef::from(&server)
            .set_send_buffer_size(512 * 1024)
            .unwrap();
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let (begin, begun) = channel::<()>();
        let reader = spawn(move || {
            begun.recv().unwrap();
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            all
        });
        run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            let first = chain_of(&handle, &pattern(0, EACH));
            let pause = async {
                for _ in 0..10 {
                    yield_now().await;
                }
            };
            let ended = either(pin!(pause), pin!(socket.send(first))).await;
            assert!(matches!(ended, Either::First(())), "it cannot be sent yet");
            // A send that waits for the first to end, and is dropped before its start.
            let never = chain_of(&handle, b"never sent");
            let ended = either(pin!(yield_now()), pin!(socket.send(never))).await;
            assert!(matches!(ended, Either::First(())), "it cannot begin yet");
            begin.send(()).unwrap();
            let second = chain_of(&handle, &pattern(EACH, EACH));
            assert_eq!(socket.send(second).await.unwrap(), EACH);
            let third = chain_of(&handle, &pattern(2 * EACH, 5));
            assert_eq!(socket.send(third).await.unwrap(), 5);
            socket.close(Close::Fin);
        });
        turn_now(&mut lane);
        let all = reader.join().unwrap();
        assert_eq!(all.len(), 2 * EACH + 5);
        assert!(all == pattern(0, 2 * EACH + 5), "mixed");
    });
}

pub(super) fn chain_of(handle: &Handle, bytes: &[u8]) -> Chain {
    chain(handle.pool(), bytes)
}

/// Pitfall of compio#746: a cancelled receive that had succeeded.
#[test]
fn a_receive_whose_future_is_dropped_loses_nothing() {
    const ALL: usize = 3 << 20;
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        let writer = spawn(move || {
            for at in (0..ALL).step_by(3000) {
                let piece = pattern(at, 3000.min(ALL - at));
                client.write_all(&piece).unwrap();
            }
        });
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let (all, dropped) = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            let (mut all, mut dropped) = (Vec::new(), 0);
            loop {
                match either(pin!(socket.recv()), pin!(yield_now())).await {
                    Either::First(chain) => {
                        let chain = chain.unwrap();
                        if chain.is_empty() {
                            return (all, dropped);
                        }
                        all.extend(bytes_of(&chain));
                    }
                    Either::Second(()) => dropped += 1,
                }
            }
        });
        writer.join().unwrap();
        assert!(dropped > 0, "the test dropped no future");
        assert!(all == pattern(0, ALL), "{back_end}: {} bytes", all.len());
    });
}

#[test]
fn a_connect_that_is_refused_says_so() {
    on_every_back_end(|back_end| {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = nobody.local_addr().unwrap();
        drop(nobody);
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let error = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, sys::stream_socket(to).unwrap());
            socket.connect(to).await.unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connect_succeeds_and_then_bytes_flow() {
    on_every_back_end(|back_end| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let peer = spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, sys::stream_socket(to).unwrap());
            socket.connect(to).await.unwrap();
            socket.send(chain_of(&handle, b"hello")).await.unwrap();
            socket.close(Close::Fin);
        });
        turn_now(&mut lane);
        assert_eq!(peer.join().unwrap(), b"hello");
    });
}

/// A listener with a full backlog that accepts nothing: a connect does not end.
fn black_hole() -> (TcpListener, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let to = listener.local_addr().unwrap();
    let mut full = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&to, ms(300)) {
        full.push(client);
        assert!(full.len() < 10, "its backlog does not fill");
    }
    (listener, full)
}

#[test]
fn a_connect_that_gets_no_answer_can_be_given_up() {
    on_every_back_end(|back_end| {
        let (hole, full) = black_hole();
        let to = hole.local_addr().unwrap();
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        run(&mut lane, async move {
            for _ in 0..3 {
                let socket = LaneSocket::attach(&handle, sys::stream_socket(to).unwrap());
                let limit = handle.sleep_until(handle.now() + ms(30));
                assert!(timeout(limit, pin!(socket.connect(to))).await.is_err());
            }
            // The slot serves the next socket.
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            let socket = LaneSocket::attach(&handle, sys::stream_socket(to).unwrap());
            socket.connect(to).await.unwrap();
        });
        drop((hole, full));
    });
}

#[test]
fn a_connection_accepted_for_a_future_that_was_dropped_is_the_next_one_s() {
    on_every_back_end(|back_end| {
        let listener = sys::bind_shared("127.0.0.1:0".parse().unwrap(), false).unwrap();
        sys::listen(sys::borrow(&listener), 64).unwrap();
        let to = sys::local_address(sys::borrow(&listener)).unwrap();
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let clients = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, listener);
            drop(either(pin!(socket.accept()), pin!(yield_now())).await);
            let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(to).unwrap()).collect();
            let mut accepted = Vec::new();
            while accepted.len() < 5 {
                match either(pin!(yield_now()), pin!(socket.accept())).await {
                    Either::First(()) => {}
                    Either::Second(result) => accepted.push(result.unwrap()),
                }
            }
            let mut peers: Vec<_> = accepted.iter().map(|(_, peer)| *peer).collect();
            peers.sort_unstable();
            peers.dedup();
            assert_eq!(peers.len(), 5);
            clients
        });
        drop(clients);
    });
}

/// Invariant I4.
#[test]
fn two_lanes_do_not_mix_what_they_receive() {
    on_every_back_end(|back_end| {
        let mut lanes = [lane_on(back_end), lane_on(back_end)];
        let (ends, count) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
        let mut clients = Vec::new();
        for place in 0..20_usize {
            let (server, client) = pair();
            clients.push(client);
            let lane = &lanes[place % 2];
            let (handle, ends) = (lane.handle(), Rc::clone(&ends));
            let count = Rc::clone(&count);
            lane.handle().spawn(&"reader", async move {
                let socket = LaneSocket::attach(&handle, server);
                let all = recv_all(&socket).await;
                ends.borrow_mut().push((place, all));
                count.set(count.get() + 1);
            });
        }
        let mark = |place: usize| u8::try_from(place).unwrap();
        for (place, mut client) in clients.into_iter().enumerate() {
            client.write_all(&vec![mark(place); 1000 + place]).unwrap();
        }
        let end = sys::now() + PATIENCE;
        while count.get() < 20 {
            assert!(sys::now() < end, "only {} ended", count.get());
            lanes.iter_mut().for_each(turn_now);
        }
        for (place, all) in ends.borrow().iter() {
            assert!(*all == vec![mark(*place); 1000 + place], "of {place}");
        }
    });
}

/// A process that was frozen: the bytes arrived while the deadlines passed, and the first turn
/// finds both. More sockets than one wait would serve.
#[test]
fn what_arrived_in_time_is_delivered_before_a_deadline_is_judged() {
    const SOCKETS: usize = 300;
    on_every_back_end(|back_end| {
        let start = sys::now();
        let mut lane = Lane::open(LaneOptions::new(back_end), start).unwrap();
        let outcomes = Rc::new(RefCell::new(Vec::new()));
        let mut clients = Vec::new();
        for _ in 0..SOCKETS {
            let (socket, client) = pair();
            clients.push(client);
            let (handle, outcomes) = (lane.handle(), Rc::clone(&outcomes));
            lane.handle().spawn(&"idle", async move {
                let socket = LaneSocket::attach(&handle, socket);
                let limit = handle.sleep_until(handle.now() + ms(50));
                let received = timeout(limit, pin!(socket.recv())).await;
                let bytes = received.map(|received| received.unwrap().len());
                outcomes.borrow_mut().push(bytes);
            });
        }
        turn(&mut lane, start);
        turn(&mut lane, start);
        for client in &mut clients {
            client.write_all(b"alive").unwrap();
        }
        let late = start + PATIENCE;
        // All tasks of a turn; and tasks above its budget in the next turn.
        turn(&mut lane, late);
        turn(&mut lane, late);
        assert_eq!(*outcomes.borrow(), vec![Ok(5); SOCKETS], "{back_end}");
    });
}
