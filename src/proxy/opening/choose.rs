//! The step that chooses an endpoint of the upstream. From here on the session counts for this
//! endpoint.

use super::connection::Connection;
use crate::proxy::end_reason::{EndReason, Failure};
use crate::proxy::listener_context::ListenerContext;
use crate::proxy::upstream::Seeker;
use crate::runtime::{Bug, seeded};

/// Where the service has an upstream.
pub(super) fn is_on(listener_context: &ListenerContext) -> bool {
    listener_context.service.upstream().is_some()
}

/// Leases the endpoint that the accept loop has chosen together with the socket, since a socket
/// fits endpoints of one family only. An operator may have taken the endpoint out of service since
/// then: the session chooses again, and ends if no endpoint is ready.
#[expect(clippy::unused_async, reason = "every step has this form")]
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
        };
        let Some(chosen) = reserved.or_else(|| upstream.choose(&seeker)) else {
            upstream.report_none_ready(lane.now());
            return Err(EndReason::NoEndpoint.into());
        };
        record.lease.take(upstream, chosen);
    }
    Ok(())
}
