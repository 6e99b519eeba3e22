//! Sockets in the ring's own table: when they are, what still works, and that places come back.

use std::fs;
use std::io::{Read, Write, stderr};
use std::net::TcpStream;

use super::super::available::is_available;
use super::super::{BackEnd, Close, Op, OpKind, Poller, Socket, direct_descriptors_refusal};
use super::peer::{pattern, same, writes};
use super::world::{Plenty, World};
use crate::sys;

/// Whether sockets can be kept in a ring's own table here, where io_uring is to be had.
pub(super) fn can_park() -> bool {
    let Some(reason) = direct_descriptors_refusal() else {
        return true;
    };
    // Not through the harness, which keeps what a passing test prints.
    writeln!(stderr(), "not run: {reason}").unwrap();
    false
}

fn parking(plenty: Plenty) -> Option<World> {
    let possible = is_available(BackEnd::IoUring) && can_park();
    possible.then(|| World::open(BackEnd::IoUring, plenty, true))
}

/// A connection that has been received from, and echoes.
fn parked(world: &mut World) -> (Socket, TcpStream) {
    let (socket, mut peer) = world.pair();
    let name = name_of(world, socket);
    world.park(socket, Op::Recv);
    echo(world, socket, &mut peer);
    assert!(!is_open(&name), "it has a descriptor still");
    (socket, peer)
}

fn echo(world: &mut World, socket: Socket, peer: &mut TcpStream) {
    peer.write_all(b"ping").unwrap();
    let got = world.receive(socket, 4);
    let chain = world.chain(&got);
    world.submit(socket, Op::Send(chain));
    world.sent(socket).1.unwrap();
    let mut back = [0; 4];
    peer.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
}

/// What the process's table calls the socket: unlike its number, nobody else's name.
fn name_of(world: &World, socket: Socket) -> String {
    use std::os::fd::AsRawFd;
    let number = world.poller.descriptor(socket).as_raw_fd();
    let name = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    name.display().to_string()
}

fn is_open(name: &str) -> bool {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let mut names = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    names.any(|other| other.display().to_string() == name)
}

#[test]
fn questions_leave_it_parked() {
    let Some(mut world) = parking(Plenty::Ordinary) else {
        return;
    };
    let (socket, mut peer) = world.pair();
    let name = name_of(&world, socket);
    world.park(socket, Op::Recv);
    let asked = world.poller.with_descriptor(socket, sys::peer_address);
    assert_eq!(asked.unwrap(), peer.local_addr().unwrap());
    echo(&mut world, socket, &mut peer);
    assert!(!is_open(&name), "the descriptor of the question is left");
    world.shutdown(socket);
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() && !is_open(&name));
    world.finish();
}

/// What comes in while a question is waited for is told in its order, and nothing is lost.
#[test]
fn questions_between_messages() {
    for plenty in [Plenty::Ordinary, Plenty::Starved] {
        let Some(mut world) = parking(plenty) else {
            return;
        };
        let (asked, _asked_peer) = parked(&mut world);
        let (socket, peer) = world.pair();
        world.park(socket, Op::Recv);
        let data = pattern(1, 0, 256 * 1024);
        let sender = writes(&peer, data.clone());
        let mut got = Vec::new();
        while got.len() < data.len() {
            for _ in 0..3 {
                world
                    .poller
                    .with_descriptor(asked, sys::peer_address)
                    .unwrap();
            }
            let bytes = world.got(socket).max(1);
            got.extend(world.receive(socket, bytes));
        }
        same(&got, &data);
        sender.join().unwrap();
        world.finish();
    }
}

/// From then on it is an ordinary one, also for the op in flight.
#[test]
fn a_descriptor_for_good() {
    let Some(mut world) = parking(Plenty::Ordinary) else {
        return;
    };
    for how in [Close::Fin, Close::Reset] {
        let (socket, mut peer) = parked(&mut world);
        world.poller.keep_descriptor(socket).unwrap();
        let name = name_of(&world, socket);
        echo(&mut world, socket, &mut peer);
        world.cancel(socket, OpKind::Recv);
        world.recv_end(socket);
        world.park(socket, Op::Recv);
        echo(&mut world, socket, &mut peer);
        assert!(is_open(&name), "it is parked again");
        world.close(socket, how);
        let (_, end) = world.peer_reads(peer);
        assert_eq!(end.is_ok(), how == Close::Fin);
    }
    world.finish();
}

/// Two places, and each is used many times, whatever way its socket leaves.
#[test]
fn places_come_back() {
    let Some(mut world) = parking(Plenty::Starved) else {
        return;
    };
    for round in 0..50 {
        let pairs = [parked(&mut world), parked(&mut world)];
        let (socket, mut peer) = world.pair();
        world.park(socket, Op::Recv);
        echo(&mut world, socket, &mut peer);
        assert!(is_open(&name_of(&world, socket)), "a third place");
        world.close(socket, Close::Reset);
        for (socket, peer) in pairs {
            match round % 3 {
                0 => world.close(socket, Close::Fin),
                1 => world.close(socket, Close::Reset),
                _ => {
                    world.poller.keep_descriptor(socket).unwrap();
                    world.close(socket, Close::Fin);
                }
            }
            let (_, end) = world.peer_reads(peer);
            assert_eq!(end.is_ok(), round % 3 != 1, "{end:?}");
        }
        world.look();
    }
    world.finish();
}

/// A descriptor that an op in the queue names is not closed under it.
#[test]
fn parked_behind_what_was_queued() {
    let Some(mut world) = parking(Plenty::Ordinary) else {
        return;
    };
    for _ in 0..20 {
        let (socket, mut peer) = world.pair();
        let name = name_of(&world, socket);
        let chain = world.chain(b"ping");
        world.submit(socket, Op::Send(chain));
        world.submit(socket, Op::Recv);
        // It would get the number of a descriptor that is closed too early.
        let (other, mut other_peer) = world.pair();
        world.sent(socket).1.unwrap();
        let mut got = [0; 4];
        peer.read_exact(&mut got).unwrap();
        other_peer.set_nonblocking(true).unwrap();
        other_peer.read(&mut got).unwrap_err();
        assert!(!is_open(&name));
        world.close(other, Close::Reset);
        world.close(socket, Close::Fin);
        world.look();
    }
    world.finish();
}

/// An idle connection does not keep another from its end (as kernels before 6.13 would have it).
#[test]
fn the_end_of_one_beside_older_ones() {
    let Some(mut world) = parking(Plenty::Ordinary) else {
        return;
    };
    let older: Vec<_> = (0..5).map(|_| parked(&mut world)).collect();
    for how in [Close::Fin, Close::Reset] {
        let (socket, peer) = parked(&mut world);
        world.close(socket, how);
        let (_, end) = world.peer_reads(peer);
        assert_eq!(end.is_ok(), how == Close::Fin);
    }
    drop(older);
    world.finish();
}

/// Needed by `is_open`'s callers only: the back end tells who has a descriptor by a panic.
#[test]
#[should_panic(expected = "a parked socket has no descriptor")]
fn it_has_none_to_show() {
    let Some(mut world) = parking(Plenty::Ordinary) else {
        panic!("a parked socket has no descriptor, had it been parked");
    };
    let (socket, _peer) = parked(&mut world);
    let poller: &Poller = &world.poller;
    let _ = poller.descriptor(socket);
}
