//! Closing at every stage: no further completions, the right end for the peer, all memory
//! returned.

use std::io::{ErrorKind, Read, Write};

use super::peer::{BlackHole, pattern, same, wide_listener};
use super::world::{Plenty, World, unconnected};
use crate::poller::{BackEnd, Close, Op, OpKind};
use crate::sys;

pub(super) fn idle(world: &mut World) {
    for how in [Close::Fin, Close::Reset] {
        let (socket, peer) = world.pair();
        let data = pattern(8, 0, 10_000);
        let chain = world.chain(&data);
        world.submit(socket, Op::Send(chain));
        assert_eq!(world.sent(socket).0, data.len());
        world.close(socket, how);
        let (got, end) = world.peer_reads(peer.try_clone().unwrap());
        if how == Close::Fin {
            same(&got, &data);
        }
        assert_eq!(end.is_ok(), how == Close::Fin, "{how:?}: {end:?}");
        world.is_gone(peer);
    }
}

/// Waiting for bytes, for readiness, and for both; the FIN goes out all the same.
pub(super) fn with_every_op(world: &mut World) {
    let kinds: [&[OpKind]; 4] = [
        &[OpKind::Recv],
        &[OpKind::ReadReady],
        &[OpKind::Recv, OpKind::ReadReady],
        &[],
    ];
    for kinds in kinds {
        for how in [Close::Fin, Close::Reset] {
            for looked in [false, true] {
                let (socket, peer) = world.pair();
                for kind in kinds {
                    let recv = *kind == OpKind::Recv;
                    world.submit(socket, if recv { Op::Recv } else { Op::ReadReady });
                }
                if looked {
                    world.look();
                }
                world.close(socket, how);
                let (got, end) = world.peer_reads(peer.try_clone().unwrap());
                assert!(got.is_empty());
                assert_eq!(end.is_ok(), how == Close::Fin, "{kinds:?} {how:?}: {end:?}");
                world.is_gone(peer);
            }
        }
    }
    let hole = BlackHole::open();
    let connecting = unconnected(world, hole.address);
    world.submit(connecting, Op::Connect(hole.address));
    world.close(connecting, Close::Fin);
    let listener = world.attach(wide_listener().0);
    world.submit(listener, Op::Accept);
    world.close(listener, Close::Fin);
    world.look();
}

/// A FIN after half of a send would look like an orderly end.
pub(super) fn with_a_send(world: &mut World) {
    for how in [Close::Fin, Close::Reset] {
        for with_recv in [false, true] {
            let (socket, peer) = world.pair();
            if with_recv {
                world.submit(socket, Op::Recv);
            }
            let data = world.park_send(socket);
            world.close(socket, how);
            let (got, end) = world.peer_reads(peer);
            end.expect_err("a reset");
            same(&got, &data[..got.len()]);
            world.meanwhile("the chain", |world| world.source.in_use() == 0);
        }
    }
}

/// Unread completions vanish with the socket, and their buffers are returned.
pub(super) fn with_answers_unread(world: &mut World) {
    for _ in 0..10 {
        let (socket, mut peer) = world.pair();
        world.park(socket, Op::Recv);
        world.park(socket, Op::ReadReady);
        peer.write_all(&pattern(9, 0, 3000)).unwrap();
        world.close(socket, Close::Fin);
        for _ in 0..3 {
            world.look();
        }
        world.is_gone(peer);
    }
}

pub(super) fn with_cancelled_send(world: &mut World) {
    let (socket, mut peer) = world.pair();
    let data = world.park_send(socket);
    world.cancel(socket, OpKind::Send);
    world.answer(socket, OpKind::Send);
    // Knowing how much was sent, the caller may end the stream there.
    world.close(socket, Close::Fin);
    let mut got = Vec::new();
    world.look();
    peer.read_to_end(&mut got).unwrap();
    same(&got, &data[..got.len()]);
}

pub(super) fn cancels_nothing_of_others(world: &mut World) {
    let (kept, mut peer) = world.pair();
    world.park(kept, Op::Recv);
    for _ in 0..20 {
        let (socket, _peer) = world.pair();
        world.submit(socket, Op::Recv);
        world.close(socket, Close::Reset);
        world.look();
    }
    peer.write_all(b"still here").unwrap();
    assert_eq!(world.receive(kept, 10), b"still here");
}

