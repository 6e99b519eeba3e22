//! Connecting: established, refused, or unanswered until cancelled.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::peer::{BlackHole, listener, patient};
use super::world::{World, is_cancelled, sleep, unconnected};
use crate::poller::{Close, Op, OpKind};

pub(super) fn connects(world: &mut World) {
    let listener = listener();
    let to = listener.local_addr().unwrap();
    let socket = unconnected(world, to);
    world.submit(socket, Op::Connect(to));
    world.connected(socket).unwrap();
    let mut peer = patient(listener.accept().unwrap().0);
    let chain = world.chain(b"hello");
    world.submit(socket, Op::Send(chain));
    assert_eq!(world.sent(socket).0, 5);
    let mut got = [0; 5];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
    world.submit(socket, Op::Recv);
    peer.write_all(b"and back").unwrap();
    assert_eq!(world.receive(socket, 8), b"and back");
}

/// Ops of different kinds are independent: the first send may be submitted before the connection
/// is established.
pub(super) fn connects_and_sends_at_once(world: &mut World) {
    let hole = BlackHole::open();
    let doomed = unconnected(world, hole.address);
    world.park(doomed, Op::Connect(hole.address));
    let chain = world.chain(b"lost");
    world.submit(doomed, Op::Send(chain));
    for _ in 0..3 {
        world.look();
    }
    world.cancel(doomed, OpKind::Send);
    let event = world.answer(doomed, OpKind::Send);
    assert!(is_cancelled(&event), "{event:?}");
    world.cancel(doomed, OpKind::Connect);
    let event = world.answer(doomed, OpKind::Connect);
    assert!(is_cancelled(&event), "{event:?}");
}

pub(super) fn refused(world: &mut World) {
    let gone = listener().local_addr().unwrap();
    for _ in 0..3 {
        let socket = unconnected(world, gone);
        world.submit(socket, Op::Connect(gone));
        let error = world.connected(socket).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        world.close(socket, Close::Fin);
    }
}

/// The caller's timeout expires: it cancels, and gets one answer.
pub(super) fn black_holed(world: &mut World) {
    let hole = BlackHole::open();
    let socket = unconnected(world, hole.address);
    world.park(socket, Op::Connect(hole.address));
    assert_eq!(world.turn(sleep(Duration::from_millis(20))), 0);
    world.cancel(socket, OpKind::Connect);
    let event = world.answer(socket, OpKind::Connect);
    assert!(is_cancelled(&event), "{event:?}");
    world.close(socket, Close::Fin);
    world.look();
}

pub(super) fn black_holed_and_closed(world: &mut World) {
    let hole = BlackHole::open();
    for how in [Close::Fin, Close::Reset] {
        let socket = unconnected(world, hole.address);
        world.park(socket, Op::Connect(hole.address));
        world.close(socket, how);
        for _ in 0..3 {
            world.look();
        }
    }
}

/// The descriptor is closed, in every state of the connect.
pub(super) fn closed_at_once(world: &mut World) {
    let listener = listener();
    let to = listener.local_addr().unwrap();
    let socket = unconnected(world, to);
    world.submit(socket, Op::Connect(to));
    // Closed before or after the kernel has connected.
    world.close(socket, Close::Fin);
    listener.set_nonblocking(true).unwrap();
    for _ in 0..3 {
        world.look();
    }
    if let Ok((peer, _)) = listener.accept() {
        peer.set_nonblocking(false).unwrap();
        let (got, _) = world.peer_reads(patient(peer));
        assert!(got.is_empty());
    }
}
