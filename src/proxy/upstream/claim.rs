//! A session's place at an endpoint, before the session has a record.

use std::sync::Arc;

use super::endpoint::Endpoint;

/// An endpoint that counts a session from the choice on: the next choice, on any lane, sees the
/// session. Drop takes the session back.
#[derive(Debug)]
pub(in crate::proxy) struct Claim {
    index: usize,
    /// `None` after [`Claim::keep`].
    endpoint: Option<Arc<Endpoint>>,
}

impl Claim {
    /// Of an endpoint with the session in the count.
    pub(super) fn of_counted(index: usize, endpoint: &Arc<Endpoint>) -> Self {
        Self {
            index,
            endpoint: Some(Arc::clone(endpoint)),
        }
    }

    /// The index of the endpoint in the upstream.
    pub(in crate::proxy) fn index(&self) -> usize {
        self.index
    }

    /// Leaves the count to the lease of the session. Returns the index.
    pub(super) fn keep(mut self) -> usize {
        self.endpoint = None;
        self.index
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.remove_session();
        }
    }
}
