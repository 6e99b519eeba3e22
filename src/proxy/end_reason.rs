//! Why a session ended: one word in its record. Pure; knows no socket.

use std::fmt;
use std::io;

use crate::runtime::{EndRequest, ErrorCode};

/// One of the two ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Client,
    Upstream,
}

/// Why a session ended; the word in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EndReason {
    /// The client's FIN came first, the upstream's followed.
    ClientFin,
    /// The upstream's FIN came first, the client's followed.
    UpstreamFin,
    /// The client reset the connection.
    ClientRst,
    /// The upstream reset the connection.
    UpstreamRst,
    /// The client's host did not answer any more, so that the kernel gave the connection up.
    ClientTimeout,
    /// The upstream's host did not answer any more, so that the kernel gave the connection up.
    UpstreamTimeout,
    /// Nothing moved for too long.
    IdleTimeout,
    /// Nothing moved for too long after one side's FIN.
    HalfCloseTimeout,
    /// The session's time was over.
    Lifetime,
    /// The last endpoint that was tried refused.
    ConnectRefused,
    /// The last endpoint that was tried did not answer in time.
    ConnectTimeout,
    /// The last endpoint that was tried cannot be reached.
    ConnectUnreachable,
    /// An operator or the health checks let new sessions choose no endpoint of the upstream.
    NoEndpoint,
    /// All usable endpoints had their most sessions, and no place in the queue was free.
    QueueFull,
    /// All usable endpoints had their most sessions for too long.
    QueueTimeout,
    /// No descriptor, port or memory to connect with: no fault of an endpoint.
    LocalResources,
    /// The server stopped and would not wait any longer.
    Shutdown,
    /// An operator ended the session.
    Operator,
    /// A reload removed the session's listener or endpoint.
    Removed,
    /// The session's endpoint went down by its health checks.
    EndpointDown,
    /// A defect of corelane.
    Internal,
}

impl EndReason {
    /// All reasons, in the order of the type.
    pub(crate) const ALL: [Self; 21] = [
        Self::ClientFin,
        Self::UpstreamFin,
        Self::ClientRst,
        Self::UpstreamRst,
        Self::ClientTimeout,
        Self::UpstreamTimeout,
        Self::IdleTimeout,
        Self::HalfCloseTimeout,
        Self::Lifetime,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectUnreachable,
        Self::NoEndpoint,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::LocalResources,
        Self::Shutdown,
        Self::Operator,
        Self::Removed,
        Self::EndpointDown,
        Self::Internal,
    ];
    /// The words of all reasons, by [`Self::index`].
    pub(super) const WORDS: [&'static str; Self::ALL.len()] = words(Self::ALL);
    /// The causes of a failed connect.
    const CAUSES: [Self; 4] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectUnreachable,
        Self::LocalResources,
    ];
    /// The words of the causes of a failed connect, by [`Self::cause_index`].
    pub(super) const CAUSE_WORDS: [&'static str; Self::CAUSES.len()] = words(Self::CAUSES);

    /// The place of the word in [`Self::WORDS`].
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// The place of the word in [`Self::CAUSE_WORDS`]; `None` if no connect fails for the reason.
    pub(super) fn cause_index(self) -> Option<usize> {
        Self::CAUSES.iter().position(|cause| *cause == self)
    }

    /// The word in the log and in metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::ClientFin => "client_fin",
            Self::UpstreamFin => "upstream_fin",
            Self::ClientRst => "client_rst",
            Self::UpstreamRst => "upstream_rst",
            Self::ClientTimeout => "client_timeout",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::HalfCloseTimeout => "half_close_timeout",
            Self::Lifetime => "lifetime",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::NoEndpoint => "no_endpoint",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::LocalResources => "local_resources",
            Self::Shutdown => "shutdown",
            Self::Operator => "operator",
            Self::Removed => "removed",
            Self::EndpointDown => "endpoint_down",
            Self::Internal => "internal",
        }
    }

    /// A side sent its FIN first.
    pub(super) fn of_fin(side: Side) -> Self {
        match side {
            Side::Client => Self::ClientFin,
            Side::Upstream => Self::UpstreamFin,
        }
    }

    /// The connection to a side failed with this error.
    pub(super) fn of_failure(side: Side, error: ErrorCode) -> Self {
        match (side, is_timeout(error)) {
            (Side::Client, false) => Self::ClientRst,
            (Side::Client, true) => Self::ClientTimeout,
            (Side::Upstream, false) => Self::UpstreamRst,
            (Side::Upstream, true) => Self::UpstreamTimeout,
        }
    }

    /// Whether a reason that is known later counts instead: an abnormal end behind a FIN, and a
    /// timeout if all that was known of a connection was its failure.
    pub(super) fn gives_way_to(self, later: Self) -> bool {
        match self {
            Self::ClientFin | Self::UpstreamFin => !later.is_orderly(),
            Self::ClientRst => later == Self::ClientTimeout,
            Self::UpstreamRst => later == Self::UpstreamTimeout,
            _ => false,
        }
    }

    /// Whether both ends were closed by FIN, each as it wished.
    pub(crate) fn is_orderly(self) -> bool {
        matches!(self, Self::ClientFin | Self::UpstreamFin)
    }
}

impl From<EndRequest> for EndReason {
    fn from(why: EndRequest) -> Self {
        match why {
            EndRequest::Shutdown => Self::Shutdown,
            EndRequest::Operator => Self::Operator,
            EndRequest::Removed => Self::Removed,
            EndRequest::EndpointDown => Self::EndpointDown,
        }
    }
}

