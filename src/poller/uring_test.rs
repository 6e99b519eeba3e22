//! The self-test of io_uring, once at start: runs every operation that the back end uses.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use super::op::{Close, Completion, Event, Op};
use super::uring_ring;
use super::{BackEnd, Poller, PollerOptions, Refusal, Wait};
use crate::buf::{Chain, Pool, PoolOptions};
use crate::sys;

/// Tests io_uring on a loopback connection; `None` when every operation works.
///
/// Reasons for a refusal: not permitted (a container's seccomp filter), switched off by sysctl,
/// kernel too old (6.1 is needed), no memory to lock.
#[must_use]
pub fn io_uring_refusal() -> Option<Refusal> {
    // Once: the answer holds for the life of the process, whose sandbox later refuses new rings.
    static ANSWER: OnceLock<Option<Refusal>> = OnceLock::new();
    let answer = ANSWER.get_or_init(|| {
        let error = try_it().err()?;
        Some(Refusal(reason(&error, sys::io_uring_disabled())))
    });
    answer.clone()
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

/// See `uring_ring`.
pub(super) fn try_restrictions() -> io::Result<usize> {
    uring_ring::try_restrictions()
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

    use io_uring::squeue::{Entry, Flags};
    use io_uring::types::Fd;
    use io_uring::{IoUring, opcode};

    use super::{io_uring_refusal, reason, try_restrictions};
    use crate::poller::require_io_uring::require_io_uring;
    use crate::poller::uring_ring::restrict;

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

    /// The result of an operation that needs nothing.
    fn result(ring: &mut IoUring, entry: &Entry) -> i32 {
        // SAFETY: the entries of these tests point to nothing.
        #[expect(unsafe_code, reason = "an operation without memory")]
        unsafe { ring.submission().push(entry) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        ring.completion().next().unwrap().result()
    }

    #[test]
    fn a_restricted_ring_refuses_what_the_back_end_does_not_use() {
        if !require_io_uring(io_uring_refusal()) {
            return;
        }
        assert_eq!(try_restrictions().unwrap(), 8);
        let ring: Result<IoUring, _> = IoUring::builder().setup_r_disabled().build(4);
        let mut ring = ring.unwrap();
        restrict(&ring.submitter()).unwrap();
        let nowhere = Fd(-1);
        let poll = opcode::PollAdd::new(nowhere, 1).build();
        assert_eq!(result(&mut ring, &poll), -libc::EBADF);
        for other in [
            opcode::Nop::new().build(),
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
            opcode::Shutdown::new(nowhere, 0).build(),
            poll.flags(Flags::IO_LINK),
        ] {
            assert_eq!(result(&mut ring, &other), -libc::EACCES, "{other:?}");
        }
        let registered = ring.submitter().register_files(&[0]);
        let error = registered.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    }
}
