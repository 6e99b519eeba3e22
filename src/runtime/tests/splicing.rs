//! Bulk moves between sockets of a lane, and what is in flight when they are dropped. On every back
//! end.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;

use socket2::SockRef;

use super::sockets::{pair, pattern};
use super::{lane_on, on_every_back_end, run, spawn, turn_now};
use crate::buf::PoolOptions;
use crate::poller::{BackEnd, Close, PollerOptions};
use crate::runtime::lane::{Lane, LaneOptions};
use crate::runtime::socket::LaneSocket;
use crate::runtime::splice::{SourceState, Splice};
use crate::sys;

const MIN: usize = 64 * 1024;
const MAX: usize = 1024 * 1024;

/// What a move to `sink` may bring: no less than [`MIN`], so that some of it is left over at times.
fn room(sink: &LaneSocket) -> usize {
    sink.send_room().unwrap_or(MIN).clamp(MIN, MAX)
}

/// Waits for the source's next bytes and moves them; `None` at its end.
async fn step(source: &LaneSocket, sink: &LaneSocket) -> Option<usize> {
    loop {
        let moved = source
            .splice_to(sink, room(sink))
            .expect("the pool has room");
        assert!(moved.sink_failure.is_none());
        let all = moved.bytes + moved.rest.len();
        if !moved.rest.is_empty() {
            sink.send(moved.rest).await.unwrap();
        }
        match moved.source {
            SourceState::Fin => return None,
            SourceState::WouldBlock => poll_fn(|context| source.poll_readable(context)).await,
            SourceState::Open => return Some(all),
            SourceState::Failed(error) => panic!("{error}"),
        }
    }
}

/// A reader's stop, of tens of microseconds. It does not give its time slice away: on a machine
/// that has more to do, each time would cost a round of everybody else's, and the test its
/// patience.
fn pause() {
    (0..1000).for_each(|_| std::hint::spin_loop());
}

/// With a pipe or without one the same bytes arrive, to a reader that now and then stops.
#[test]
fn bulk_moves_need_no_pipe() {
    const ALL: usize = 12 << 20;
    on_every_back_end(|back_end| {
        for has_pipe in [true, false] {
            let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
            let mut lane = lane_on(back_end);
            let handle = lane.handle();
            if !has_pipe {
                *handle.0.splice.borrow_mut() = Splice::scratch();
            }
            let writer = spawn(move || writer.write_all(&pattern(0, ALL)).unwrap());
            let reader = spawn(move || {
                let mut all = Vec::new();
                let mut piece = vec![0; 3 << 20];
                loop {
                    let bytes = reader.read(&mut piece).unwrap();
                    if bytes == 0 {
                        return all;
                    }
                    all.extend_from_slice(&piece[..bytes]);
                    pause();
                }
            });
            run(&mut lane, async move {
                let (source, sink) = (
                    LaneSocket::attach(&handle, source),
                    LaneSocket::attach(&handle, sink),
                );
                while step(&source, &sink).await.is_some() {}
                sink.close(Close::Fin);
            });
            writer.join().unwrap();
            while !reader.is_finished() {
                turn_now(&mut lane);
            }
            assert!(reader.join().unwrap() == pattern(0, ALL), "{back_end}");
            assert_buffers_back(&mut lane, back_end);
            let is_scratch = matches!(*lane.handle().0.splice.borrow(), Splice::Scratch(_));
            assert_eq!(is_scratch, !has_pipe);
        }
    });
}

/// All but those that an io_uring keeps ready.
fn assert_buffers_back(lane: &mut Lane, back_end: BackEnd) {
    let kept = match back_end {
        BackEnd::IoUring => usize::from(PollerOptions::default().receive_buffers),
        _ => 0,
    };
    let end = sys::now() + super::PATIENCE;
    while lane.handle().pool().in_use() > kept {
        assert!(sys::now() < end, "{} lent", lane.handle().pool().in_use());
        turn_now(lane);
    }
}

