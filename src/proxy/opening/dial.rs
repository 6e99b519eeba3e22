//! The step that connects to the chosen endpoint and, after a failure, to further endpoints.

use super::connection::Connection;
use crate::proxy::end_reason::Failure;
use crate::proxy::listener_context::ListenerContext;
use crate::proxy::upstream::Dialling;

/// Where the service has an upstream.
pub(super) fn is_on(listener_context: &ListenerContext) -> bool {
    listener_context.service.upstream().is_some()
}

/// Connects, first with the reserved socket.
pub(super) async fn run(connection: &Connection) -> Result<(), Failure> {
    let record = &connection.record;
    let listener_context = record.listener_context();
    if let Some(upstream) = listener_context.service.upstream() {
        let dialling = Dialling {
            client: &connection.client,
            timeouts: &listener_context.timeouts,
            lease: &record.lease,
            tries: &record.tries,
            spare: &connection.spare,
            first_bytes: &connection.first_bytes,
        };
        let stream = upstream.connect(&dialling).await?;
        record.set_connected();
        connection.upstream.set(Some(stream));
    }
    Ok(())
}
