//! The self-test of io_uring, once at start: runs every operation that the back end uses.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::op::{Close, Completion, Event, Op};
use super::{BackEnd, Poller, PollerOptions, Refusal, Wait};
use crate::buf::{Chain, Pool, PoolOptions};
use crate::sys;

/// Tests io_uring on a loopback connection; `None` when every operation works.
///
/// Reasons for a refusal: not permitted (a container's seccomp filter), switched off by sysctl,
/// kernel too old (6.1 is needed), no memory to lock.
#[must_use]
pub fn io_uring_refusal() -> Option<Refusal> {
    let error = try_it().err()?;
    Some(Refusal(reason(&error, sys::io_uring_disabled())))
}

/// The reason for an operator; `sysctl` is the value of `kernel.io_uring_disabled`.
fn reason(error: &io::Error, sysctl: Option<u32>) -> String {
    let text = match (error.raw_os_error(), sysctl) {
        (Some(libc::EPERM | libc::EACCES), Some(1)) => {
            "permitted to privileged processes only, by sysctl kernel.io_uring_disabled=1"
        }
        (Some(libc::EPERM | libc::EACCES), Some(value)) if value != 0 => {
            return format!("disabled by sysctl kernel.io_uring_disabled={value}");
        }
        (Some(libc::EPERM | libc::EACCES), _) => {
            "not permitted, as by a container's seccomp filter"
        }
        (Some(libc::ENOSYS), _) => "not in this kernel, or hidden by a container's seccomp filter",
        (Some(libc::ENOMEM), _) => "no memory to lock: raise RLIMIT_MEMLOCK",
        (Some(libc::EINVAL), _) => "the kernel is too old: 6.1 or later is needed",
        _ => return format!("the self-test failed: {error}"),
    };
    text.to_owned()
}

/// Sends one message to a peer and back through every kind of op of the back end.
fn try_it() -> io::Result<()> {
    let mut poller = small_poller()?;
    let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = peer.local_addr()?;
    let socket = poller.attach(sys::stream_socket(to)?);
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
    let Event::RecvCancelled = next(&mut poller, &mut events)? else {
        return Err(unexpected());
    };
    read_back(&peer)?;
    poller.close(socket, Close::Fin);
    Ok(())
}

fn small_poller() -> io::Result<Poller> {
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
    Poller::open(BackEnd::IoUring, options, &pool)
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

/// The next event; a wait may bring several. Fails after five seconds: the peer is this very
/// thread, so only a kernel that has lost an operation is so slow.
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
    io::Error::other("an operation returned an unexpected result")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{io_uring_refusal, reason};

    #[test]
    fn says_why_and_what_would_help() {
        let cases = [
            (
                libc::EPERM,
                Some(0),
                "not permitted, as by a container's seccomp filter",
            ),
            (
                libc::EPERM,
                None,
                "not permitted, as by a container's seccomp filter",
            ),
            (
                libc::EACCES,
                Some(0),
                "not permitted, as by a container's seccomp filter",
            ),
            (
                libc::EPERM,
                Some(1),
                "permitted to privileged processes only, by sysctl kernel.io_uring_disabled=1",
            ),
            (
                libc::EPERM,
                Some(2),
                "disabled by sysctl kernel.io_uring_disabled=2",
            ),
            (
                libc::ENOSYS,
                None,
                "not in this kernel, or hidden by a container's seccomp filter",
            ),
            (
                libc::ENOMEM,
                Some(0),
                "no memory to lock: raise RLIMIT_MEMLOCK",
            ),
            (
                libc::EINVAL,
                Some(0),
                "the kernel is too old: 6.1 or later is needed",
            ),
            (
                libc::EMFILE,
                Some(0),
                "the self-test failed: Too many open files (os error 24)",
            ),
        ];
        for (errno, sysctl, text) in cases {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(reason(&error, sysctl), text, "{errno} {sysctl:?}");
        }
        let unexpected = super::unexpected();
        let text = "the self-test failed: an operation returned an unexpected result";
        assert_eq!(reason(&unexpected, None), text);
    }

    /// `examples/deny_io_uring` announces the expected error in the environment.
    #[test]
    fn says_what_was_denied() {
        let said = io_uring_refusal().map(|refusal| refusal.to_string());
        let expected = match std::env::var("CORELANE_IO_URING_ERRNO").as_deref() {
            Ok("EPERM") => "not permitted, as by a container's seccomp filter",
            Ok("ENOSYS") => "not in this kernel, or hidden by a container's seccomp filter",
            Ok("ENOMEM") => "no memory to lock: raise RLIMIT_MEMLOCK",
            _ => return,
        };
        assert_eq!(said.as_deref(), Some(expected));
    }
}
