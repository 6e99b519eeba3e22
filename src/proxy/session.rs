//! A session: one client connection from its start to its record.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use super::close::{Action, Held, Phase, Sink, Source, action};
use super::end_reason::EndReason;
use super::limit::Permit;
use super::listener_context::ListenerContext;
use super::record::Record;
use super::relay::{Echo, Proxied, Relay};
use super::service::Service;
use super::spare::Reserved;
use super::upstream::{Opening, Upstream};
use crate::net::Stream;
use crate::runtime::{Either, either};

/// Starts to serve one connection; with what was reserved for it where it has an upstream.
pub(super) fn start(
    (client, peer): (Stream, SocketAddr),
    permit: Permit,
    listener_context: &Rc<ListenerContext>,
    reserved: Option<Reserved>,
) {
    let lane = &listener_context.lane;
    lane.stats().begun.add(1);
    let record = Record::new(Rc::clone(listener_context), peer, permit);
    match reserved {
        None => lane.spawn(&"session", Relay::new(client, Echo, record)),
        Some(reserved) => {
            let connect = proxy(client, record, Rc::clone(listener_context), reserved);
            lane.spawn(&"connect", connect);
        }
    }
}

/// Connects for a client and starts the relay, as a task of its own: what connecting takes is given
/// back before the session idles.
async fn proxy(
    client: Stream,
    mut record: Record,
    listener_context: Rc<ListenerContext>,
    reserved: Reserved,
) {
    let Service::Proxy(upstream) = &listener_context.service else {
        return;
    };
    let Some(stream) = connect(&client, upstream, reserved, &listener_context, &mut record).await
    else {
        // Dropping resets the client: it must not take silence for an answer.
        return;
    };
    let relay = Relay::new(client, Proxied::new(stream), record);
    listener_context.lane.spawn(&"session", relay);
}

/// Connects to an endpoint, unless the client leaves first. A client that has sent its FIN has not
/// left: what it sent is delivered, and it waits for the answer.
async fn connect(
    client: &Stream,
    upstream: &Upstream,
    reserved: Reserved,
    listener_context: &ListenerContext,
    record: &mut Record,
) -> Option<Stream> {
    let opening = Opening {
        client,
        spare: Cell::new(reserved.socket),
        hands_over: Cell::new(false),
        sent: Cell::new(0),
    };
    let ended = {
        let first = reserved.endpoint;
        let connecting =
            upstream.connect(&opening, first, &listener_context.timeouts, &record.tries);
        let client_ends = poll_fn(|context| {
            if opening.hands_over.get() {
                return Poll::Pending;
            }
            ready!(client.poll_failed(context));
            let action = action(Phase::Connecting, Source::Reset, Held::Nothing, Sink::Open);
            Poll::Ready(action)
        });
        either(pin!(connecting), pin!(client_ends)).await
    };
    match ended {
        Either::First(Ok((stream, endpoint))) => {
            record.connected(endpoint);
            record.from_client = opening.sent.get() as u64;
            Some(stream)
        }
        Either::First(Err(cause)) => {
            record.end(cause);
            None
        }
        Either::Second(action) => {
            debug_assert_eq!(action, Action::GiveUp, "a client that has reset is gone");
            record.end(EndReason::ClientRst);
            None
        }
    }
}
