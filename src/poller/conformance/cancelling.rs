//! Cancelling: exactly one final answer, at any time.

use std::io::Write;
use std::net::TcpStream;

use super::peer::{BlackHole, reads, same, wide_listener};
use super::world::{World, is_cancelled, unconnected};
use crate::poller::{Close, Event, Op, OpKind, Socket};

const KINDS: [OpKind; 6] = [
    OpKind::Accept,
    OpKind::Connect,
    OpKind::Recv,
    OpKind::Send,
    OpKind::ReadReady,
    OpKind::WriteReady,
];

/// A socket with one op of a kind in flight, and the means to complete the op.
struct Waiting {
    socket: Socket,
    kind: OpKind,
    _hole: Option<BlackHole>,
    peer: Option<TcpStream>,
    address: Option<std::net::SocketAddr>,
    clients: Vec<TcpStream>,
}

impl Waiting {
    fn park(world: &mut World, kind: OpKind) -> Self {
        let mut waiting = Self {
            socket: Socket {
                slot: u32::MAX,
                generation: 0,
            },
            kind,
            _hole: None,
            peer: None,
            address: None,
            clients: Vec::new(),
        };
        match kind {
            OpKind::Accept => {
                let (listener, address) = wide_listener();
                waiting.address = Some(address);
                waiting.socket = world.attach(listener);
                world.park(waiting.socket, Op::Accept);
            }
            OpKind::Connect => {
                let hole = BlackHole::open();
                waiting.socket = unconnected(world, hole.address);
                world.park(waiting.socket, Op::Connect(hole.address));
                waiting._hole = Some(hole);
            }
            _ => {
                let (socket, peer) = world.pair();
                (waiting.socket, waiting.peer) = (socket, Some(peer));
                match kind {
                    OpKind::Recv => world.park(socket, Op::Recv),
                    OpKind::ReadReady => world.park(socket, Op::ReadReady),
                    OpKind::Send => drop(world.park_send(socket)),
                    _ => {
                        world.park_send(socket);
                        world.park(socket, Op::WriteReady);
                    }
                }
            }
        }
        waiting
    }

    /// Makes the kernel complete the op; false where that is impossible.
    fn complete(&mut self) -> bool {
        match (self.kind, &mut self.peer, self.address) {
            (OpKind::Accept, _, Some(address)) => {
                self.clients.push(TcpStream::connect(address).unwrap());
            }
            (OpKind::Recv | OpKind::ReadReady, Some(peer), _) => peer.write_all(b"now").unwrap(),
            (OpKind::Send | OpKind::WriteReady, peer @ Some(_), _) => {
                // A reset ends every wait.
                super::peer::reset(peer.take().unwrap());
            }
            _ => return false,
        }
        true
    }
}

pub(super) fn nothing_in_flight(world: &mut World) {
    let (socket, mut peer) = world.pair();
    for kind in KINDS {
        world.cancel(socket, kind);
    }
    for _ in 0..3 {
        assert_eq!(world.look(), 0);
    }
    // The cancel affects no op of a different kind and no later op.
    world.submit(socket, Op::Recv);
    world.cancel(socket, OpKind::Send);
    world.cancel(socket, OpKind::ReadReady);
    peer.write_all(b"safe").unwrap();
    assert_eq!(world.receive(socket, 4), b"safe");
    assert!(world.is_inflight(socket, OpKind::Recv));
    world.close(socket, Close::Fin);
    world.cancel(socket, OpKind::Recv);
    assert_eq!(world.look(), 0);
}

pub(super) fn each_kind_while_waiting(world: &mut World) {
    for kind in KINDS {
        let waiting = Waiting::park(world, kind);
        world.cancel(waiting.socket, kind);
        let event = world.answer(waiting.socket, kind);
        assert!(is_cancelled(&event), "{kind:?}: {event:?}");
        for _ in 0..3 {
            world.look();
        }
    }
}

