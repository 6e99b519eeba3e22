//! The step that chooses an endpoint of the upstream. From here on the session counts for this
//! endpoint.

use super::connection::Connection;
use crate::proxy::end_reason::Failure;
use crate::proxy::listener_context::ListenerContext;

/// Where the service has an upstream.
pub(super) fn is_on(listener_context: &ListenerContext) -> bool {
    listener_context.service.upstream().is_some()
}

/// Leases the endpoint of the session's turn. The accept loop has taken the turn together with the
/// socket, since a socket fits endpoints of one family only.
#[expect(clippy::unused_async, reason = "every step has this form")]
pub(super) async fn run(connection: &Connection) -> Result<(), Failure> {
    let record = &connection.record;
    if let Some(upstream) = record.listener_context().service.upstream() {
        let turn = connection.turn.unwrap_or_else(|| upstream.take_turn());
        record.lease.take(upstream, upstream.choose(turn));
    }
    Ok(())
}
