//! `socket` of a `[[listener]]` or an `[[upstream]]`: how the kernel treats its connections.
//!
//! Read by `listener` and `upstream`; set by the layers below, once for each connection. Whether
//! this kernel has an option, or a congestion control of this name, is known when it is set.

use std::time::Duration;

use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::value::{self, Value};

/// The `socket` table of a `[[listener]]` (connections of clients) or of an `[[upstream]]`
/// (connections to endpoints).
///
/// Accepted sockets inherit these options from the listening socket (tcp(7)). The sizes of buffers
/// must be set before the handshake, which negotiates the window scale (RFC 7323).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    /// Whether small writes are sent at once, without waiting for an acknowledgement: TCP_NODELAY
    /// (tcp(7)); `socket.nodelay`.
    pub nodelay: bool,
    /// How an end that vanished without a word is found out; `None` is not at all: SO_KEEPALIVE
    /// (socket(7)); `socket.keepalive`.
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes may stay unacknowledged, or wait before a closed window, until the
    /// connection fails with ETIMEDOUT, whole milliseconds, 1 s to 24 days; `None` leaves it to
    /// the kernel's retransmissions, some 15 minutes. It overrides the count of `keepalive`:
    /// TCP_USER_TIMEOUT (tcp(7), RFC 5482); `socket.user_timeout`.
    pub user_timeout: Option<Duration>,
    /// The size of the kernel's send buffer in bytes, 4 KiB to 1 GiB. The kernel doubles the size
    /// for its bookkeeping and limits it to `net.core.wmem_max`. `None` leaves the size to the
    /// kernel: SO_SNDBUF (socket(7)); `socket.send_buffer`.
    pub send_buffer: Option<usize>,
    /// The size of the kernel's receive buffer in bytes, likewise, with `net.core.rmem_max`:
    /// SO_RCVBUF (socket(7)); `socket.receive_buffer`.
    pub receive_buffer: Option<usize>,
    /// How many bytes may wait unsent in the send buffer before the socket is writable no more,
    /// 4 KiB to 1 GiB; `None` leaves it to `net.ipv4.tcp_notsent_lowat`: TCP_NOTSENT_LOWAT (the
    /// kernel's `ip-sysctl.rst`); `socket.notsent_lowat`.
    pub notsent_lowat: Option<u32>,
    /// The congestion control, 1 to 15 of a-z, 0-9, '_' and '-'; `None` is the system's:
    /// TCP_CONGESTION (tcp(7)); `socket.congestion`.
    pub congestion: Option<String>,
    /// Whether the first bytes may travel in the SYN: TCP_FASTOPEN of a listener,
    /// TCP_FASTOPEN_CONNECT of an upstream (tcp(7), RFC 7413); `socket.fast_open`.
    pub fast_open: bool,
    /// Whether addresses may be bound that no interface has yet: IP_FREEBIND (ip(7)); listeners
    /// only; `socket.freebind`.
    pub freebind: bool,
}

/// Keepalive probes: a silent connection fails `idle + count * interval` after its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// How long it is silent before the first probe, whole seconds, 1 s to 9 h: TCP_KEEPIDLE
    /// (tcp(7)); `socket.keepalive.idle`.
    pub idle: Duration,
    /// How long until the next probe, whole seconds, 1 s to 9 h: TCP_KEEPINTVL (tcp(7));
    /// `socket.keepalive.interval`.
    pub interval: Duration,
    /// How many probes go unanswered before it fails, 1 to 127: TCP_KEEPCNT (tcp(7));
    /// `socket.keepalive.count`.
    pub count: u32,
}

/// How to write the table.
pub(super) const WRITE: &str = "e.g. socket = { nodelay = true }";
/// How to write the table of `keepalive`.
const WRITE_KEEPALIVE: &str =
    "\"off\", or { idle = \"60s\", interval = \"10s\", count = 6 }, or some of these";

/// The unit of keepalive times. For `user_timeout`: Linux's first retransmission timeout (RFC
/// 6298).
const SECOND: Duration = Duration::from_secs(1);
/// Linux takes no more than 32,767 s (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`): 9.1 h.
const KEEPALIVE_MAX: Duration = Duration::from_hours(9);
/// Linux takes no more (`MAX_TCP_KEEPCNT`).
const KEEPALIVE_COUNT_MAX: u32 = 127;
/// Linux takes a positive `int` of milliseconds: 24.8 days.
const USER_TIMEOUT_MAX: Duration = Duration::from_hours(24 * 24);
/// Two Ethernet packets: with a smaller buffer, each packet waits for an acknowledgement.
const BUFFER_MIN: u64 = 4 << 10;
/// Linux accepts at most half an `int`, because it doubles the value (`sk_setsockopt`).
const BUFFER_MAX: u64 = 1 << 30;
/// `TCP_CA_NAME_MAX` is 16, with the NUL.
const CONGESTION_BYTES_MAX: usize = 15;

