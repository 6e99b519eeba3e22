//! The ends of sockets: as their peers see them, and the peer's end as the owner sees it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::sockets::{bytes_of, chain, chain_of, pair, pattern, recv_all};
use super::{PATIENCE, lane_on, on_every_back_end, run, spawn, turn_now};
use crate::poller::{BackEnd, Close};
use crate::runtime::lane::Lane;
use crate::runtime::latch::either;
use crate::runtime::socket::LaneSocket;
use crate::runtime::task_timer::yield_now;
use crate::sys;

fn read_end(client: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut all = Vec::new();
    match client.read_to_end(&mut all) {
        Ok(_) => Ok(all),
        Err(error) => Err(error.kind()),
    }
}

/// The activity of a socket when it is dropped.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Nothing,
    Receiving,
    Sending,
    Both,
}

const DOINGS: [Doing; 4] = [
    Doing::Nothing,
    Doing::Receiving,
    Doing::Sending,
    Doing::Both,
];

async fn do_it(doing: Doing, socket: &LaneSocket) {
    if matches!(doing, Doing::Receiving | Doing::Both) {
        drop(either(pin!(socket.recv()), pin!(yield_now())).await);
    }
    if matches!(doing, Doing::Sending | Doing::Both) {
        let pool = socket.lane().pool().clone();
        let large = chain(&pool, &vec![1; 16 << 20]);
        drop(either(pin!(socket.send(large)), pin!(yield_now())).await);
    }
}

/// A socket dropped in the middle of its work does not look like an orderly end.
#[test]
fn a_socket_that_is_dropped_resets_its_peer_whatever_it_was_doing() {
    on_every_back_end(|back_end| {
        for doing in DOINGS {
            let (server, mut client) = pair();
            let mut lane = lane_on(back_end);
            let handle = lane.handle();
            run(&mut lane, async move {
                let socket = LaneSocket::attach(&handle, server);
                do_it(doing, &socket).await;
            });
            let reader = spawn(move || read_end(&mut client));
            while !reader.is_finished() {
                turn_now(&mut lane);
                thread::yield_now();
            }
            let end = reader.join().unwrap();
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "{back_end} {doing:?}");
            assert_no_buffers_lent(&mut lane, back_end);
        }
    });
}

/// Checks that all buffers are returned, except those that io_uring keeps provided.
fn assert_no_buffers_lent(lane: &mut Lane, back_end: BackEnd) {
    let fresh = {
        let mut fresh = lane_on(back_end);
        turn_now(&mut fresh);
        fresh.handle().pool().in_use()
    };
    turn_now(lane);
    turn_now(lane);
    let held = lane.handle().pool().in_use();
    assert!(held <= fresh * 2, "{back_end}: {held} of {fresh}");
}

#[test]
fn a_close_sends_what_was_sent_and_then_a_fin() {
    on_every_back_end(|back_end| {
        for doing in [Doing::Nothing, Doing::Receiving] {
            let (server, mut client) = pair();
            let mut lane = lane_on(back_end);
            let handle = lane.handle();
            let reader = spawn(move || read_end(&mut client));
            run(&mut lane, async move {
                let socket = LaneSocket::attach(&handle, server);
                do_it(doing, &socket).await;
                let all = chain_of(&handle, &pattern(0, 1 << 20));
                socket.send(all).await.unwrap();
                socket.close(Close::Fin);
            });
            while !reader.is_finished() {
                turn_now(&mut lane);
                thread::yield_now();
            }
            assert!(
                reader.join().unwrap() == Ok(pattern(0, 1 << 20)),
                "{doing:?}"
            );
        }
    });
}

/// A FIN after half of a send would look like an orderly end.
#[test]
fn a_close_in_the_middle_of_a_send_is_a_reset() {
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            do_it(Doing::Sending, &socket).await;
            socket.close(Close::Fin);
        });
        let reader = spawn(move || read_end(&mut client));
        while !reader.is_finished() {
            turn_now(&mut lane);
            thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionReset));
    });
}

#[test]
fn after_a_shutdown_the_other_direction_goes_on() {
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let peer = spawn(move || {
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            client.write_all(&pattern(0, 1 << 20)).unwrap();
            all
        });
        let received = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            socket.send(chain_of(&handle, b"request")).await.unwrap();
            socket.shutdown().unwrap();
            let all = recv_all(&socket).await;
            socket.close(Close::Fin);
            all
        });
        assert_eq!(peer.join().unwrap(), b"request");
        assert!(received == pattern(0, 1 << 20));
    });
}

#[test]
fn what_came_before_a_reset_is_received_before_it() {
    on_every_back_end(|back_end| {
        let (server, mut client) = pair();
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        client.write_all(b"1").unwrap();
        let socket = run(&mut lane, async move {
            let socket = LaneSocket::attach(&handle, server);
            assert_eq!(bytes_of(&socket.recv().await.unwrap()), b"1");
            socket
        });
        client.write_all(&pattern(0, 5000)).unwrap();
        let end = sys::now() + PATIENCE;
        let stats = Arc::clone(lane.handle().stats());
        while stats.received_bytes.value() < 5001 {
            assert!(sys::now() < end, "nothing arrives");
            turn_now(&mut lane);
        }
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        run(&mut lane, async move {
            assert_eq!(bytes_of(&socket.recv().await.unwrap()), pattern(0, 5000));
            for _ in 0..2 {
                let error = socket.recv().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
            let dead = chain_of(socket.lane(), b"to nobody");
            assert!(socket.send(dead).await.is_err());
        });
    });
}

#[test]
fn aborting_resets_every_socket() {
    on_every_back_end(|back_end| {
        let mut lane = lane_on(back_end);
        let mut clients = Vec::new();
        for _ in 0..20 {
            let (server, client) = pair();
            clients.push(client);
            let handle = lane.handle();
            lane.handle().spawn(&"echo", async move {
                let socket = LaneSocket::attach(&handle, server);
                while let Ok(chain) = socket.recv().await {
                    socket.send(chain).await.unwrap();
                }
            });
        }
        turn_now(&mut lane);
        assert_eq!(lane.abort_tasks(), 20);
        drop(lane);
        for client in &mut clients {
            assert_eq!(read_end(client), Err(ErrorKind::ConnectionReset));
        }
    });
}
