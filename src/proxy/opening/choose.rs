//! The step that chooses an endpoint of the upstream. From here on the session counts for this
//! endpoint.

use super::connection::Connection;
use crate::proxy::end_reason::{EndReason, Failure};
use crate::proxy::listener_context::ListenerContext;
use crate::proxy::record::Record;
use crate::proxy::upstream::{Choice, Claim, Seeker, Upstream};
use crate::runtime::{Bug, seeded};

/// Where the service has an upstream.
pub(super) fn is_on(listener_context: &ListenerContext) -> bool {
    listener_context.service.upstream().is_some()
}

/// Leases the endpoint that the accept loop has chosen together with the socket, since a socket
/// fits endpoints of one family only. An operator may have taken the endpoint out of service since
/// then: the session chooses again, and ends if no endpoint is ready.
pub(super) async fn run(connection: &Connection) -> Result<(), Failure> {
    let record = &connection.record;
    if let Some(upstream) = record.listener_context().service.upstream() {
        let reserved = connection
            .reserved
            .take()
            .filter(|of| seeded(Bug::StateIgnored) || upstream.is_usable(of.index()));
        let lane = connection.client.lane();
        let seeker = Seeker {
            lane,
            client: record.client(),
            tried: &[],
            is_called: false,
        };
        let chosen = match reserved {
            Some(reserved) => reserved,
            None => choose(record, upstream, &seeker).await?,
        };
        record.lease.take(upstream, chosen, lane);
    }
    Ok(())
}

/// Chooses an endpoint. Waits for a place if the usable endpoints have no room.
async fn choose(
    record: &Record,
    upstream: &Upstream,
    seeker: &Seeker<'_>,
) -> Result<Claim, EndReason> {
    let now = || seeker.lane.now();
    match upstream.choose(seeker) {
        Choice::Claimed(claim) => Ok(claim),
        Choice::Full => {
            let claim = upstream.wait_for_place(seeker).await;
            record.set_queued();
            claim.inspect_err(|cause| upstream.report_no_place(*cause, now()))
        }
        Choice::Nothing => {
            upstream.report_none_ready(now());
            Err(EndReason::NoEndpoint)
        }
    }
}
