//! Bulk moves between sockets of a lane, and drops of sockets with a move in flight, on every back
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
use crate::runtime::handle::Handle;
use crate::runtime::lane::{Lane, LaneOptions};
use crate::runtime::socket::LaneSocket;
use crate::runtime::splice::{SourceState, Splice};
use crate::sys::{self, OsSocket};

const MIN: usize = 64 * 1024;
const MAX: usize = 1024 * 1024;

/// The room of a move to `sink`: at least [`MIN`], so that at times bytes are left over.
fn room(sink: &LaneSocket) -> usize {
    sink.send_room().unwrap_or(MIN).clamp(MIN, MAX)
}

/// Moves all bytes of the source, and then the FIN.
async fn splice_all(lane: Handle, source: OsSocket, sink: OsSocket) {
    let source = LaneSocket::attach(&lane, source);
    let sink = LaneSocket::attach(&lane, sink);
    while step(&source, &sink).await.is_some() {}
    sink.close(Close::Fin);
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

/// A reader's pause of tens of microseconds. Does not yield: on a busy machine each yield would
/// cost a round of all other processes, and the test would time out.
fn pause() {
    (0..1000).for_each(|_| std::hint::spin_loop());
}

/// With or without a pipe the same bytes arrive, at a reader that pauses now and then.
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
            run(&mut lane, splice_all(handle, source, sink));
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

/// Checks that all buffers are returned, except those that io_uring keeps provided.
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

/// A stopped reader that continues or resets wakes the task that waits for room; afterwards there
/// is room for more than a few bytes.
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

/// A pool too small for the bytes possibly left over moves nothing, and reports the lack.
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

/// Sockets dropped while a move's rest is being sent, during a wait for the source, and during the
/// cancel of the source's receive stream with queued bytes: no completion arrives later, and every
/// buffer is returned.
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
                    // The stream runs, and is told to stop before its first completion.
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
                    // The reader has stopped, so there is a rest sooner or later.
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
            // The next sockets of the slots get no byte.
            let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
            writer.write_all(&pattern(0, 100_000)).unwrap();
            drop(writer);
            let handle = lane.handle();
            run(&mut lane, splice_all(handle, source, sink));
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

/// A reader that stops over and over: a move leaves at most the mark, a direction's maximum, also
/// when the sink takes less than its room.
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