/// Whether the kernel gave the connection up for want of an answer: to keepalive probes, or to sent
/// bytes within `TCP_USER_TIMEOUT`. In place of ETIMEDOUT Linux reports the last ICMP error that
/// arrived meanwhile (`tcp_write_err`), among them ECONNREFUSED for an unreachable port.
fn is_timeout(error: ErrorCode) -> bool {
    matches!(
        error.error().kind(),
        io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::ConnectionRefused
    )
}

/// Why a session ended before its relay, with the error behind the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) reason: EndReason,
    pub(super) error: Option<ErrorCode>,
}

impl From<EndReason> for Failure {
    fn from(reason: EndReason) -> Self {
        let error = None;
        Self { reason, error }
    }
}

impl EndReason {
    /// The bit of this reason in a set of reasons.
    pub(super) fn bit(self) -> u32 {
        1 << self.index()
    }

    /// Who ended the session: "client", "upstream", "corelane" or "operator".
    pub(crate) fn by(self) -> &'static str {
        match self {
            Self::ClientFin | Self::ClientRst | Self::ClientTimeout => "client",
            Self::UpstreamFin
            | Self::UpstreamRst
            | Self::UpstreamTimeout
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ConnectUnreachable
            | Self::EndpointDown => "upstream",
            Self::IdleTimeout
            | Self::HalfCloseTimeout
            | Self::Lifetime
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::LocalResources
            | Self::Internal => "corelane",
            Self::NoEndpoint | Self::Shutdown | Self::Operator | Self::Removed => "operator",
        }
    }

    /// How the session ended, from either side.
    pub(crate) fn how(self) -> &'static str {
        match self {
            Self::ClientFin | Self::UpstreamFin => "fin",
            Self::ClientTimeout
            | Self::UpstreamTimeout
            | Self::IdleTimeout
            | Self::HalfCloseTimeout
            | Self::Lifetime
            | Self::QueueTimeout
            | Self::ConnectTimeout => "timeout",
            Self::ConnectRefused | Self::NoEndpoint | Self::QueueFull => "refused",
            Self::ConnectUnreachable => "unreachable",
            Self::LocalResources => "resources",
            Self::Internal => "defect",
            Self::ClientRst
            | Self::UpstreamRst
            | Self::Shutdown
            | Self::Operator
            | Self::Removed
            | Self::EndpointDown => "reset",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The words of these reasons.
const fn words<const N: usize>(reasons: [EndReason; N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = reasons[at].word();
        at += 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::EndReason;

    /// Each reason from its predecessor: a new reason does not compile without a line here.
    fn after(reason: Option<EndReason>) -> Option<EndReason> {
        Some(match reason {
            None => EndReason::ClientFin,
            Some(EndReason::ClientFin) => EndReason::UpstreamFin,
            Some(EndReason::UpstreamFin) => EndReason::ClientRst,
            Some(EndReason::ClientRst) => EndReason::UpstreamRst,
            Some(EndReason::UpstreamRst) => EndReason::ClientTimeout,
            Some(EndReason::ClientTimeout) => EndReason::UpstreamTimeout,
            Some(EndReason::UpstreamTimeout) => EndReason::IdleTimeout,
            Some(EndReason::IdleTimeout) => EndReason::HalfCloseTimeout,
            Some(EndReason::HalfCloseTimeout) => EndReason::Lifetime,
            Some(EndReason::Lifetime) => EndReason::ConnectRefused,
            Some(EndReason::ConnectRefused) => EndReason::ConnectTimeout,
            Some(EndReason::ConnectTimeout) => EndReason::ConnectUnreachable,
            Some(EndReason::ConnectUnreachable) => EndReason::NoEndpoint,
            Some(EndReason::NoEndpoint) => EndReason::QueueFull,
            Some(EndReason::QueueFull) => EndReason::QueueTimeout,
            Some(EndReason::QueueTimeout) => EndReason::LocalResources,
            Some(EndReason::LocalResources) => EndReason::Shutdown,
            Some(EndReason::Shutdown) => EndReason::Operator,
            Some(EndReason::Operator) => EndReason::Removed,
            Some(EndReason::Removed) => EndReason::EndpointDown,
            Some(EndReason::EndpointDown) => EndReason::Internal,
            Some(EndReason::Internal) => return None,
        })
    }

    /// The table of the docs has every word of the log, and no further word.
    #[test]
    fn the_table_of_reasons_has_every_word() {
        let docs = include_str!("../../docs/operating.md");
        let (_, section) = docs.split_once("## How a session ended\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let word = |line: &str| {
            line.strip_prefix("| `")?
                .split('`')
                .next()
                .map(str::to_owned)
        };
        let mut documented: Vec<String> = section.lines().filter_map(word).collect();
        let reasons = std::iter::successors(after(None), |reason| after(Some(*reason)));
        let reasons: Vec<EndReason> = reasons.collect();
        assert_eq!(reasons, EndReason::ALL);
        for (at, reason) in reasons.iter().enumerate() {
            assert_eq!((reason.index(), EndReason::WORDS[at]), (at, reason.word()));
        }
        let mut words: Vec<String> = reasons.iter().map(EndReason::to_string).collect();
        documented.sort();
        words.sort();
        assert_eq!(documented, words);
    }
}
