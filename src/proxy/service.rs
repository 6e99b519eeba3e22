//! The service of a listener. Read by the accept loop and by every session.

use std::sync::Arc;

use super::upstream::Upstream;

/// What a listener does with its connections.
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

    /// The destination of the connections; none for an echo.
    pub(super) fn upstream(&self) -> Option<&Arc<Upstream>> {
        match self {
            Self::Echo => None,
            Self::Proxy(upstream) => Some(upstream),
        }
    }
}
