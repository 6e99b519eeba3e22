//! Why a session ended: one word in its record. Pure; knows no socket.

use std::fmt;

use crate::runtime::EndRequest;

/// Why a session ended; the word in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EndReason {
    /// The client's FIN came first, the upstream's followed.
    ClientFin,
    /// The upstream's FIN came first, the client's followed.
    UpstreamFin,
    /// The client reset, or could not be reached any more.
    ClientRst,
    /// The upstream reset, or could not be reached any more.
    UpstreamRst,
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
    /// No descriptor, port or memory to connect with: no fault of an endpoint.
    LocalResources,
    /// The server stopped and would not wait any longer.
    Shutdown,
    /// A defect of corelane.
    Internal,
}

impl EndReason {
    /// Whether both ends were closed by FIN, each as it wished.
    pub(super) fn is_orderly(self) -> bool {
        matches!(self, Self::ClientFin | Self::UpstreamFin)
    }
}

impl From<EndRequest> for EndReason {
    fn from(why: EndRequest) -> Self {
        match why {
            EndRequest::Shutdown => Self::Shutdown,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientFin => "client_fin",
            Self::UpstreamFin => "upstream_fin",
            Self::ClientRst => "client_rst",
            Self::UpstreamRst => "upstream_rst",
            Self::IdleTimeout => "idle_timeout",
            Self::HalfCloseTimeout => "half_close_timeout",
            Self::Lifetime => "lifetime",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::LocalResources => "local_resources",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::EndReason;

    /// Each cause from the one before: a new one does not compile before it has its place here.
    fn after(cause: Option<EndReason>) -> Option<EndReason> {
        Some(match cause {
            None => EndReason::ClientFin,
            Some(EndReason::ClientFin) => EndReason::UpstreamFin,
            Some(EndReason::UpstreamFin) => EndReason::ClientRst,
            Some(EndReason::ClientRst) => EndReason::UpstreamRst,
            Some(EndReason::UpstreamRst) => EndReason::IdleTimeout,
            Some(EndReason::IdleTimeout) => EndReason::HalfCloseTimeout,
            Some(EndReason::HalfCloseTimeout) => EndReason::Lifetime,
            Some(EndReason::Lifetime) => EndReason::ConnectRefused,
            Some(EndReason::ConnectRefused) => EndReason::ConnectTimeout,
            Some(EndReason::ConnectTimeout) => EndReason::ConnectUnreachable,
            Some(EndReason::ConnectUnreachable) => EndReason::LocalResources,
            Some(EndReason::LocalResources) => EndReason::Shutdown,
            Some(EndReason::Shutdown) => EndReason::Internal,
            Some(EndReason::Internal) => return None,
        })
    }

    /// An operator finds every word of the log in the table of the docs, and no other.
    #[test]
    fn the_table_of_causes_has_every_word() {
        let docs = include_str!("../../docs/operating.md");
        let (_, section) = docs.split_once("## How a session ended\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let word = |line: &str| {
            line.strip_prefix("| `")?
                .split('`')
                .next()
                .map(str::to_owned)
        };
        let mut told: Vec<String> = section.lines().filter_map(word).collect();
        let causes = std::iter::successors(after(None), |cause| after(Some(*cause)));
        let mut words: Vec<String> = causes.map(|cause| cause.to_string()).collect();
        assert!(words.len() > 10, "{words:?}");
        told.sort();
        words.sort();
        assert_eq!(told, words);
    }
}
