//! Socket options of the configuration.
//!
//! Accepted connections inherit the options of the listener (tcp(7), and Linux's accept(2)), so an
//! accepted connection costs no system call for options.

use std::io;
use std::time::Duration;

use crate::sys::{self, Bug, SocketRef, seeded};

/// Options of TCP sockets; `None` leaves an option to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Send small segments at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// Probe a silent peer (`SO_KEEPALIVE`).
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// Bytes of the kernel's send buffer (`SO_SNDBUF`; the kernel doubles the number for
    /// bookkeeping).
    pub send_buffer: Option<usize>,
    /// Bytes of the kernel's receive buffer (`SO_RCVBUF`).
    pub receive_buffer: Option<usize>,
    /// Unsent bytes above which the socket is not writable (`TCP_NOTSENT_LOWAT`).
    pub notsent_lowat: Option<u32>,
    /// Congestion control by name (`TCP_CONGESTION`).
    pub congestion: Option<String>,
    /// Data in the first segment (`TCP_FASTOPEN`, and `TCP_FASTOPEN_CONNECT` for connects).
    pub fast_open: bool,
    /// Bind addresses that no interface has yet (`IP_FREEBIND`); listeners only.
    pub freebind: bool,
}

/// When to probe a silent peer, and when to end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe; whole seconds.
    pub idle: Duration,
    /// Time between probes; whole seconds.
    pub interval: Duration,
    /// Probes without an answer before the connection is given up.
    pub count: u32,
}

impl Default for SocketOptions {
    /// No delay, and probes after a minute of silence; the system's values for the rest.
    fn default() -> Self {
        let (idle, interval) = (Duration::from_secs(60), Duration::from_secs(10));
        Self {
            nodelay: true,
            keepalive: Some(Keepalive {
                idle,
                interval,
                count: 6,
            }),
            user_timeout: None,
            send_buffer: None,
            receive_buffer: None,
            notsent_lowat: None,
            congestion: None,
            fast_open: false,
            freebind: false,
        }
    }
}

/// Bytes of the largest possible segment, on loopback. The kernel accepts a whole segment into a
/// send buffer of any size.
const SEGMENT_MAX: usize = 65_483;
/// Above this the kernel takes no `TCP_MAXSEG` (`MAX_TCP_WINDOW`).
const LIMIT_MAX: usize = 32_767;

/// The segment limit by which two segments fit into a send buffer. With a single segment in the
/// buffer, each segment waits for the receiver's delayed acknowledgement (RFC 9293 §3.8.6.3),
/// because only every second full segment is acknowledged at once: 64 KiB per 40 ms on loopback.
fn largest_segment(send_buffer: usize) -> Option<u32> {
    let limit = (send_buffer / 2).min(LIMIT_MAX);
    (send_buffer < 2 * SEGMENT_MAX).then(|| u32::try_from(limit).expect("below 32 KiB"))
}

/// A listener's queue of connections that carry data before the end of their handshake.
const FAST_OPEN_QUEUE: u32 = 256;

impl SocketOptions {
    /// Sets the options on a listener, before listen.
    pub(super) fn apply_to_listener(&self, socket: SocketRef<'_>) -> io::Result<()> {
        self.apply(socket)?;
        self.open_fast(socket, true)
    }

    /// Sets the options on a socket before connect, except fast open, which also needs bytes.
    pub(super) fn apply(&self, socket: SocketRef<'_>) -> io::Result<()> {
        self.set(socket, |_, result| result)
    }

    /// Sets the options like `apply`, and returns the options that the system refuses, by field
    /// name.
    pub(crate) fn refusals(
        &self,
        socket: SocketRef<'_>,
        listens: bool,
    ) -> Vec<(&'static str, io::Error)> {
        let mut refused = Vec::new();
        let mut note = |option, result: io::Result<()>| {
            refused.extend(result.err().map(|error| (option, error)));
            Ok(())
        };
        self.set(socket, &mut note)
            .and_then(|()| note("fast_open", self.open_fast(socket, listens)))
            .and_then(|()| match self.freebind {
                true => note("freebind", sys::set_freebind(socket)),
                false => Ok(()),
            })
            .expect("no refusal ends it early");
        refused
    }

    fn open_fast(&self, socket: SocketRef<'_>, listens: bool) -> io::Result<()> {
        match (self.fast_open, listens) {
            (true, true) => sys::set_fast_open(socket, FAST_OPEN_QUEUE),
            (true, false) => sys::set_fast_open_connect(socket),
            (false, _) => Ok(()),
        }
    }

    /// Sets each option but fast open, and goes on while `told` returns success.
    fn set(
        &self,
        socket: SocketRef<'_>,
        mut told: impl FnMut(&'static str, io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.nodelay {
            told("nodelay", sys::set_nodelay(socket))?;
        }
        if let Some(Keepalive {
            idle,
            interval,
            count,
        }) = self.keepalive
        {
            told(
                "keepalive",
                sys::set_keepalive(socket, idle, interval, count),
            )?;
        }
        if let Some(time) = self.user_timeout {
            told("user_timeout", sys::set_user_timeout(socket, time))?;
        }
        if let Some(bytes) = self.send_buffer {
            told("send_buffer", sys::set_send_buffer(socket, bytes))?;
            if let Some(bytes) = largest_segment(bytes) {
                told("send_buffer", sys::set_largest_segment(socket, bytes))?;
            }
        }
        if let Some(bytes) = self.receive_buffer {
            told("receive_buffer", sys::set_receive_buffer(socket, bytes))?;
        }
        if let Some(bytes) = self.notsent_lowat {
            told("notsent_lowat", sys::set_notsent_lowat(socket, bytes))?;
        }
        if let Some(name) = &self.congestion {
            told("congestion", sys::set_congestion(socket, name))?;
        }
        Ok(())
    }
}

/// Makes the system reset the connection, or a listener's accepted connections, if the process is
/// killed. A FIN from such a close would look like the end of a truncated transfer. An orderly
/// close clears the option.
pub(super) fn reset_if_killed(socket: SocketRef<'_>) -> io::Result<()> {
    if sys::CLOSES_BY_FIN && !seeded(Bug::KilledByFin) {
        sys::reset_on_close(socket)?;
    }
    Ok(())
}
