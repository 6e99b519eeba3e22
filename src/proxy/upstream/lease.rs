//! The count of a session among the live sessions of an endpoint.

use std::cell::Cell;

use super::claim::Claim;
use super::shared::Upstream;
use crate::runtime::{Bug, seeded};

/// The endpoint for which a session counts as live, from the choice of the endpoint on: a session
/// that still connects counts too. Only an index, since every idle session holds a lease; the
/// record knows the upstream and releases the lease when the session ends.
#[derive(Debug)]
pub(in crate::proxy) struct Lease(Cell<u16>);

impl Lease {
    const NONE: u16 = u16::MAX;

    /// No lease.
    pub(in crate::proxy) fn none() -> Self {
        Self(Cell::new(Self::NONE))
    }

    /// The endpoint for which the session counts.
    pub(in crate::proxy) fn endpoint(&self) -> Option<usize> {
        (self.0.get() != Self::NONE).then(|| self.0.get().into())
    }

    /// Counts the session for the endpoint of the claim, and no longer for the endpoint before.
    pub(in crate::proxy) fn take(&self, upstream: &Upstream, claim: Claim) {
        if !seeded(Bug::LeaseLeaked) {
            self.release(upstream);
        }
        let to = u16::try_from(claim.keep());
        self.0.set(to.expect("at most ENDPOINTS_MAX"));
    }

    /// Counts the session for no endpoint.
    pub(in crate::proxy) fn release(&self, upstream: &Upstream) {
        if let Some(index) = self.endpoint() {
            upstream.endpoints[index].remove_session();
            self.0.set(Self::NONE);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        debug_assert_eq!(self.endpoint(), None, "the record releases it");
    }
}
