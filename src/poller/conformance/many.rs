//! Many sockets, few buffers.
#![expect(clippy::disallowed_methods, reason = "peers are threads that block")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::peer::{pattern, same};
use super::world::{World, take_held};
use crate::poller::{BackEnd, Close, Op, OpKind, RecvEnd, Socket};

pub(super) fn thousand_ops(world: &mut World) {
    let mut all: Vec<_> = (0..500).map(|_| world.pair()).collect();
    for (socket, _) in &all {
        world.submit(*socket, Op::Recv);
        world.submit(*socket, Op::ReadReady);
    }
    for (number, (_, peer)) in (0_u32..).zip(&mut all) {
        peer.write_all(&number.to_le_bytes()).unwrap();
    }
    for (number, (socket, _)) in (0_u32..).zip(&all) {
        assert_eq!(world.receive(*socket, 4), number.to_le_bytes());
    }
    for (number, (socket, _)) in (0_u32..).zip(&all) {
        let chain = world.chain(&number.to_be_bytes());
        world.submit(*socket, Op::Send(chain));
    }
    for (number, (socket, peer)) in (0_u32..).zip(&mut all) {
        assert_eq!(world.sent(*socket).0, 4);
        let mut got = [0; 4];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(got, number.to_be_bytes());
    }
}

/// 64 KiB for each of a hundred connections, through however few buffers there are.
pub(super) fn hundred_connections(world: &mut World) {
    const BYTES: usize = 64 * 1024;
    let all: Vec<_> = (0..100).map(|_| world.pair()).collect();
    let peers: Vec<TcpStream> = all
        .iter()
        .map(|(_, peer)| peer.try_clone().unwrap())
        .collect();
    for (socket, _) in &all {
        world.submit(*socket, Op::Recv);
    }
    let writer = thread::spawn(move || {
        for (seed, mut peer) in (0..).zip(&peers) {
            peer.write_all(&pattern(seed, 0, BYTES)).unwrap();
        }
    });
    for (seed, (socket, _)) in (0..).zip(&all) {
        same(&world.receive(*socket, BYTES), &pattern(seed, 0, BYTES));
    }
    world.join("the writer", writer);
    for (_, peer) in &all {
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    }
    for (socket, _) in &all {
        assert_eq!(world.recv_end(*socket), Some(RecvEnd::Fin));
    }
}

/// Buffers provided for heavy traffic are returned at rest, and provided again with new traffic.
pub(super) fn rests(world: &mut World) {
    let mut all: Vec<_> = (0..100).map(|_| world.pair()).collect();
    for (socket, _) in &all {
        world.submit(*socket, Op::Recv);
    }
    let mut round = |world: &mut World| {
        for (_, peer) in &mut all {
            peer.write_all(b"all at once").unwrap();
        }
        for (socket, _) in &all {
            assert_eq!(world.receive(*socket, 11), b"all at once");
        }
    };
    for _ in 0..5 {
        round(world);
    }
    let held_ready = world.pool.in_use();
    world.poller.rest();
    world.meanwhile("few buffers in use", |world| world.pool.in_use() <= 32);
    let io_uring = world.poller.back_end() == BackEnd::IoUring;
    if io_uring && world.pool.buffers_max() > 100 {
        assert!(held_ready > 100, "{held_ready}: nothing was to go back");
    }
    for _ in 0..3 {
        round(world);
        world.poller.rest();
    }
}