impl SocketOptions {
    /// Reads the table of a listener if it `listens`, else of an upstream.
    pub(super) fn read(section: &mut Section<'_>, listens: bool) -> Self {
        let user_timeout = value::whole(
            Duration::from_millis(1),
            "the kernel counts whole milliseconds",
            value::duration(
                SECOND..=USER_TIMEOUT_MAX,
                "less fails where one packet is lost, and the kernel counts no further",
            ),
        );
        let size = BUFFER_MIN..=BUFFER_MAX;
        let why = "a packet must fit, and the kernel counts no further";
        let buffer = || value::unless("auto", value::size(size.clone(), why));
        let lowat = value::size(size.clone(), why);
        Self {
            nodelay: section.optional("nodelay", true, value::boolean),
            keepalive: keepalive(section),
            user_timeout: section.optional(
                "user_timeout",
                None,
                value::unless("off", user_timeout),
            ),
            send_buffer: section.optional("send_buffer", None, buffer()),
            receive_buffer: section.optional("receive_buffer", None, buffer()),
            notsent_lowat: section.optional("notsent_lowat", None, value::unless("off", lowat)),
            congestion: section.optional("congestion", None, value::unless("auto", congestion)),
            fast_open: section.optional("fast_open", false, value::boolean),
            freebind: listens && section.optional("freebind", false, value::boolean),
        }
    }

    /// The keys; `listens` as in [`Self::read`].
    pub(super) fn keys(&self, listens: bool) -> Keys {
        let Self {
            nodelay,
            keepalive,
            user_timeout,
            send_buffer,
            receive_buffer,
            notsent_lowat,
            congestion,
            fast_open,
            freebind,
        } = self;
        let keepalive = keepalive.as_ref().map(Keepalive::keys);
        let congestion = congestion.as_ref();
        let size = |of: &Option<usize>| Effective::unless("auto", *of, Effective::size);
        Keys::default()
            .on_reload("nodelay", Effective::Boolean(*nodelay))
            .on_reload(
                "keepalive",
                Effective::unless("off", keepalive, Effective::Table),
            )
            .on_reload(
                "user_timeout",
                Effective::unless("off", *user_timeout, Effective::duration),
            )
            .on_reload("send_buffer", size(send_buffer))
            .on_reload("receive_buffer", size(receive_buffer))
            .on_reload(
                "notsent_lowat",
                Effective::unless("off", *notsent_lowat, Effective::size),
            )
            .on_reload(
                "congestion",
                Effective::unless("auto", congestion, Effective::text),
            )
            .on_reload("fast_open", Effective::Boolean(*fast_open))
            .on_reload_if(listens, "freebind", Effective::Boolean(*freebind))
    }
}

/// `keepalive`: a word or a table.
fn keepalive(section: &mut Section<'_>) -> Option<Keepalive> {
    let off = section
        .value("keepalive")
        .is_some_and(|value| value.text() == Some("off"));
    (!off).then(|| section.table("keepalive", WRITE_KEEPALIVE, Keepalive::read))
}

impl Keepalive {
    fn read(section: &mut Section<'_>) -> Self {
        let seconds = value::whole(
            SECOND,
            "the kernel counts whole seconds",
            value::duration(SECOND..=KEEPALIVE_MAX, "the kernel counts no further"),
        );
        let count = value::integer(1..=KEEPALIVE_COUNT_MAX, "the kernel counts no further");
        Self {
            idle: section.optional("idle", Duration::from_mins(1), &seconds),
            interval: section.optional("interval", Duration::from_secs(10), &seconds),
            count: section.optional("count", 6, count),
        }
    }

    fn keys(&self) -> Keys {
        let Self {
            idle,
            interval,
            count,
        } = self;
        Keys::default()
            .on_reload("idle", Effective::duration(*idle))
            .on_reload("interval", Effective::duration(*interval))
            .on_reload("count", Effective::number(*count))
    }
}

fn congestion(value: &Value<'_>) -> Result<String, Reported> {
    let sane = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-".contains(&c);
    match value.text() {
        Some(name)
            if (1..=CONGESTION_BYTES_MAX).contains(&name.len()) && name.bytes().all(sane) =>
        {
            Ok(name.to_owned())
        }
        _ => Err(value.malformed(
            "the name of a congestion control",
            "1 to 15 of a-z, 0-9, '_' and '-', e.g. \"cubic\"",
        )),
    }
}
