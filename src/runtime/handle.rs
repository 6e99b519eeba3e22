//! A lane as its tasks use it.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::thread;

use super::leaving::GiveBack;
use super::remote::{Message, Remote, Task};
use super::session::{Control, Session};
use super::shared::Shared;
use super::task::{Controlled, TaskName};
use crate::buf::Pool;
use crate::poller::BackEnd;
use crate::stats::LaneStats;
use crate::sys::Time;

/// A lane, as its tasks see it. Cheap to clone; stays on its thread.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Rc<Shared>);

impl Handle {
    /// Starts a task. It runs in this turn or the next, and lives until it ends or the lane does.
    pub fn spawn<F>(&self, name: TaskName, future: F)
    where
        F: Future<Output = ()> + 'static,
    {
        self.0.scheduler.spawn(name, future);
    }

    /// Starts a session: a task that a lane which drains waits for.
    pub fn spawn_session<S: Session + 'static>(&self, name: TaskName, session: S) {
        self.0.scheduler.spawn_session(name, session);
    }

    /// Starts a session whose future is opaque.
    pub fn spawn_controlled<C, F>(&self, name: TaskName, control: C, future: F)
    where
        C: Control + 'static,
        F: Future<Output = ()> + 'static,
    {
        self.spawn_session(name, Controlled { control, future });
    }

    /// Continues the session that is polled with this context as another one, with a future of its
    /// own memory. The session that calls this ends with the same poll; listings see one session.
    ///
    /// # Panics
    /// When the context is not that of a session.
    pub fn continue_as<S>(&self, context: &Context<'_>, name: TaskName, session: S)
    where
        S: Session + 'static,
    {
        let running = Task::polled_with(context);
        self.0.scheduler.continue_as(&running, name, session);
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

    /// Bytes that one direction of a session may hold in user space: half of them queued up, half
    /// being sent.
    #[must_use]
    pub fn high_mark(&self) -> usize {
        self.0.high_mark
    }

    /// The next random number: good enough to spread things, no secret (SplitMix64).
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

    /// Gives `what` back once the sockets that the lane closes in this turn are closed indeed.
    pub fn give_back_when_closed(&self, what: Arc<dyn GiveBack>) {
        self.0.leaving.push(what);
    }

    /// Whether what is dropped now is dropped because its task has panicked. The panic may be over
    /// by then: a future written by hand is left as it was, and dropped afterwards.
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