/// Who waits for room is woken when a stopped reader goes on, and by its reset; then
/// there is room for more than a few bytes.
#[test]
fn room_comes_back_when_the_reader_goes_on() {
    on_every_back_end(|back_end| {
        for resets in [false, true] {
            let (sink, mut reader) = pair();
            let mut lane = lane_on(back_end);
            let handle = lane.handle();
            let (full, is_full) = std::sync::mpsc::channel();
            let reader = spawn(move || {
                is_full.recv().unwrap();
                if resets {
                    let linger = Some(std::time::Duration::ZERO);
                    SockRef::from(&reader).set_linger(linger).unwrap();
                    return 0;
                }
                let (mut got, mut piece) = (0, vec![0; 1 << 20]);
                while let Ok(bytes @ 1..) = reader.read(&mut piece) {
                    got += bytes;
                }
                got
            });
            let sent = run(&mut lane, async move {
                let sink = LaneSocket::attach(&handle, sink);
                let fill = |socket: sys::SocketRef<'_>| {
                    let mut sent = 0;
                    while let Ok(bytes) = sys::send(socket, &[std::io::IoSlice::new(&[7; 4096])]) {
                        sent += bytes;
                    }
                    Ok(sent)
                };
                let sent = sink.with_descriptor(fill).unwrap();
                assert!(sink.start_wait_for_room().is_none(), "it is full");
                full.send(()).unwrap();
                let woken = poll_fn(|context| sink.poll_sent(context)).await;
                assert_eq!((woken.bytes, woken.result.is_ok()), (0, true));
                let more = sink.with_descriptor(fill).unwrap();
                assert!(resets || more > 4096, "{back_end}: {more}");
                sink.close(Close::Fin);
                sent + more
            });
            while !reader.is_finished() {
                turn_now(&mut lane);
            }
            let got = reader.join().unwrap();
            assert!(resets || got == sent, "{back_end}: {got} of {sent}");
        }
    });
}

/// A pool that could not hold what may be left over moves nothing, and says so.
#[test]
fn without_buffers_nothing_moves() {
    on_every_back_end(|back_end| {
        let mut lane = Lane::open(
            LaneOptions {
                pool: PoolOptions {
                    buffers_max: 256,
                    ..PoolOptions::default()
                },
                poller: PollerOptions {
                    receive_buffers: 8,
                    ..PollerOptions::default()
                },
                ..LaneOptions::new(back_end)
            },
            sys::now(),
        )
        .unwrap();
        let handle = lane.handle();
        let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
        writer.write_all(&pattern(0, 1000)).unwrap();
        run(&mut lane, async move {
            let (source, sink) = (
                LaneSocket::attach(&handle, source),
                LaneSocket::attach(&handle, sink),
            );
            let pool = handle.pool().clone();
            let held: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
            assert!(source.splice_to(&sink, room(&sink)).is_none());
            drop(held);
            assert_eq!(step(&source, &sink).await, Some(1000));
        });
        let mut got = vec![0; 1000];
        reader.read_exact(&mut got).unwrap();
        assert!(got == pattern(0, 1000));
    });
}

