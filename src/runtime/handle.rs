//! A lane in the view of its tasks.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::thread;

use super::recorder::What;
use super::release::{Permits, Release};
use super::remote::{Message, Remote, Task};
use super::session::{Control, Session};
use super::shared::Shared;
use super::task::{Controlled, TaskName};
use crate::buf::Pool;
use crate::poller::BackEnd;
use crate::stats::LaneStats;
use crate::sys::Time;

/// A lane in the view of its tasks. Cheap to clone; stays on its thread.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Rc<Shared>);

impl Handle {
    /// Starts a task. The task runs in this turn or the next, and lives until its end or the lane's
    /// end.
    pub fn spawn<F>(&self, name: TaskName, future: F)
    where
        F: Future<Output = ()> + 'static,
    {
        self.0.scheduler.spawn(name, future);
    }

    /// Starts a session: a task that a lane which drains waits for.
    pub(crate) fn spawn_session<S: Session + 'static>(&self, name: TaskName, session: S) {
        self.0.scheduler.spawn_session(name, session);
    }

    /// Starts a session whose future is opaque.
    pub(crate) fn spawn_controlled<C, F>(&self, name: TaskName, control: C, future: F)
    where
        C: Control + 'static,
        F: Future<Output = ()> + 'static,
    {
        self.spawn_session(name, Controlled { control, future });
    }

    /// Continues the session of this context with a future of its own memory. The calling session
    /// ends with the same poll; listings see one session.
    ///
    /// # Panics
    /// When the context is not that of a session.
    pub(crate) fn continue_as<S>(&self, context: &Context<'_>, name: TaskName, session: S)
    where
        S: Session + 'static,
    {
        let running = Task::polled_with(context);
        self.0.scheduler.continue_as(&running, name, session);
    }

    /// The number of sessions that have not ended.
    pub(crate) fn sessions(&self) -> usize {
        self.0.scheduler.sessions()
    }

    /// Keeps this turn from sleeping, for a task that now waits for the success of a lazy send.
    pub fn stay_awake(&self) {
        self.0.scheduler.stay_awake.set(true);
    }

    /// The moment of this turn.
    #[must_use]
    pub fn now(&self) -> Time {
        self.0.now()
    }

    /// The lane's buffers.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// The lane's counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<LaneStats> {
        &self.0.stats
    }

    /// The lane, for other threads.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.0.scheduler.remote
    }

    /// The limit of bytes in user space for one direction of a session: half of them queued, half
    /// being sent.
    #[must_use]
    pub fn high_mark(&self) -> usize {
        self.0.high_mark
    }

    /// The next random number: good enough to spread load, no secret (SplitMix64).
    #[must_use]
    pub fn random(&self) -> u64 {
        let state = self.0.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Which poller the lane has.
    #[must_use]
    pub fn back_end(&self) -> BackEnd {
        self.0.poller.borrow().back_end()
    }

    /// Releases a permit after as many descriptors are closed as the lane closes in this turn.
    pub(crate) fn release_after_close(&self, permit: Arc<dyn Permits>) {
        self.0.releases.push(permit);
    }

    /// Releases a place at an endpoint after every socket is closed that the lane closes up to the
    /// end of this turn.
    pub(crate) fn release_place_after_close(&self, place: Arc<dyn Release>) {
        self.0.releases.push_place(place);
    }

    /// Tells a recording that a connection goes to another lane.
    pub(crate) fn record_hand_over(&self, to: usize) {
        let to = u32::try_from(to).unwrap_or(u32::MAX);
        self.0.scheduler.recorder.record(What::HandOver { to });
    }

    /// Whether the present drops follow the panic of a task. The panic may be over by then: a
    /// future written by hand stays as it was, and is dropped afterwards.
    #[must_use]
    pub fn is_dropping_after_panic(&self) -> bool {
        thread::panicking() || self.0.scheduler.panicked.get()
    }
}

impl Remote {
    /// Runs `call` on the lane in its next turn. Never blocks.
    ///
    /// # Panics
    /// Never.
    pub fn call(&self, call: impl FnOnce(&Handle) + Send + 'static) {
        self.send(Message::Call(Box::new(|lane| {
            call(lane.downcast_ref().expect("a lane passes its handle"));
        })));
    }
}
