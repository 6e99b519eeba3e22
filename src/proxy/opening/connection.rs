//! A connection in its opening: what the steps share.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::net::{Stream, Unconnected};
use crate::proxy::close::{BeforeRelay, Held, Source, before_relay};
use crate::proxy::end_reason::EndReason;
use crate::proxy::record::Record;
use crate::proxy::relay::{Echo, Far, Proxied, Relay};
use crate::proxy::spare::Reserved;
use crate::proxy::upstream::FirstBytes;

/// A connection that has no relay yet. Dropped without one, it resets the client: silence must not
/// pass for an answer.
pub(super) struct Connection {
    pub(super) client: Stream,
    pub(super) record: Record,
    /// The session's turn among the endpoints, where the service has an upstream.
    pub(super) turn: Option<usize>,
    /// A socket for the first endpoint.
    pub(super) spare: Cell<Option<Unconnected>>,
    pub(super) first_bytes: FirstBytes,
    /// Once a step has connected to it.
    pub(super) upstream: Cell<Option<Stream>>,
}

impl Connection {
    pub(super) fn new(client: Stream, record: Record, reserved: Option<Reserved>) -> Self {
        let (turn, spare) = match reserved {
            Some(Reserved { turn, socket }) => (Some(turn), socket),
            None => (None, None),
        };
        Self {
            client,
            record,
            turn,
            spare: Cell::new(spare),
            first_bytes: FirstBytes::default(),
            upstream: Cell::default(),
        }
    }

    /// Ready when the client ends the opening. A client that has sent its FIN does not: it may wait
    /// for the answer to what it sent before.
    pub(super) fn poll_client(&self, context: &mut Context<'_>) -> Poll<EndReason> {
        // Nothing is received here, so a FIN is not seen either.
        let source = match self.client.poll_failed(context) {
            Poll::Ready(()) => Source::Reset,
            Poll::Pending => Source::Open,
        };
        let held = if self.first_bytes.are_on_the_way.get() {
            Held::Kernel
        } else {
            Held::Nothing
        };
        match before_relay(source, held) {
            BeforeRelay::GoOn => Poll::Pending,
            BeforeRelay::GiveUp => Poll::Ready(EndReason::ClientRst),
        }
    }

    /// The steps have ended: relays, or ends for the given reason. The relay continues the session
    /// of the opening's task, whose context this is; without one it is a task of its own.
    pub(super) fn finish(mut self, ended: Result<(), EndReason>, opening: Option<&Context<'_>>) {
        if let Err(reason) = ended {
            return self.record.end(reason);
        }
        self.record.from_client = self.first_bytes.sent.get() as u64;
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
