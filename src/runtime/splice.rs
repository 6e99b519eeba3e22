//! Moves bytes from socket to socket for a direction with much traffic: one splice per lane.
//!
//! A pipe and splice(2), or one large buffer on systems without splice(2). Both are empty after
//! each call: bytes that the sink refuses come out in buffers of the lane's pool.

use std::io::{self, IoSlice};
use std::mem;

use crate::buf::{Chain, Pool};
use crate::sys::{self, Bug, ErrorCode, Pipe, SocketRef, seeded};

/// Bytes of the pipe: the maximum of an unprivileged process (pipe(7), `pipe-max-size`).
const PIPE_BYTES: i32 = 1024 * 1024;
/// Bytes of the buffer in place of a pipe: a larger buffer leaves the second-level cache.
const SCRATCH_BYTES: usize = 256 * 1024;

/// A lane's splice; opened when first used.
#[derive(Debug, Default)]
pub(super) enum Splice {
    /// Not used yet, or closed after an error that may have left bytes in the pipe.
    #[default]
    Closed,
    Pipe(Pipe),
    Scratch(Box<[u8]>),
}

/// The result of one call.
#[derive(Debug)]
pub(crate) struct Spliced {
    /// Bytes that the sink's kernel accepted.
    pub bytes: usize,
    /// The refused bytes, for an ordinary send.
    pub rest: Chain,
    /// The state of the source after the move.
    pub source: SourceState,
    /// The error of a sink that failed. The bytes that its kernel refused are lost, as all bytes in
    /// that kernel.
    pub sink_failure: Option<ErrorCode>,
}

/// The state of a source after a read.
#[derive(Debug)]
pub(crate) enum SourceState {
    /// There may be more to read.
    Open,
    /// A read would block; or urgent data (tcp(7)) comes next, where a splice stops.
    WouldBlock,
    /// A splice of nothing: the FIN, or urgent data before the FIN. A receive decides.
    Fin,
    /// The connection has failed.
    Failed(ErrorCode),
}

impl Spliced {
    /// The least free space left of `room` in the sink, as long as the sink is sent nothing else: 0
    /// after a refusal.
    #[must_use]
    pub(crate) fn room_left(&self, room: usize) -> usize {
        /// The kernel's overhead for each move, besides a sixteenth of the bytes for packet
        /// headers.
        const OVERHEAD: usize = 4096;
        match self.rest.is_empty() {
            true => room.saturating_sub(self.bytes + self.bytes / 16 + OVERHEAD),
            false => 0,
        }
    }

    fn nothing(source: SourceState) -> Self {
        Self {
            bytes: 0,
            rest: Chain::default(),
            source,
            sink_failure: None,
        }
    }
}

impl Splice {
    /// Whether the pool has buffers for the bytes that a sink may refuse.
    pub(super) fn has_room(pool: &Pool, max: usize) -> bool {
        let free = pool.buffers_max() - pool.in_use();
        free > max.div_ceil(pool.buffer_bytes())
    }

    /// Moves at most `max` bytes between non-blocking sockets. The caller has checked
    /// [`Splice::has_room`].
    pub(super) fn run(
        &mut self,
        from: SocketRef<'_>,
        to: SocketRef<'_>,
        max: usize,
        pool: &Pool,
    ) -> Spliced {
        // Taken out meanwhile: a panic must not leave a splice with bytes here.
        let mut splice = match mem::take(self) {
            Self::Closed => Pipe::open(PIPE_BYTES).map_or_else(|_| Self::scratch(), Self::Pipe),
            open => open,
        };
        let moved = splice.transfer(from, to, max, pool);
        *self = splice;
        moved
    }

