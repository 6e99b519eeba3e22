//! Bytes: all of them, in order, none unrequested.
#![expect(clippy::disallowed_methods, reason = "peers are threads that block")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use socket2::SockRef;

use super::peer::{pair, pattern, reads, reset, same, writes};
use super::world::{World, chain, take_held};
use crate::buf::{Chain, Pool, PoolOptions};
use crate::poller::{Close, Event, Op, OpKind, RecvEnd};

/// Sends back the received buffers themselves.
pub(super) fn echo(world: &mut World) {
    let (socket, peer) = world.pair();
    let data = pattern(1, 0, 300_000);
    let (writer, reader) = (writes(&peer, data.clone()), reads(&peer, data.len()));
    world.hold = true;
    world.submit(socket, Op::Recv);
    let mut echoed = 0;
    while echoed < data.len() {
        world.until("bytes to echo", |world| !world.held.is_empty());
        let mut chain = Chain::default();
        for buf in take_held(world) {
            chain.push(buf);
        }
        let bytes = chain.len();
        world.submit(socket, Op::Send(chain));
        let (sent, result) = world.sent(socket);
        result.unwrap();
        assert_eq!(sent, bytes);
        echoed += sent;
    }
    world.join("the writer", writer);
    same(&world.join("the reader", reader), &data);
}

/// A read stops at urgent data, and no event announces the bytes behind.
pub(super) fn urgent_in_the_middle(world: &mut World) {
    let (ours, mut peer) = pair();
    SockRef::from(&ours).set_out_of_band_inline(true).unwrap();
    let socket = world.attach(ours);
    // Present before the first read, then during the stream.
    for _ in 0..2 {
        peer.write_all(b"abc").unwrap();
        assert_eq!(SockRef::from(&peer).send_out_of_band(b"d").unwrap(), 1);
        peer.write_all(b"ef").unwrap();
        if !world.is_inflight(socket, OpKind::Recv) {
            world.submit(socket, Op::Recv);
        }
        let mut got = Vec::new();
        world.until("what is behind the urgent byte", |world| {
            got.append(&mut world.take_got(socket));
            got.len() >= 6
        });
        assert_eq!(got, b"abcdef");
    }
}

/// One completion, in however small pieces the kernel takes the chain.
pub(super) fn short_send(world: &mut World) {
    let (socket, peer) = world.pair();
    world.tiny_send_buffer(socket);
    let data = pattern(2, 0, 1 << 19);
    let mut slow = peer.try_clone().unwrap();
    let length = data.len();
    let reader = thread::spawn(move || {
        let mut got = vec![0; length];
        for part in got.chunks_mut(1000) {
            slow.read_exact(part).unwrap();
        }
        got
    });
    let chain = world.chain(&data);
    world.submit(socket, Op::Send(chain));
    let (sent, result) = world.sent(socket);
    result.unwrap();
    assert_eq!(sent, data.len());
    same(&world.join("the slow reader", reader), &data);
}

/// Chains of up to, exactly and more than one message's parts, the last part partly filled.
pub(super) fn gathered_send(world: &mut World) {
    let options = PoolOptions {
        buffer_bytes: 64,
        buffers_max: 128,
    };
    let tiny = Pool::new(options).unwrap();
    let (socket, mut peer) = world.pair();
    for parts in [1, 2, 15, 16, 17, 32, 33, 100] {
        let data = pattern(3, 0, parts * 64 - 7);
        let chain = chain(&tiny, &data);
        assert_eq!(chain.buffers(), parts);
        world.submit(socket, Op::Send(chain));
        let (sent, result) = world.sent(socket);
        result.unwrap();
        assert_eq!(sent, data.len());
        assert_eq!(tiny.in_use(), 0, "what is sent comes back");
        let mut got = vec![0; data.len()];
        peer.read_exact(&mut got).unwrap();
        same(&got, &data);
    }
}

