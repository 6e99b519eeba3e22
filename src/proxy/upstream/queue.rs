//! The queue of an upstream: sessions that wait while all usable endpoints have their most
//! sessions, in the order of their arrival at any lane.

use std::pin::pin;

use super::choose::{Choice, Seeker};
use super::claim::Claim;
use super::shared::Upstream;
use crate::proxy::end_reason::EndReason;
use crate::runtime::{Either, Turn, either, yield_now};

/// A session in the queue. Drop leaves, and calls the next session in case this one was called.
struct Waiting<'a> {
    upstream: &'a Upstream,
    turn: Option<Turn<'a>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turn = None;
        self.upstream.call_queue();
    }
}

impl Upstream {
    /// Waits in the queue for a place at an endpoint. A dropped future has left the queue.
    ///
    /// # Errors
    /// [`EndReason::QueueFull`] at once, or [`EndReason::QueueTimeout`].
    pub(in crate::proxy) async fn wait_for_place(
        &self,
        seeker: &Seeker<'_>,
    ) -> Result<Claim, EndReason> {
        let lane = seeker.lane;
        let mut end = pin!(lane.sleep_until(lane.now() + self.options.queue_timeout));
        let turn = self.of_name.queue.join(self.options.queue).await;
        let waiting = Waiting {
            upstream: self,
            turn: Some(turn.ok_or(EndReason::QueueFull)?),
        };
        let turn = waiting.turn.as_ref().expect("joined above");
        self.call_queue();
        let seeker = Seeker {
            is_called: true,
            ..*seeker
        };
        loop {
            match either(pin!(turn.called()), end.as_mut()).await {
                Either::First(()) => {}
                Either::Second(()) => return Err(EndReason::QueueTimeout),
            }
            if turn.give_way() {
                continue;
            }
            if let Choice::Claimed(claim) = self.choose(&seeker) {
                return Ok(claim);
            }
            // The room was at endpoints of a later configuration, or has been taken since the call.
            turn.pass_on();
            if self.room() > 0 {
                turn.wait_again();
                self.call_queue();
                yield_now().await;
            }
        }
    }

    /// Calls as many waiting sessions as there is room for, after a change that makes room.
    pub(super) fn report_room(&self) {
        self.of_name.queue.call_for_new_room(|| self.room());
    }

    fn call_queue(&self) {
        self.of_name.queue.call(|| self.room());
    }

    /// The sessions that the endpoints in use may still take.
    fn room(&self) -> usize {
        let of_level = |level: &super::level::LevelOf| {
            let open = (0..level.count()).map(|at| &self.endpoints[level.index(at)]);
            let open = open.filter(|endpoint| endpoint.is_open());
            open.map(|endpoint| endpoint.room())
                .reduce(usize::saturating_add)
        };
        self.levels.iter().find_map(of_level).unwrap_or(0)
    }

    /// Whether a session waits uncalled while there is room.
    #[cfg(feature = "sim")]
    pub(crate) fn has_forgotten(&self) -> bool {
        self.of_name.queue.has_forgotten(self.room())
    }

    /// The sessions in the queue, of all generations.
    pub(crate) fn queued(&self) -> usize {
        self.of_name.queue.waiting()
    }
}