/// Sockets that go while a move's rest is being sent, while the source is waited for, and
/// while its receive stream is being cancelled with bytes in its queue: no answer reaches anybody,
/// and every buffer comes back.
#[test]
fn sockets_may_go_with_anything_in_flight() {
    on_every_back_end(|back_end| {
        for doing in 0..4 {
            let mut lane = lane_on(back_end);
            let handle = lane.handle();
            let ((source, mut writer), (sink, reader)) = (pair(), pair());
            SockRef::from(&sink)
                .set_send_buffer_size(32 * 1024)
                .unwrap();
            writer.set_nonblocking(true).unwrap();
            while writer.write(&[1; 65_536]).is_ok() {}
            run(&mut lane, async move {
                let (source, sink) = (
                    LaneSocket::attach(&handle, source),
                    LaneSocket::attach(&handle, sink),
                );
                if doing > 0 {
                    // Its stream runs, and is told to stop before it has been heard of.
                    drop(source.recv().await.unwrap());
                    poll_fn(|context| {
                        drop(source.poll_recv_last(context));
                        std::task::Poll::Ready(())
                    })
                    .await;
                }
                if doing > 1 {
                    while let Some(last) = poll_fn(|context| source.poll_recv_last(context))
                        .await
                        .unwrap()
                    {
                        drop(last);
                    }
                    // Nobody reads, so there is a rest sooner or later.
                    let rest = loop {
                        let moved = source.splice_to(&sink, room(&sink)).unwrap();
                        if !moved.rest.is_empty() {
                            break moved.rest;
                        }
                    };
                    assert!(sink.start_send(rest).is_none(), "nobody reads");
                }
                if doing > 2 {
                    poll_fn(|context| {
                        _ = source.poll_readable(context);
                        std::task::Poll::Ready(())
                    })
                    .await;
                }
            });
            (0..10).for_each(|_| turn_now(&mut lane));
            assert_buffers_back(&mut lane, back_end);
            assert_is_reset(&mut lane, writer);
            drop(reader);
            // The slots' next tenants get nothing of it.
            let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
            writer.write_all(&pattern(0, 100_000)).unwrap();
            drop(writer);
            let handle = lane.handle();
            run(&mut lane, async move {
                let (source, sink) = (
                    LaneSocket::attach(&handle, source),
                    LaneSocket::attach(&handle, sink),
                );
                while step(&source, &sink).await.is_some() {}
                sink.close(Close::Fin);
            });
            turn_now(&mut lane);
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            assert!(all == pattern(0, 100_000), "{back_end} {doing}");
        }
    });
}

fn assert_is_reset(lane: &mut Lane, mut client: TcpStream) {
    let end = sys::now() + super::PATIENCE;
    while let Err(error) = client.read(&mut [0])
        && error.kind() == ErrorKind::WouldBlock
    {
        assert!(sys::now() < end, "it is not reset");
        turn_now(lane);
    }
}

/// A reader that stops over and over: what a move leaves over is no more than the mark,
/// since that is what a direction may hold, also where the sink takes less than it has room for.
#[test]
fn a_rest_is_bounded_by_the_mark() {
    const ALL: usize = 48 << 20;
    on_every_back_end(|back_end| {
        for lowat in [None, Some(16 * 1024)] {
            let mut lane = lane_on(back_end);
            let handle = lane.handle();
            let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
            if let Some(lowat) = lowat {
                sys::set_notsent_lowat(sink.as_fd(), lowat).unwrap();
            }
            let writer = spawn(move || writer.write_all(&pattern(0, ALL)).unwrap());
            let reader = spawn(move || {
                let (mut at, mut piece) = (0, vec![0; 1 << 20]);
                while at < ALL {
                    let bytes = reader.read(&mut piece).unwrap();
                    assert!(piece[..bytes] == pattern(at, bytes), "at {at}");
                    at += bytes;
                    pause();
                }
            });
            let most = run(&mut lane, async move {
                let (source, sink) = (
                    LaneSocket::attach(&handle, source),
                    LaneSocket::attach(&handle, sink),
                );
                let (mut done, mut most) = (0, 0);
                while done < ALL {
                    let moved = source.splice_to(&sink, room(&sink)).unwrap();
                    done += moved.bytes + moved.rest.len();
                    most = most.max(moved.rest.len());
                    if !moved.rest.is_empty() {
                        sink.send(moved.rest).await.unwrap();
                    }
                    if matches!(moved.source, SourceState::WouldBlock) {
                        poll_fn(|context| source.poll_readable(context)).await;
                    }
                }
                sink.close(Close::Fin);
                most
            });
            writer.join().unwrap();
            reader.join().unwrap();
            assert!(most <= MIN, "{back_end}, {lowat:?}: {most}");
        }
    });
}
