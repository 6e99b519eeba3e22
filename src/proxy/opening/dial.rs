//! The step that connects to the chosen endpoint and, after a failure, to further endpoints.

use super::connection::Connection;
use crate::proxy::end_reason::{EndReason, Failure};
use crate::proxy::listener_context::ListenerContext;
use crate::proxy::upstream::Dialling;

/// Where the service has an upstream.
pub(super) fn is_on(listener_context: &ListenerContext) -> bool {
    listener_context.service.upstream().is_some()
}

/// Connects, first with the reserved socket. A session whose endpoint went into maintenance
/// meanwhile ends like the sessions that had connected before.
pub(super) async fn run(connection: &Connection) -> Result<(), Failure> {
    let record = &connection.record;
    let listener_context = record.listener_context();
    if let Some(upstream) = listener_context.service.upstream() {
        let dialling = Dialling {
            client: &connection.client,
            address: record.client(),
            lane: listener_context.lane_index,
            timeouts: &listener_context.timeouts,
            lease: &record.lease,
            tries: &record.tries,
            spare: &connection.spare,
            first_bytes: &connection.first_bytes,
        };
        let stream = upstream.connect(&dialling).await?;
        record.set_connected();
        if record
            .lease
            .endpoint()
            .is_some_and(|at| !upstream.may_keep(at))
        {
            return Err(EndReason::Operator.into());
        }
        connection.upstream.set(Some(stream));
    }
    Ok(())
}