/// Slots and descriptor numbers are reused; the next socket gets no byte and no completion of the
/// former socket.
pub(super) fn slot_used_again(world: &mut World) {
    let mut slots = Vec::new();
    for round in 0..200_u8 {
        let (old, mut old_peer) = world.pair();
        world.submit(old, Op::Recv);
        world.look();
        old_peer.write_all(b"old old old").unwrap();
        world.close(old, Close::Fin);
        if round % 3 == 0 {
            world.look();
        }
        let (new, mut new_peer) = world.pair();
        world.submit(new, Op::Recv);
        new_peer.write_all(&[round]).unwrap();
        assert_eq!(world.receive(new, 1), [round]);
        world.look();
        assert!(world.take_got(new).is_empty());
        world.close(new, Close::Fin);
        slots.extend([old.slot(), new.slot()]);
    }
    let most = slots.iter().max().unwrap();
    assert!(*most < 16, "slots are used again, not {most} of them");
}

/// A second descriptor of the socket stays open, as in a child process: later events of the kernel
/// are stale and counted.
pub(super) fn descriptor_open_elsewhere(world: &mut World) {
    let (ours, mut old_peer) = super::peer::pair();
    let elsewhere = ours.try_clone().unwrap();
    let old = world.attach(ours);
    world.park(old, Op::Recv);
    world.close(old, Close::Fin);
    world.look();
    let (new, mut new_peer) = world.pair();
    world.submit(new, Op::Recv);
    world.look();
    old_peer.write_all(b"for whoever has it now").unwrap();
    new_peer.write_all(b"new").unwrap();
    assert_eq!(world.receive(new, 3), b"new");
    for _ in 0..3 {
        world.look();
    }
    assert!(world.take_got(new).is_empty());
    // Epoll continues to watch; io_uring's op was cancelled and has ended.
    let watched_on = world.poller.back_end() == BackEnd::Epoll;
    assert_eq!(world.poller.stale() > 0, watched_on);
    drop(elsewhere);
}

/// As at a stop without time to wait: all connections are reset, all memory is returned.
pub(super) fn poller_dropped_with_everything(world: &mut World) {
    let mut inner = World::open(world.poller.back_end(), world.plenty);
    let hole = BlackHole::open();
    let connecting = unconnected(&mut inner, hole.address);
    inner.submit(connecting, Op::Connect(hole.address));
    let (listener, address) = wide_listener();
    let listener = inner.attach(listener);
    inner.submit(listener, Op::Accept);
    let (sending, sending_peer) = inner.pair();
    inner.submit(sending, Op::Recv);
    inner.park_send(sending);
    let (receiving, mut receiving_peer) = inner.pair();
    inner.submit(receiving, Op::Recv);
    receiving_peer.write_all(b"unread").unwrap();
    inner.look();
    receiving_peer.write_all(b"unread").unwrap();
    let (_idle, idle_peer) = inner.pair();
    let client = std::net::TcpStream::connect(address).unwrap();
    inner.abandon();
    for peer in [sending_peer, receiving_peer, idle_peer, client] {
        world.peer_reads(peer).1.expect_err("a reset");
    }
}

/// With many sockets waiting.
pub(super) fn poller_dropped_with_many(world: &mut World) {
    let io_uring = world.poller.back_end() == BackEnd::IoUring;
    let wanted = if io_uring { 2500 } else { 200 };
    let possible = sys::file_limit().unwrap().saturating_sub(500) / 4;
    let mut inner = World::open(world.poller.back_end(), world.plenty);
    let all: Vec<_> = (0..wanted.min(possible)).map(|_| inner.pair()).collect();
    for (socket, _) in &all {
        inner.submit(*socket, Op::Recv);
    }
    inner.look();
    inner.abandon();
    for (_, mut peer) in all {
        let end = peer.read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
}

/// A thread may open any number of pollers in sequence: none leaves anything behind.
pub(super) fn opened_again_and_again(world: &mut World) {
    for _ in 0..40 {
        let mut inner = World::open(world.poller.back_end(), Plenty::Starved);
        let (socket, _peer) = inner.pair();
        inner.park(socket, Op::Recv);
        inner.finish();
    }
}
