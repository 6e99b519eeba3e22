//! Whether io_uring can be used here: tries exactly what the back end uses, once, at start.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::op::{Close, Completion, Event, Op, RecvEnd};
use super::{BackEnd, Poller, PollerOptions, Wait};
use crate::buf::{Chain, Pool, PoolOptions};
use crate::sys;

/// Why io_uring is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tries io_uring on a loopback connection of its own; `None` when all that is used works.
///
/// The reasons: not permitted (a container's seccomp filter), switched off by sysctl, kernel too
/// old (6.1 is wanted), no memory to lock.
#[must_use]
pub fn io_uring_refusal() -> Option<Refusal> {
    let error = try_it().err()?;
    let sysctl = sys::io_uring_disabled().filter(|&value| value != 0);
    let reason = match (error.raw_os_error(), sysctl) {
        (Some(libc::EPERM | libc::EACCES), Some(value)) => {
            format!("disabled by sysctl kernel.io_uring_disabled={value}")
        }
        (Some(libc::EPERM | libc::EACCES), None) => {
            "not permitted, as by a container's seccomp filter".to_owned()
        }
        (Some(libc::ENOSYS), _) => {
            "not in this kernel, or hidden by a container's seccomp filter".to_owned()
        }
        (Some(libc::ENOMEM), _) => "no memory to lock: raise RLIMIT_MEMLOCK".to_owned(),
        (Some(libc::EINVAL), _) => "the kernel is too old: 6.1 or later is needed".to_owned(),
        _ => format!("the self-test failed: {error}"),
    };
    Some(Refusal(reason))
}

/// One message there and back through every kind of op that the back end knows.
fn try_it() -> io::Result<()> {
    let options = PollerOptions {
        submissions: 8,
        completions: 64,
        receive_buffers: 4,
        ..PollerOptions::default()
    };
    let pool = Pool::new(PoolOptions {
        buffer_bytes: 4096,
        buffers_max: 8,
    })?;
    let mut poller = Poller::open(BackEnd::IoUring, options, &pool)?;
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = peer.local_addr()?;
    let socket = poller.attach(sys::stream_socket(to, false)?);
    let mut events = VecDeque::new();
    drop(poller.submit(socket, Op::Connect(to)));
    let Event::Connected(connected) = next(&mut poller, &mut events)? else {
        return Err(unexpected());
    };
    connected?;
    let (mut peer, _) = peer.accept()?;

    drop(poller.submit(socket, Op::ReadReady));
    peer.write_all(b"ping")?;
    let Event::ReadReady(Ok(())) = next(&mut poller, &mut events)? else {
        return Err(unexpected());
    };
    drop(poller.submit(socket, Op::Recv));
    let Event::Received(got) = next(&mut poller, &mut events)? else {
        return Err(unexpected());
    };
    drop(poller.submit(socket, Op::Send(Chain::from(got))));
    let Event::Sent(4, Ok(())) = next(&mut poller, &mut events)? else {
        return Err(unexpected());
    };
    poller.cancel(socket, super::OpKind::Recv);
    let Event::RecvEnded(RecvEnd::Cancelled) = next(&mut poller, &mut events)? else {
        return Err(unexpected());
    };
    read_back(&peer)?;
    poller.close(socket, Close::Fin);
    Ok(())
}

fn read_back(mut peer: &TcpStream) -> io::Result<()> {
    let mut back = [0; 4];
    peer.set_read_timeout(Some(Duration::from_secs(1)))?;
    io::Read::read_exact(&mut peer, &mut back)?;
    if &back == b"ping" {
        Ok(())
    } else {
        Err(unexpected())
    }
}

/// The next event; a wait may bring several. Five seconds without one are a failure: the peer is
/// this very thread, so only a kernel that forgets an operation is that slow.
fn next(poller: &mut Poller, events: &mut VecDeque<Event>) -> io::Result<Event> {
    let mut completions: Vec<Completion> = Vec::new();
    for _ in 0..5 {
        if let Some(event) = events.pop_front() {
            return Ok(event);
        }
        let second = Wait {
            timeout: Some(Duration::from_secs(1)),
            ..Wait::FOR_EVER
        };
        poller.wait(second, &mut completions)?;
        events.extend(completions.drain(..).map(|completion| completion.event));
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn unexpected() -> io::Error {
    io::Error::other("an operation answered something else than asked")
}