/// The kernel has completed the op but the poller has not looked: one answer, of either kind.
pub(super) fn each_kind_when_done(world: &mut World) {
    for kind in KINDS {
        for look in [false, true] {
            let mut waiting = Waiting::park(world, kind);
            if !waiting.complete() {
                continue;
            }
            if look && kind != OpKind::Recv {
                world.until("the answer", |world| {
                    !world.is_inflight(waiting.socket, kind)
                });
            }
            world.cancel(waiting.socket, kind);
            let event = world.answer(waiting.socket, kind);
            if look && kind != OpKind::Recv {
                assert!(!is_cancelled(&event), "{kind:?}: {event:?}");
            }
            for _ in 0..3 {
                world.look();
            }
        }
    }
}

/// Submitted and cancelled at once, before the kernel has seen the op.
pub(super) fn each_kind_at_once(world: &mut World) {
    let (listener, _address) = wide_listener();
    let listener = world.attach(listener);
    let hole = BlackHole::open();
    let unconnected = unconnected(world, hole.address);
    let (socket, _peer) = world.pair();
    world.park_send(socket);
    let ops = [
        (listener, Op::Accept),
        (unconnected, Op::Connect(hole.address)),
        (socket, Op::Recv),
        (socket, Op::ReadReady),
        (socket, Op::WriteReady),
    ];
    for (socket, op) in ops {
        let kind = op.kind();
        world.submit(socket, op);
        world.cancel(socket, kind);
        let event = world.answer(socket, kind);
        assert!(is_cancelled(&event), "{kind:?}: {event:?}");
    }
}

pub(super) fn twice(world: &mut World) {
    for kind in KINDS {
        let waiting = Waiting::park(world, kind);
        for _ in 0..3 {
            world.cancel(waiting.socket, kind);
        }
        let event = world.answer(waiting.socket, kind);
        assert!(is_cancelled(&event), "{kind:?}: {event:?}");
        world.cancel(waiting.socket, kind);
        for _ in 0..3 {
            world.look();
        }
    }
}

/// The reported number of sent bytes is exactly the number that the peer gets.
pub(super) fn part_of_a_send(world: &mut World) {
    for _ in 0..5 {
        let (socket, peer) = world.pair();
        let data = world.park_send(socket);
        // Some bytes move, and the rest waits again.
        let reader = reads(&peer, 500_000);
        let mut got = world.join("the reader", reader);
        world.cancel(socket, OpKind::Send);
        let event = world.answer(socket, OpKind::Send);
        assert!(is_cancelled(&event), "{event:?}");
        let Event::Sent(sent, _) = event else {
            panic!("{event:?}")
        };
        assert!(sent >= got.len() && sent < data.len(), "{sent}");
        world.close(socket, Close::Fin);
        let (rest, end) = world.peer_reads(peer);
        end.unwrap();
        got.extend(rest);
        same(&got, &data[..sent]);
    }
}

/// After the answer an op of the same kind may be submitted, and works.
pub(super) fn then_again(world: &mut World) {
    let (socket, mut peer) = world.pair();
    for round in 0..50_u8 {
        world.submit(socket, Op::Recv);
        if round % 2 > 0 {
            world.look();
        }
        if round % 3 > 0 {
            peer.write_all(&[round]).unwrap();
        }
        world.cancel(socket, OpKind::Recv);
        assert_eq!(world.recv_end(socket), None);
    }
    world.submit(socket, Op::Recv);
    let expected: Vec<u8> = (0..50).filter(|round| round % 3 > 0).collect();
    assert_eq!(world.receive(socket, expected.len()), expected);
}

/// A close cancels the answer too.
pub(super) fn then_close(world: &mut World) {
    for kind in KINDS {
        let waiting = Waiting::park(world, kind);
        world.cancel(waiting.socket, kind);
        world.close(waiting.socket, Close::Fin);
        for _ in 0..3 {
            world.look();
        }
        if let Some(peer) = waiting.peer {
            let sending = matches!(kind, OpKind::Send | OpKind::WriteReady);
            let (_, end) = world.peer_reads(peer);
            // Half of a send without an answer: must not look like the whole.
            assert_eq!(end.is_err(), sending, "{kind:?}: {end:?}");
        }
    }
}
