//! Reading by hand, for the back ends that are told when a socket can be read: into buffers of the
//! pool, whoever has starved first.

use std::collections::VecDeque;
use std::io;

use super::op::{RecvEnd, Socket};
use super::slots::Fault;
use crate::buf::{Buf, Pool};
use crate::sys::{self, OsSocket};

/// What one read gave.
#[derive(Debug)]
pub(super) enum Read {
    /// There was no buffer to read into.
    NoBuffer,
    /// There is nothing now.
    Nothing,
    /// Bytes, and whether they filled the buffer: a short read has emptied the socket.
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
        Err(e) => Read::End(RecvEnd::Failed(fault.tell(e))),
    }
}

/// Puts as many starved sockets as there are free buffers in front of those that are ready, the
/// longest-starved first; says how many.
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