/// Completes with the next completion of a different op at the latest.
pub(super) fn lazy_send(world: &mut World) {
    let (socket, mut peer) = world.pair();
    world.submit(socket, Op::Recv);
    for bytes in [1, 1000, 40_000] {
        let data = pattern(5, 0, bytes);
        let chain = world.chain(&data);
        world.submit(socket, Op::SendLazily(chain));
        world.look();
        let mut got = vec![0; bytes];
        peer.read_exact(&mut got).unwrap();
        same(&got, &data);
        peer.write_all(b"x").unwrap();
        world.receive(socket, 1);
        let told = world.take_final(socket, OpKind::Send);
        match told.expect("told with what came behind it") {
            Event::Sent(sent, Ok(())) | Event::SentLazily(sent) => assert_eq!(sent, bytes),
            event => panic!("{event:?}"),
        }
        assert_eq!(world.source.in_use(), 0, "what is sent comes back");
    }
}

/// A send that the kernel has not taken at once gets a completion of its own: a send without
/// room, and a send with room for a part.
pub(super) fn lazy_send_that_does_not_fit(world: &mut World) {
    for (parts, fill) in [(1, true), (16, false), (16, true), (17, false), (40, true)] {
        let (socket, peer) = world.pair();
        world.tiny_send_buffer(socket);
        let filled = if fill { world.fill(socket) } else { 0 };
        let data = pattern(6, 0, parts * world.source.buffer_bytes());
        let chain = world.chain(&data);
        world.park(socket, Op::SendLazily(chain));
        let reader = reads(&peer, filled + data.len());
        let (sent, result) = world.sent(socket);
        result.unwrap();
        assert_eq!(sent, data.len());
        same(&world.join("the reader", reader)[filled..], &data);
    }
}

/// An error gets a completion of its own.
pub(super) fn lazy_send_to_a_dead_peer(world: &mut World) {
    let (socket, peer) = world.pair();
    world.submit(socket, Op::Recv);
    reset(peer);
    assert!(matches!(world.recv_end(socket), Some(RecvEnd::Failed(_))));
    let chain = world.chain(b"anybody there?");
    world.submit(socket, Op::SendLazily(chain));
    let (sent, result) = world.sent(socket);
    assert_eq!(sent, 0);
    result.unwrap_err();
}

/// With a lazy send in flight, cancelled or not, all memory is returned.
pub(super) fn lazy_send_and_close(world: &mut World) {
    for cancel in [false, true] {
        let (socket, peer) = world.pair();
        let chain = world.chain(&pattern(7, 0, 50_000));
        world.submit(socket, Op::SendLazily(chain));
        if cancel {
            world.cancel(socket, OpKind::Send);
        }
        world.close(socket, Close::Fin);
        world.is_gone(peer);
        world.meanwhile("the chain's return", |world| world.source.in_use() == 0);
    }
}

pub(super) fn empty_send(world: &mut World) {
    let (socket, _peer) = world.pair();
    world.submit(socket, Op::Send(Chain::default()));
    let (sent, result) = world.sent(socket);
    result.unwrap();
    assert_eq!(sent, 0);
}

/// Each direction continues after the end of the opposite direction.
pub(super) fn half_close(world: &mut World) {
    let (socket, mut peer) = world.pair();
    peer.write_all(b"last").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    world.submit(socket, Op::Recv);
    assert_eq!(world.recv_end(socket), Some(RecvEnd::Fin));
    assert_eq!(world.take_got(socket), b"last");
    let data = pattern(4, 0, 500_000);
    let reader = reads(&peer, data.len());
    let chain = world.chain(&data);
    world.submit(socket, Op::Send(chain));
    assert_eq!(world.sent(socket).0, data.len());
    same(&world.join("the reader", reader), &data);

    let (socket, mut peer) = world.pair();
    world.submit(socket, Op::Recv);
    world.shutdown(socket);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "our FIN");
    let writer = writes(&peer, data.clone());
    same(&world.receive(socket, data.len()), &data);
    world.join("the writer", writer);
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.recv_end(socket), Some(RecvEnd::Fin));
}

