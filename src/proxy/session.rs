//! A session: one client connection from its start to its record.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::accept::Acceptor;
use super::close::{Action, Held, Phase, Sink, Source, action};
use super::limit::Permit;
use super::record::{Cause, Record};
use super::relay::Relay;
use super::upstream::Upstream;
use crate::net::Stream;
use crate::runtime::{Close, Either, either};

/// What a listener does with a connection.
#[derive(Clone, Debug)]
pub enum Service {
    /// Send everything back.
    Echo,
    /// Relay to an upstream.
    Proxy(Rc<Upstream>),
}

/// Serves one connection.
pub(super) async fn session(
    client: Stream,
    peer: SocketAddr,
    permit: Permit,
    acceptor: Rc<Acceptor>,
) {
    let mut record = Record::new(client.lane(), Arc::clone(&acceptor.name), peer);
    let relay = match &acceptor.service {
        Service::Echo => Relay::new(client, None, &acceptor.timeouts),
        Service::Proxy(upstream) => {
            // Boxed: what connecting takes is given back before the session idles.
            let connected = Box::pin(connect(&client, upstream, &acceptor, &mut record)).await;
            let Some(stream) = connected else {
                // It must not take silence for an answer.
                client.close(Close::Reset);
                return;
            };
            Relay::new(client, Some(stream), &acceptor.timeouts)
        }
    };
    relay.run(&mut record).await;
    drop(permit);
}

/// Connects to an endpoint, unless the client leaves first. A client that has sent its FIN has not
/// left: what it sent is delivered, and it waits for the answer.
async fn connect(
    client: &Stream,
    upstream: &Upstream,
    acceptor: &Acceptor,
    record: &mut Record,
) -> Option<Stream> {
    let lane = client.lane();
    let connecting = upstream.connect(lane, &acceptor.timeouts, &mut record.tries);
    let client_ends = async {
        client.failed().await;
        action(Phase::Connecting, Source::Reset, Held::Nothing, Sink::Open)
    };
    match either(connecting, client_ends).await {
        Either::First(Ok((stream, endpoint))) => {
            (record.endpoint, record.connected) = (Some(endpoint), Some(lane.now()));
            Some(stream)
        }
        Either::First(Err(cause)) => {
            record.end(cause);
            None
        }
        Either::Second(action) => {
            debug_assert_eq!(action, Action::GiveUp, "a client that has reset is gone");
            record.end(Cause::ClientRst);
            None
        }
    }
}
