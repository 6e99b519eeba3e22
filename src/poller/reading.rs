//! Reads sockets into buffers of the pool, for the back ends that wait for readiness. Serves the
//! longest-starved socket first.

use std::collections::VecDeque;
use std::io;

use super::op::{RecvEnd, Socket};
use super::slots::Fault;
use crate::buf::{Buf, Pool};
use crate::sys::{self, OsSocket};

/// The result of one read.
#[derive(Debug)]
pub(super) enum Read {
    /// No buffer is free.
    NoBuffer,
    /// The read would block.
    Nothing,
    /// Received bytes; `true` for a full buffer. A short read has emptied the socket.
    Bytes(Buf, bool),
    End(RecvEnd),
}

/// Reads a socket once.
pub(super) fn read(socket: &OsSocket, fault: &mut Fault, pool: &Pool) -> Read {
    let Some(mut buf) = pool.take() else {
        return Read::NoBuffer;
    };
    match sys::recv(sys::borrow(socket), buf.space()) {
        Ok(0) => Read::End(fault.end()),
        Ok(bytes) => {
            buf.fill(bytes);
            Read::Bytes(buf, bytes == pool.buffer_bytes())
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
        Err(e) => Read::End(fault.failed(e)),
    }
}

/// Moves as many starved sockets as there are free buffers to the front of `ready`, the
/// longest-starved first; returns their number.
pub(super) fn feed_starved(
    pool: &Pool,
    starved: &mut VecDeque<Socket>,
    ready: &mut VecDeque<Socket>,
) -> usize {
    let free = pool.buffers_max() - pool.in_use();
    let fed = free.min(starved.len());
    for socket in starved.drain(..fed).rev() {
        ready.push_front(socket);
    }
    fed
}