/// Without a receive in flight nothing is read, and TCP stops the peer.
pub(super) fn backpressure(world: &mut World) {
    let (socket, mut peer) = world.pair();
    world.submit(socket, Op::Recv);
    peer.write_all(b"x").unwrap();
    world.receive(socket, 1);
    world.cancel(socket, OpKind::Recv);
    assert_eq!(world.recv_end(socket), None);
    peer.set_nonblocking(true).unwrap();
    let data = pattern(5, 0, 32 << 20);
    let mut written = 0;
    // The peer's kernel may refuse bytes while ours still makes room: wait until it stays full.
    let mut full = 0;
    while full < 20 && written < data.len() {
        // Windows takes a write of any size whole if it has any room.
        let part = &data[written..][..(64 * 1024).min(data.len() - written)];
        match peer.write(part) {
            Ok(bytes) => (written, full) = (written + bytes, 0),
            Err(e) if e.kind() == ErrorKind::WouldBlock => full += 1,
            Err(e) => panic!("{e}"),
        }
        world.look();
    }
    assert!(written < data.len(), "nothing held the peer up");
    assert_eq!(world.got(socket), 0, "received unasked");
    world.submit(socket, Op::Recv);
    same(&world.receive(socket, written), &data[..written]);
}

pub(super) fn idle_holds_no_buffer(world: &mut World) {
    let idle: Vec<_> = (0..100).map(|_| world.pair()).collect();
    for (socket, _) in &idle {
        world.submit(*socket, Op::Recv);
    }
    for _ in 0..3 {
        world.look();
    }
    // A completion-based poller provides some buffers to the kernel, for all sockets together.
    assert!(world.pool.in_use() <= 64, "{}", world.pool.in_use());
    for (socket, mut peer) in idle {
        peer.write_all(b"awake").unwrap();
        assert_eq!(world.receive(socket, 5), b"awake");
    }
    assert!(world.pool.in_use() <= 64, "{}", world.pool.in_use());
}

/// Bytes that arrive before the receive are kept; bytes that arrive during it end the sleep.
pub(super) fn recv_before_and_after_data(world: &mut World) {
    let (early, mut early_peer) = world.pair();
    early_peer.write_all(b"before").unwrap();
    world.submit(early, Op::Recv);
    assert_eq!(world.receive(early, 6), b"before");
    let (late, late_peer) = world.pair();
    world.park(late, Op::Recv);
    let writer = writes(&late_peer, b"after".to_vec());
    assert_eq!(world.receive(late, 5), b"after");
    world.join("the writer", writer);
    early_peer.write_all(b"again").unwrap();
    assert_eq!(world.receive(early, 5), b"again");
}

/// A connection with an endless supply of bytes does not starve a slow connection.
pub(super) fn fast_sender_starves_nobody(world: &mut World) {
    let (fast, fast_peer) = world.pair();
    let (slow, mut slow_peer) = world.pair();
    let stop = Arc::new(AtomicBool::new(false));
    let flood = flood(&fast_peer, Arc::clone(&stop));
    world.submit(fast, Op::Recv);
    world.submit(slow, Op::Recv);
    for round in 0..20 {
        world.until("the flood", |world| world.got(fast) > 1 << 20);
        world.take_got(fast);
        slow_peer.write_all(&[round]).unwrap();
        let before = world.waits;
        world.until("the slow one's byte", |world| world.got(slow) > 0);
        assert_eq!(world.take_got(slow), [round]);
        let waits = world.waits - before;
        assert!(waits <= 16, "{waits} waits");
    }
    stop.store(true, Ordering::Relaxed);
    world.join("the flood's end", flood);
    assert!(!matches!(
        world.take_final(fast, OpKind::Recv),
        Some(Event::RecvEnded(_))
    ));
}

fn flood(peer: &TcpStream, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let mut peer = peer.try_clone().unwrap();
    thread::spawn(move || {
        let data = vec![b'f'; 256 * 1024];
        while !stop.load(Ordering::Relaxed) {
            peer.write_all(&data).unwrap();
        }
    })
}
