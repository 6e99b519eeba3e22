//! The end of a stream: FIN for FIN, an error for a reset, and all earlier bytes first.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;

use super::peer::{pattern, reset, same, writes};
use super::world::World;
use crate::poller::{BackEnd, Close, Event, Op, OpKind, RecvEnd, Socket};

pub(super) fn eof(world: &mut World) {
    let (socket, peer) = world.pair();
    world.park(socket, Op::Recv);
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.recv_end(socket), Some(RecvEnd::Fin));
    let (socket, peer) = world.pair();
    drop(peer);
    world.submit(socket, Op::Recv);
    assert_eq!(world.recv_end(socket), Some(RecvEnd::Fin));
}

/// Data and FIN arrive together, less and more than a buffer of data.
pub(super) fn eof_with_data(world: &mut World) {
    for bytes in [1, 4095, 4096, 4097, 16 * 1024, 100_000] {
        let (socket, mut peer) = world.pair();
        let data = pattern(6, 0, bytes);
        if bytes < 50_000 {
            peer.write_all(&data).unwrap();
            drop(peer);
            world.submit(socket, Op::Recv);
        } else {
            world.submit(socket, Op::Recv);
            let writer = writes(&peer, data.clone());
            drop(peer);
            world.join("the writer", writer);
        }
        assert_eq!(world.recv_end(socket), Some(RecvEnd::Fin));
        same(&world.take_got(socket), &data);
    }
}

pub(super) fn eof_again(world: &mut World) {
    let (socket, peer) = world.pair();
    peer.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        world.submit(socket, Op::Recv);
        assert_eq!(world.recv_end(socket), Some(RecvEnd::Fin));
    }
}

fn expect_reset(world: &mut World, socket: Socket) {
    match world.recv_end(socket) {
        Some(RecvEnd::Failed(e)) => assert_eq!(e.error().kind(), ErrorKind::ConnectionReset),
        end => panic!("a reset became {end:?}"),
    }
}

pub(super) fn reset_without_data(world: &mut World) {
    let (socket, peer) = world.pair();
    world.park(socket, Op::Recv);
    reset(peer);
    expect_reset(world, socket);
    // No FIN follows the reset.
    world.submit(socket, Op::Recv);
    expect_reset(world, socket);
}

/// Linux keeps the bytes received before a reset, and the poller delivers them.
pub(super) fn reset_with_data(world: &mut World) {
    for bytes in [1, 4096, 10_000] {
        let (socket, mut peer) = world.pair();
        let data = pattern(7, 0, bytes);
        peer.write_all(&data).unwrap();
        reset(peer);
        world.submit(socket, Op::Recv);
        expect_reset(world, socket);
        let got = world.take_got(socket);
        // Windows discards unread bytes at a reset.
        let kept = match world.poller.back_end() {
            BackEnd::Iocp => got.len(),
            _ => data.len(),
        };
        same(&got, &data[..kept]);
    }
}

pub(super) fn reset_while_sending(world: &mut World) {
    let (socket, peer) = world.pair();
    let data = world.park_send(socket);
    reset(peer);
    let (sent, result) = world.sent(socket);
    assert!(sent < data.len(), "{sent} sent");
    let kind = result.unwrap_err().kind();
    assert!(
        matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{kind}"
    );
    assert_eq!(world.source.in_use(), 0, "the chain comes back");
}

/// The kernel reports an error once. If the send gets the error, the receive still sees no FIN.
pub(super) fn reset_seen_by_the_send_first(world: &mut World) {
    let (socket, peer) = world.pair();
    world.park_send(socket);
    reset(peer);
    world.sent(socket).1.unwrap_err();
    world.submit(socket, Op::Recv);
    expect_reset(world, socket);
    let chain = world.chain(b"more");
    world.submit(socket, Op::Send(chain));
    let (sent, result) = world.sent(socket);
    assert_eq!(sent, 0);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// As above with a receive in flight beside the send, submitted in either order.
pub(super) fn reset_with_both_in_flight(world: &mut World) {
    for recv_first in [true, false].repeat(10) {
        let (socket, peer) = world.pair();
        if recv_first {
            world.submit(socket, Op::Recv);
        }
        world.park_send(socket);
        if !recv_first {
            world.park(socket, Op::Recv);
        }
        reset(peer);
        expect_reset(world, socket);
        world.sent(socket).1.unwrap_err();
        world.close(socket, Close::Fin);
    }
}

/// A send gets an error and raises no signal that ends the process.
pub(super) fn send_to_a_dead_peer(world: &mut World) {
    let (socket, peer) = world.pair();
    world.submit(socket, Op::Recv);
    reset(peer);
    expect_reset(world, socket);
    for _ in 0..2 {
        let chain = world.chain(b"anybody there?");
        world.submit(socket, Op::Send(chain));
        let (sent, result) = world.sent(socket);
        assert_eq!(sent, 0);
        result.unwrap_err();
    }
}

/// A caller waiting for readiness wakes up, to find the end by itself.
pub(super) fn read_ready_at_the_end(world: &mut World) {
    for ends_with_reset in [false, true] {
        let (socket, peer) = world.pair();
        world.park(socket, Op::ReadReady);
        if ends_with_reset {
            reset(peer);
        } else {
            drop(peer);
        }
        let event = world.answer(socket, OpKind::ReadReady);
        assert!(matches!(event, Event::ReadReady(Ok(()))), "{event:?}");
        world.submit(socket, Op::WriteReady);
        let event = world.answer(socket, OpKind::WriteReady);
        assert!(matches!(event, Event::WriteReady(Ok(()))), "{event:?}");
    }
}
