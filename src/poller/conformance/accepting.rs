//! Accepting: every connection once, and none after the listener is closed.
#![expect(clippy::disallowed_methods, reason = "peers are threads that block")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use super::peer::{PATIENCE, patient, reset, wide_listener};
use super::world::{World, is_cancelled};
use crate::poller::{Close, Op, OpKind, Socket};
use crate::sys;

/// Simultaneous connections in the storms.
const STORM: usize = 500;

fn listen(world: &mut World) -> (Socket, SocketAddr) {
    let (listener, address) = wide_listener();
    (world.attach(listener), address)
}

pub(super) fn accepts(world: &mut World) {
    let (listener, address) = listen(world);
    for early in [true, false] {
        if !early {
            world.park(listener, Op::Accept);
        }
        let mut peer = patient(TcpStream::connect(address).unwrap());
        if early {
            world.submit(listener, Op::Accept);
        }
        let (ours, from) = world.accepted(listener).unwrap();
        assert_eq!(from, peer.local_addr().unwrap());
        assert!(!sys::is_inherited(&ours), "a child would have it too");
        let socket = world.attach(ours);
        world.submit(socket, Op::Recv);
        peer.write_all(b"hi").unwrap();
        assert_eq!(world.receive(socket, 2), b"hi");
    }
}

/// Serves this many connections: each sends its number and gets the number back.
fn serve(world: &mut World, listener: Socket) {
    let mut sockets = Vec::new();
    while sockets.len() < STORM {
        world.submit(listener, Op::Accept);
        let (ours, _) = world.accepted(listener).unwrap();
        let socket = world.attach(ours);
        world.submit(socket, Op::Recv);
        sockets.push(socket);
    }
    for socket in sockets {
        let number = world.receive(socket, 4);
        let chain = world.chain(&number);
        world.submit(socket, Op::Send(chain));
        assert_eq!(world.sent(socket).0, 4);
    }
}

fn storm(address: SocketAddr) -> Vec<TcpStream> {
    let connect = |number: usize| {
        let mut peer = patient(TcpStream::connect_timeout(&address, PATIENCE).unwrap());
        let number = u32::try_from(number).unwrap();
        peer.write_all(&number.to_le_bytes()).unwrap();
        peer
    };
    (0..STORM).map(connect).collect()
}

fn hear(peers: Vec<TcpStream>) {
    for (number, mut peer) in (0_u32..).zip(peers) {
        let mut heard = [0; 4];
        peer.read_exact(&mut heard).unwrap();
        assert_eq!(heard, number.to_le_bytes());
    }
}

pub(super) fn accept_storm(world: &mut World) {
    let (listener, address) = listen(world);
    let clients = thread::spawn(move || hear(storm(address)));
    serve(world, listener);
    world.join("the clients", clients);
}

/// All connections arrive before the first accept: one edge stands for all of them.
pub(super) fn accept_storm_in_the_backlog(world: &mut World) {
    let (listener, address) = listen(world);
    world.park(listener, Op::Accept);
    let peers = storm(address);
    let (first, _) = world.accepted(listener).unwrap();
    drop(first);
    world.submit(listener, Op::Accept);
    let (second, _) = world.accepted(listener).unwrap();
    drop(second);
    let replacements = [0_u32, 1].map(|number| {
        let mut peer = patient(TcpStream::connect(address).unwrap());
        peer.write_all(&number.to_le_bytes()).unwrap();
        peer
    });
    serve(world, listener);
    hear(
        replacements
            .into_iter()
            .chain(peers.into_iter().skip(2))
            .collect(),
    );
}

/// Clients that are gone before the accept are skipped or delivered dead; the rest is served.
pub(super) fn aborted_in_the_backlog(world: &mut World) {
    let (listener, address) = listen(world);
    for _ in 0..10 {
        reset(TcpStream::connect(address).unwrap());
    }
    let mut peer = patient(TcpStream::connect(address).unwrap());
    peer.write_all(b"alive").unwrap();
    loop {
        world.submit(listener, Op::Accept);
        let (ours, from) = world.accepted(listener).unwrap();
        if from == peer.local_addr().unwrap() {
            let socket = world.attach(ours);
            world.submit(socket, Op::Recv);
            assert_eq!(world.receive(socket, 5), b"alive");
            return;
        }
    }
}

/// No connection is lost between a cancelled accept and the next accept.
pub(super) fn accept_cancelled(world: &mut World) {
    let (listener, address) = listen(world);
    let mut peers = Vec::new();
    let mut taken = 0;
    for round in 0..20 {
        world.submit(listener, Op::Accept);
        if round % 3 > 0 {
            peers.push(TcpStream::connect(address).unwrap());
        }
        if round % 2 > 0 {
            world.look();
        }
        world.cancel(listener, OpKind::Accept);
        let event = world.answer(listener, OpKind::Accept);
        taken += usize::from(!is_cancelled(&event));
    }
    while taken < peers.len() {
        world.submit(listener, Op::Accept);
        world.accepted(listener).unwrap();
        taken += 1;
    }
    world.park(listener, Op::Accept);
}

pub(super) fn listener_closes_with_an_accept(world: &mut World) {
    let (listener, address) = listen(world);
    world.park(listener, Op::Accept);
    world.close(listener, Close::Fin);
    world.meanwhile("the listener's end", |_| {
        let refused = TcpStream::connect(address).is_err_and(|e| {
            // A connection in between is reset.
            let known = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
            assert!(known.contains(&e.kind()), "{e}");
            true
        });
        refused && !sys::port_is_taken(address, false).unwrap()
    });
}
