//! The count of a session among the live sessions of an endpoint.

use std::cell::Cell;
use std::sync::Arc;

use super::claim::Claim;
use super::shared::Upstream;
use crate::runtime::{Bug, Handle, Release, seeded};

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

    /// Counts the session for the endpoint of the claim, and no longer for the endpoint before: at
    /// an endpoint with a limit, as soon as the connection is closed.
    pub(in crate::proxy) fn take(&self, upstream: &Upstream, claim: Claim, lane: &Handle) {
        if !seeded(Bug::LeaseLeaked) {
            self.end(upstream);
            if let Some(place) = self.place(upstream) {
                lane.release_place_after_close(place);
            }
        }
        let to = u16::try_from(claim.keep());
        self.0.set(to.expect("at most ENDPOINTS_MAX"));
    }

    /// Counts the session for no endpoint, unless the endpoint has a limit.
    pub(in crate::proxy) fn end(&self, upstream: &Upstream) {
        if let Some(index) = self.endpoint()
            && (!upstream.endpoints[index].is_limited() || seeded(Bug::PlaceEarly))
        {
            upstream.endpoints[index].remove_session();
            self.0.set(Self::NONE);
        }
    }

    /// The place at an endpoint with a limit, for a release behind the close of the connection.
    pub(in crate::proxy) fn place(&self, upstream: &Upstream) -> Option<Arc<dyn Release>> {
        let index = self.endpoint()?;
        self.0.set(Self::NONE);
        let endpoint = Arc::clone(&upstream.endpoints[index]);
        Some(endpoint)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        debug_assert_eq!(self.endpoint(), None, "the record releases it");
    }
}
