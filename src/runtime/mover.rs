//! Moves bytes from socket to socket for a direction that carries many: one mover per lane.
//!
//! A pipe and splice(2), or where they are not to be had one large buffer. Either is empty whenever
//! it is not in use, which is within one call: what the sink does not take comes out in buffers of
//! the lane's pool.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use crate::buf::{Chain, Pool};
use crate::sys::{self, Pipe};

/// Bytes of the pipe. As much as an unprivileged process is given (pipe(7), `pipe-max-size`).
const PIPE_BYTES: i32 = 1024 * 1024;
/// Bytes of the buffer that stands in for a pipe: a larger one leaves the second-level cache.
const SCRATCH_BYTES: usize = 256 * 1024;

/// A lane's mover; opened when first used.
#[derive(Debug, Default)]
pub(super) enum Mover {
    /// Not used yet, or closed after an error that may have left bytes in it.
    #[default]
    Closed,
    Pipe(Pipe),
    Scratch(Box<[u8]>),
}

/// What one call moved.
#[derive(Debug)]
pub struct Moved {
    /// Bytes that the sink's kernel took.
    pub bytes: usize,
    /// What it did not take, to be sent as any chain is.
    pub rest: Chain,
    /// What the source had to say beyond those.
    pub source: SourceSaid,
    /// The sink has failed; what it did not take is lost, as it would be in its kernel.
    pub sink_failed: bool,
}

/// What a source said when it was read.
#[derive(Debug)]
pub enum SourceSaid {
    /// There may be more.
    More,
    /// Nothing, for now.
    Nothing,
    /// Its FIN.
    Fin,
    /// It has failed.
    Failed(io::Error),
}

impl Moved {
    fn nothing(source: SourceSaid) -> Self {
        Self {
            bytes: 0,
            rest: Chain::default(),
            source,
            sink_failed: false,
        }
    }
}

impl Mover {
    /// Whether the pool could take what one call may leave over.
    pub(super) fn has_room(pool: &Pool, max: usize) -> bool {
        let free = pool.buffers_max() - pool.in_use();
        free > max.div_ceil(pool.buffer_bytes())
    }

    /// Moves at most `max` bytes between non-blocking sockets. The caller has seen to it that
    /// [`Mover::has_room`].
    pub(super) fn run(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        max: usize,
        pool: &Pool,
    ) -> Moved {
        if matches!(self, Self::Closed) {
            *self = Pipe::open(PIPE_BYTES).map_or_else(|_| Self::scratch(), Self::Pipe);
        }
        match self.fill(from, max) {
            Ok(0) => Moved::nothing(SourceSaid::Fin),
            Ok(bytes) => self.empty(to, bytes, pool),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Moved::nothing(SourceSaid::Nothing)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                // Not a socket that can be spliced: read it instead, from now on.
                *self = Self::scratch();
                Moved::nothing(SourceSaid::More)
            }
            Err(error) => Moved::nothing(SourceSaid::Failed(error)),
        }
    }

    fn scratch() -> Self {
        Self::Scratch(vec![0; SCRATCH_BYTES].into_boxed_slice())
    }

    fn fill(&mut self, from: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.fill(from, max),
            Self::Scratch(buffer) => {
                let max = max.min(buffer.len());
                sys::recv(from, &mut buffer[..max])
            }
            Self::Closed => unreachable!("it was opened"),
        }
    }

    /// Hands `held` bytes to the sink; what it does not take comes back as buffers.
    fn empty(&mut self, to: BorrowedFd<'_>, held: usize, pool: &Pool) -> Moved {
        let mut bytes = 0;
        while bytes < held {
            let taken = match self {
                Self::Pipe(pipe) => pipe.drain(to, held - bytes),
                Self::Scratch(buffer) => sys::send(to, &[IoSlice::new(&buffer[bytes..held])]),
                Self::Closed => unreachable!("it was opened"),
            };
            match taken {
                Ok(taken) => bytes += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // A pipe with bytes of a dead session in it must not be used again.
                    *self = Self::Closed;
                    let source = SourceSaid::More;
                    return Moved {
                        bytes,
                        rest: Chain::default(),
                        source,
                        sink_failed: true,
                    };
                }
            }
        }
        let rest = self.take_out(bytes, held, pool);
        Moved {
            bytes,
            rest,
            source: SourceSaid::More,
            sink_failed: false,
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