/// Holds every available buffer, so that receives starve.
fn exhaust(world: &mut World, socket: Socket, peer: &mut TcpStream) {
    world.hold = true;
    let was = peer.write_timeout().unwrap();
    peer.set_nonblocking(true).unwrap();
    let data = vec![b'e'; 1 << 20];
    let mut quiet = 0;
    while quiet < 20 {
        let before = world.held.len();
        match peer.write(&data) {
            Ok(_) => {}
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
        world.look();
        quiet = if world.held.len() > before {
            0
        } else {
            quiet + 1
        };
    }
    assert!(world.is_inflight(socket, OpKind::Recv));
    assert_eq!(world.pool.in_use(), world.pool.buffers_max());
    peer.set_nonblocking(false).unwrap();
    peer.set_write_timeout(was).unwrap();
}

/// While the caller holds all buffers a receive waits, asleep, and continues on their return.
pub(super) fn all_buffers_held(world: &mut World) {
    world.starve();
    let (greedy, mut greedy_peer) = world.pair();
    let (other, mut other_peer) = world.pair();
    world.submit(greedy, Op::Recv);
    exhaust(world, greedy, &mut greedy_peer);
    other_peer.write_all(b"hungry").unwrap();
    world.submit(other, Op::Recv);
    for _ in 0..5 {
        world.look();
    }
    // Some early wake-ups are allowed, but not without end.
    let early = (0..20).filter(|_| world.turned_early(Duration::from_millis(1)));
    assert!(early.count() < 5, "busy while it starves");
    world.hold = false;
    drop(take_held(world));
    assert_eq!(world.receive(other, 6), b"hungry");
}

/// All sockets starve and each gets bytes, longest-starved first.
pub(super) fn buffers_go_round(world: &mut World) {
    world.starve();
    let mut all: Vec<_> = (0..8).map(|_| world.pair()).collect();
    for (socket, peer) in &mut all {
        peer.write_all(&pattern(1, 0, 100_000)).unwrap();
        world.submit(*socket, Op::Recv);
    }
    // Two buffers of 4 KiB a turn: after forty turns each has had its share, in any order.
    for _ in 0..40 {
        world.look();
    }
    for (socket, _) in &all {
        assert!(world.got(*socket) > 0, "one got nothing in 40 turns");
    }
    for (socket, _) in &all {
        same(&world.receive(*socket, 100_000), &pattern(1, 0, 100_000));
    }
}

/// A socket with unread bytes is served although idle sockets starve ahead in the queue.
pub(super) fn starved_while_idle(world: &mut World) {
    world.starve();
    let (greedy, mut greedy_peer) = world.pair();
    world.submit(greedy, Op::Recv);
    exhaust(world, greedy, &mut greedy_peer);
    let idle: Vec<_> = (0..20).map(|_| world.pair()).collect();
    for (socket, _) in &idle {
        world.submit(*socket, Op::Recv);
        world.look();
    }
    let (last, mut last_peer) = world.pair();
    world.submit(last, Op::Recv);
    world.look();
    last_peer.write_all(b"and me").unwrap();
    world.look();
    world.close(greedy, Close::Fin);
    for _ in 0..3 {
        world.look();
    }
    world.hold = false;
    drop(take_held(world));
    assert_eq!(world.receive(last, 6), b"and me");
}

/// Cancelled, submitted again, and closed while starving.
pub(super) fn starved_and_cancelled(world: &mut World) {
    world.starve();
    let (greedy, mut greedy_peer) = world.pair();
    world.submit(greedy, Op::Recv);
    exhaust(world, greedy, &mut greedy_peer);
    let (kept, mut kept_peer) = world.pair();
    let (closed, mut closed_peer) = world.pair();
    for peer in [&mut kept_peer, &mut closed_peer] {
        peer.write_all(b"patience").unwrap();
    }
    world.submit(closed, Op::Recv);
    for _ in 0..100 {
        world.submit(kept, Op::Recv);
        world.look();
        world.look();
        world.cancel(kept, OpKind::Recv);
        assert_eq!(world.recv_end(kept), None);
    }
    world.close(closed, Close::Fin);
    world.cancel(greedy, OpKind::Recv);
    assert_eq!(world.recv_end(greedy), None);
    world.submit(kept, Op::Recv);
    world.look();
    world.look();
    world.hold = false;
    drop(take_held(world));
    assert_eq!(world.receive(kept, 8), b"patience");
    world.submit(greedy, Op::Recv);
    world.until("the rest", |world| world.got(greedy) > 0);
}