    fn transfer(
        &mut self,
        from: SocketRef<'_>,
        to: SocketRef<'_>,
        max: usize,
        pool: &Pool,
    ) -> Spliced {
        match self.fill(from, max) {
            Ok(0) => Spliced::nothing(SourceState::Fin),
            Ok(bytes) => self.empty(to, bytes, pool),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Spliced::nothing(SourceState::WouldBlock)
            }
            Err(error) if matches!(self, Self::Pipe(_)) && sys::is_without_splice(&error) => {
                // From now on, read instead.
                *self = Self::scratch();
                Spliced::nothing(SourceState::Open)
            }
            Err(error) => Spliced::nothing(SourceState::Failed(ErrorCode::of(&error))),
        }
    }

    pub(super) fn scratch() -> Self {
        Self::Scratch(vec![0; SCRATCH_BYTES].into_boxed_slice())
    }

    fn fill(&mut self, from: SocketRef<'_>, max: usize) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.fill(from, max),
            Self::Scratch(buffer) => {
                let max = max.min(buffer.len());
                sys::recv(from, &mut buffer[..max])
            }
            Self::Closed => unreachable!("it was opened"),
        }
    }

    /// Sends `held` bytes to the sink; refused bytes come back in buffers.
    fn empty(&mut self, to: SocketRef<'_>, held: usize, pool: &Pool) -> Spliced {
        let mut bytes = 0;
        while bytes < held {
            let taken = match self {
                Self::Pipe(pipe) => pipe.drain(to, held - bytes),
                Self::Scratch(buffer) => sys::send(to, &[IoSlice::new(&buffer[bytes..held])]),
                Self::Closed => unreachable!("it was opened"),
            };
            match taken {
                Ok(0) => break,
                Ok(taken) => bytes += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // A pipe with bytes of a dead session in it must not be used again.
                    *self = Self::Closed;
                    let source = SourceState::Open;
                    return Spliced {
                        bytes,
                        rest: Chain::default(),
                        source,
                        sink_failure: Some(ErrorCode::of(&error)),
                    };
                }
            }
        }
        let rest = if seeded(Bug::SpliceResidueForgotten) {
            Chain::default()
        } else {
            self.take_out(bytes, held, pool)
        };
        Spliced {
            bytes,
            rest,
            source: SourceState::Open,
            sink_failure: None,
        }
    }

    /// Takes the bytes from `start` to `end` out into buffers.
    fn take_out(&self, mut start: usize, end: usize, pool: &Pool) -> Chain {
        let mut rest = Chain::default();
        while start < end {
            let mut buf = pool
                .take()
                .expect("the caller has seen to it that there is room");
            let wanted = (end - start).min(pool.buffer_bytes());
            let space = &mut buf.space()[..wanted];
            let got = match self {
                Self::Pipe(pipe) => pipe.read(space).expect("the pipe holds these bytes"),
                Self::Scratch(buffer) => {
                    space.copy_from_slice(&buffer[start..start + wanted]);
                    wanted
                }
                Self::Closed => unreachable!("it was opened"),
            };
            buf.fill(got);
            start += got;
            rest.push(buf);
        }
        rest
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use socket2::SockRef;

    use super::{SCRATCH_BYTES, SourceState, Splice, Spliced};
    use crate::buf::{Pool, PoolOptions};
    use crate::sys;

    const PATIENCE: Duration = Duration::from_secs(20);
    const MAX: usize = 1024 * 1024;

    /// The splice's socket, non-blocking, and its peer.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.set_nodelay(true).unwrap();
        let ours = listener.accept().unwrap().0;
        ours.set_nonblocking(true).unwrap();
        (ours, peer)
    }

    fn pool() -> Pool {
        Pool::new(PoolOptions::default()).unwrap()
    }

    fn pattern(from: usize, bytes: usize) -> Vec<u8> {
        let byte = |at: usize| u8::try_from((at * 7 + at / 251) % 256).unwrap();
        (from..from + bytes).map(byte).collect()
    }

    /// Every test runs with a pipe, and as on a system without.
    fn by_either(test: impl Fn(Splice)) {
        test(Splice::Closed);
        test(Splice::scratch());
    }

    fn run(splice: &mut Splice, from: &TcpStream, to: &TcpStream, pool: &Pool) -> Spliced {
        splice.run(from.as_fd(), to.as_fd(), MAX, pool)
    }

    fn reset(stream: TcpStream) {
        let linger = Some(Duration::ZERO);
        SockRef::from(&stream).set_linger(linger).unwrap();
        drop(stream);
    }

    /// On loopback a peer's call takes effect before it returns, except on a busy machine.
    fn await_readable(socket: &TcpStream) {
        let end = sys::now() + PATIENCE;
        while !sys::is_readable(socket.as_fd()) {
            assert!(sys::now() < end, "nothing comes");
        }
    }

    /// Nothing is nothing, a FIN is a FIN, a reset is a reset; bytes before each.
    #[test]
    fn a_source_says_what_happened() {
        by_either(|mut splice| {
            let pool = pool();
            let (sink, mut reader) = pair();
            for bytes in [0, 1, 100_000] {
                let (source, mut writer) = pair();
                let said = run(&mut splice, &source, &sink, &pool).source;
                assert!(matches!(said, SourceState::WouldBlock), "{said:?}");
                writer.write_all(&pattern(0, bytes)).unwrap();
                expect(&mut splice, &source, &sink, &pool, &mut reader, bytes);
                let said = run(&mut splice, &source, &sink, &pool).source;
                assert!(matches!(said, SourceState::WouldBlock), "{said:?}");
                writer.shutdown(Shutdown::Write).unwrap();
                await_readable(&source);
                let moved = run(&mut splice, &source, &sink, &pool);
                assert!(matches!(moved.source, SourceState::Fin), "{moved:?}");
                assert!(moved.bytes == 0 && moved.rest.is_empty() && moved.sink_failure.is_none());
            }
            for bytes in [0, 1, 100_000] {
                let (source, mut writer) = pair();
                writer.write_all(&pattern(0, bytes)).unwrap();
                reset(writer);
                expect(&mut splice, &source, &sink, &pool, &mut reader, bytes);
                await_readable(&source);
                let moved = run(&mut splice, &source, &sink, &pool);
                let SourceState::Failed(error) = &moved.source else {
                    panic!("{moved:?}");
                };
                assert_eq!(error.error().kind(), ErrorKind::ConnectionReset);
                assert!(moved.bytes == 0 && moved.rest.is_empty() && moved.sink_failure.is_none());
            }
            assert_eq!(pool.in_use(), 0);
        });
    }

    /// Moves until this number of bytes has passed, and lets the reader check them.
    fn expect(
        splice: &mut Splice,
        source: &TcpStream,
        sink: &TcpStream,
        pool: &Pool,
        reader: &mut TcpStream,
        bytes: usize,
    ) {
        let (mut done, end) = (0, sys::now() + PATIENCE);
        while done < bytes {
            assert!(sys::now() < end, "only {done} of {bytes}");
            let moved = run(splice, source, sink, pool);
            assert!(
                moved.sink_failure.is_none() && moved.rest.is_empty(),
                "{moved:?}"
            );
            done += moved.bytes;
        }
        let mut got = vec![0; bytes];
        reader.read_exact(&mut got).unwrap();
        assert!(got == pattern(0, bytes));
    }

    /// A splice stops at urgent data, and returns 0 with a FIN somewhere behind, so only a read
    /// decides about the end.
    #[test]
    fn what_a_splice_does_not_see_a_read_does() {
        let (mut splice, pool) = (Splice::Closed, pool());
        let ((sink, mut reader), (source, mut writer)) = (pair(), pair());
        SockRef::from(&source).set_out_of_band_inline(true).unwrap();
        writer.write_all(b"ab").unwrap();
        SockRef::from(&writer).send_out_of_band(b"c").unwrap();
        writer.write_all(b"de").unwrap();
        await_readable(&source);
        let mut got = [0; 2];
        let mut done = 0;
        while done < 2 {
            done += run(&mut splice, &source, &sink, &pool).bytes;
        }
        reader.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ab");
        let said = run(&mut splice, &source, &sink, &pool).source;
        assert!(matches!(said, SourceState::WouldBlock), "{said:?}");
        assert!(
            sys::is_readable(source.as_fd()),
            "though there is something"
        );
        writer.shutdown(Shutdown::Write).unwrap();
        let (mut all, end) = (Vec::new(), sys::now() + PATIENCE);
        while !matches!(
            run(&mut splice, &source, &sink, &pool).source,
            SourceState::Fin
        ) {
            assert!(sys::now() < end, "no end");
        }
        (&source).read_to_end(&mut all).unwrap();
        assert_eq!(all, b"cde");
    }

    /// The next pair gets what is sent to it, and no byte of a pair before.
    fn expect_only_new_bytes(splice: &mut Splice, pool: &Pool) {
        let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
        writer.write_all(&pattern(0, 50_000)).unwrap();
        expect(splice, &source, &sink, pool, &mut reader, 50_000);
        assert!(!sys::is_readable(reader.as_fd()), "more than was sent");
    }

    /// The sink is gone while the pipe holds its bytes; no later sink gets them.
    #[test]
    fn bytes_for_a_dead_sink_reach_nobody_else() {
        by_either(|mut splice| {
            let pool = pool();
            let ((source, mut writer), (sink, reader)) = (pair(), pair());
            writer.write_all(&vec![0xdd; 100_000]).unwrap();
            await_readable(&source);
            reset(reader);
            await_readable(&sink);
            let moved = run(&mut splice, &source, &sink, &pool);
            assert!(
                moved.sink_failure.is_some() && moved.rest.is_empty(),
                "{moved:?}"
            );
            assert_eq!((moved.bytes, pool.in_use()), (0, 0));
            expect_only_new_bytes(&mut splice, &pool);
        });
    }

    /// The same after a panic in the middle, which ends its session and not the lane.
    #[test]
    fn bytes_of_a_move_that_panicked_reach_nobody_else() {
        by_either(|mut splice| {
            let none = Pool::new(PoolOptions {
                buffers_max: 1,
                ..PoolOptions::default()
            })
            .unwrap();
            let ((source, mut writer), (sink, reader)) = (pair(), pair());
            writer.write_all(&vec![0xdd; 100_000]).unwrap();
            await_readable(&source);
            while (&sink).write(&[7; 65_536]).is_ok() {}
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                drop(run(&mut splice, &source, &sink, &none));
            }));
            assert!(unwound.is_err(), "there is no room");
            let pool = pool();
            drop((source, sink, reader));
            expect_only_new_bytes(&mut splice, &pool);
        });
    }

    /// A reader that stops and resumes: refused bytes come out in order; all bytes arrive, and
    /// every buffer returns.
    #[test]
    fn the_rest_comes_out_in_order() {
        const ALL: usize = 16 << 20;
        by_either(|mut splice| {
            let pool = pool();
            let ((source, mut writer), (sink, mut reader)) = (pair(), pair());
            SockRef::from(&sink)
                .set_send_buffer_size(64 * 1024)
                .unwrap();
            SockRef::from(&reader)
                .set_recv_buffer_size(64 * 1024)
                .unwrap();
            writer.set_nonblocking(true).unwrap();
            reader.set_nonblocking(true).unwrap();
            let all = pattern(0, ALL);
            let (mut sent, mut got, mut rests) = (0, Vec::with_capacity(ALL), 0);
            let mut buffer = vec![0; 1 << 20];
            let end = sys::now() + PATIENCE;
            let mut rest = crate::buf::Chain::default();
            while got.len() < ALL {
                assert!(sys::now() < end, "only {} of {ALL}", got.len());
                while let Ok(bytes) = writer.write(&all[sent..])
                    && bytes > 0
                {
                    sent += bytes;
                }
                if rest.is_empty() {
                    let moved = run(&mut splice, &source, &sink, &pool);
                    assert!(moved.sink_failure.is_none());
                    rest = moved.rest;
                    rests += usize::from(!rest.is_empty());
                }
                while !rest.is_empty() {
                    let part = rest.parts().next().unwrap_or_default();
                    let Ok(bytes) = (&sink).write(part) else {
                        break;
                    };
                    rest.skip(bytes);
                }
                // All present bytes, and then nothing for a while.
                while let Ok(bytes) = reader.read(&mut buffer) {
                    got.extend_from_slice(&buffer[..bytes]);
                }
            }
            assert!(got == all);
            assert!(rests > 10, "only {rests} moves left something over");
            assert_eq!(pool.in_use(), 0);
        });
    }

    /// Never more bytes than the pool could hold.
    #[test]
    fn room_is_what_one_call_may_leave_over() {
        let (buffer_bytes, buffers_max) = (4096, 8);
        let pool = Pool::new(PoolOptions {
            buffer_bytes,
            buffers_max,
        })
        .unwrap();
        let held: Vec<_> = (0..4).map(|_| pool.take().unwrap()).collect();
        assert!(Splice::has_room(&pool, 3 * buffer_bytes));
        assert!(!Splice::has_room(&pool, 3 * buffer_bytes + 1));
        let ((source, mut writer), (sink, reader)) = (pair(), pair());
        SockRef::from(&sink).set_send_buffer_size(4096).unwrap();
        writer.write_all(&pattern(0, 60_000)).unwrap();
        await_readable(&source);
        // Without a reader: full before the first move.
        while (&sink).write(&[7; 4096]).is_ok() {}
        let mut splice = Splice::Closed;
        let max = 3 * buffer_bytes;
        let moved = splice.run(source.as_fd(), sink.as_fd(), max, &pool);
        assert_eq!(moved.bytes + moved.rest.len(), max);
        let rest: Vec<u8> = moved.rest.parts().flatten().copied().collect();
        assert!(rest == pattern(moved.bytes, max - moved.bytes));
        drop((moved, held, reader));
        assert_eq!(pool.in_use(), 0);
    }

    /// The buffer in place of a pipe moves no more than its size.
    #[test]
    fn without_a_pipe_a_move_is_as_large_as_the_buffer() {
        let (mut splice, pool) = (Splice::scratch(), pool());
        let ((source, mut writer), (sink, reader)) = (pair(), pair());
        SockRef::from(&source)
            .set_recv_buffer_size(1 << 20)
            .unwrap();
        SockRef::from(&writer)
            .set_send_buffer_size(1 << 20)
            .unwrap();
        writer.set_nonblocking(true).unwrap();
        while writer.write(&[1; 65_536]).is_ok() {}
        let moved = run(&mut splice, &source, &sink, &pool);
        assert!(moved.bytes + moved.rest.len() <= SCRATCH_BYTES, "{moved:?}");
        assert!(moved.bytes > 0);
        drop(reader);
    }
}
