//! What a listener does with its connections. Read by the accept loop and by every session.

use std::sync::Arc;

use super::upstream::Upstream;

/// What a listener does with a connection.
#[derive(Clone, Debug)]
pub enum Service {
    /// Send everything back.
    Echo,
    /// Relay to an upstream.
    Proxy(Arc<Upstream>),
}

impl Service {
    /// The word for the kind of sessions.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Proxy(_) => "proxy",
        }
    }

    /// Where the connections go, unless corelane itself answers.
    pub(super) fn upstream(&self) -> Option<&Arc<Upstream>> {
        match self {
            Self::Echo => None,
            Self::Proxy(upstream) => Some(upstream),
        }
    }
}
