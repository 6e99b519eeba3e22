//! A connection in its opening, as all steps see it.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::net::{Stream, Unconnected};
use crate::proxy::close::{BeforeRelay, Held, Source, before_relay};
use crate::proxy::end_reason::{EndReason, Failure, Side};
use crate::proxy::record::Record;
use crate::proxy::relay::{Echo, Far, Proxied, Relay};
use crate::proxy::spare::Reserved;
use crate::proxy::upstream::{Claim, FirstBytes};
use crate::runtime::Legs;

/// A connection without a relay. Its drop resets the client: a FIN could pass for an empty answer.
pub(super) struct Connection {
    pub(super) client: Stream,
    pub(super) record: Record,
    /// The endpoint that the accept loop has chosen, where the service has an upstream.
    pub(super) reserved: Cell<Option<Claim>>,
    /// A socket for the first endpoint.
    pub(super) spare: Cell<Option<Unconnected>>,
    pub(super) first_bytes: FirstBytes,
    /// Present once a step has connected.
    pub(super) upstream: Cell<Option<Stream>>,
}

impl Connection {
    pub(super) fn new(client: Stream, record: Record, reserved: Option<Reserved>) -> Self {
        let (reserved, spare) = match reserved {
            Some(Reserved { endpoint, socket }) => (endpoint, socket),
            None => (None, None),
        };
        Self {
            client,
            record,
            reserved: Cell::new(reserved),
            spare: Cell::new(spare),
            first_bytes: FirstBytes::default(),
            upstream: Cell::default(),
        }
    }

    /// Ready when the client ends the opening. After a FIN the opening goes on: the client may wait
    /// for an answer.
    pub(super) fn poll_client(&self, context: &mut Context<'_>) -> Poll<Failure> {
        // Input stays in the receive queue, and a FIN does not make the connection fail.
        let Poll::Ready(error) = self.client.poll_failed(context) else {
            return Poll::Pending;
        };
        let held = if self.first_bytes.are_on_the_way.get() {
            Held::Kernel
        } else {
            Held::Nothing
        };
        match before_relay(Source::Reset, held) {
            BeforeRelay::GoOn => Poll::Pending,
            BeforeRelay::GiveUp => Poll::Ready(Failure {
                reason: EndReason::of_failure(Side::Client, error),
                error: Some(error),
            }),
        }
    }

    /// After the last step: starts the relay, or ends the session for the given reason. `opening`
    /// is the context of the opening's task, whose session the relay continues.
    pub(super) fn finish(mut self, ended: Result<(), Failure>, opening: Option<&Context<'_>>) {
        if let Err(failure) = ended {
            self.record.end(failure.reason);
            return self.record.finish(failure.error, Legs::default);
        }
        self.record.from_client = self.first_bytes.sent.get() as u64;
        self.record
            .count_moved((0, 0), (self.record.from_client, 0));
        match self.upstream.take() {
            None => start(Relay::new(self.client, Echo, self.record), opening),
            Some(upstream) => {
                let far = Proxied::new(upstream);
                start(Relay::new(self.client, far, self.record), opening);
            }
        }
    }
}

fn start<F: Far + 'static>(relay: Relay<F>, opening: Option<&Context<'_>>) {
    let lane = relay.lane().clone();
    match opening {
        None => lane.spawn_session(&"session", relay),
        Some(context) => lane.continue_as(context, &"session", relay),
    }
}
