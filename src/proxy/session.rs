//! A session: one client connection from its start to the one line logged at its end.

use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;

use super::accept::Acceptor;
use super::echo::echo;
use super::limit::Permit;
use super::relay::relay;
use super::upstream::Upstream;
use crate::net::Stream;

/// What a listener does with a connection.
#[derive(Clone, Debug)]
pub enum Service {
    /// Send everything back.
    Echo,
    /// Relay to an upstream.
    Proxy(Rc<Upstream>),
}

/// Bytes moved so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) from_client: u64,
    pub(super) to_client: u64,
}

/// Serves one connection. However it ends, there is one line about it.
pub(super) async fn session(
    client: Stream,
    peer: SocketAddr,
    permit: Permit,
    acceptor: Rc<Acceptor>,
) {
    let mut moved = Moved::default();
    let lane = client.lane().clone();
    let start = lane.now();
    let result = match &acceptor.service {
        Service::Echo => echo(client, &mut moved).await.map_err(Box::from),
        Service::Proxy(upstream) => proxy(client, upstream, &mut moved).await,
    };
    drop(permit);
    let ended = result
        .as_ref()
        .map_or_else(|error| error.to_string(), |()| "fin".to_owned());
    tracing::debug!(
        listener = &*acceptor.name,
        %peer,
        from_client_bytes = moved.from_client,
        to_client_bytes = moved.to_client,
        lasted = ?lane.now().since(start),
        ended,
        "session"
    );
}

async fn proxy(
    client: Stream,
    upstream: &Upstream,
    moved: &mut Moved,
) -> Result<(), Box<dyn Error>> {
    // The client waits; dropping it resets it, so that it does not take silence for an answer.
    let (upstream, _) = upstream.connect(client.lane()).await?;
    Ok(relay(client, upstream, moved).await?)
}
