//! Futures that end at a moment.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::lane::Handle;
use super::task::Task;
use super::timer::TimerKey;
use crate::sys::Time;

/// A moment, and the timer for it once somebody waits. Costs nothing before that. For who has the
/// lane at hand anyway, and takes the timer back when done; others have a [`Sleep`].
#[derive(Debug)]
pub struct Timer {
    deadline: Time,
    key: Option<TimerKey>,
}

impl Timer {
    /// At `deadline`.
    #[must_use]
    pub fn at(deadline: Time) -> Self {
        Self {
            deadline,
            key: None,
        }
    }

    /// Moves the deadline. A later one costs no timer operation: the timer looks again when it
    /// fires.
    pub fn reset(&mut self, lane: &Handle, deadline: Time) {
        if deadline < self.deadline {
            self.disarm(lane);
        }
        self.deadline = deadline;
    }

    /// Ready from the deadline on, at most a tick after it.
    pub fn poll(&mut self, lane: &Handle, context: &Context<'_>) -> Poll<()> {
        if lane.now() >= self.deadline {
            self.disarm(lane);
            return Poll::Ready(());
        }
        let mut timers = lane.0.timers.borrow_mut();
        match self.key.and_then(|key| timers.find(key)) {
            Some(task) if task.is_polled_with(context) => {}
            Some(task) => *task = Task::polled_with(context),
            None if self.deadline == Time::NEVER => {}
            None => {
                let task = Task::polled_with(context);
                self.key = Some(timers.insert(self.deadline, task));
            }
        }
        Poll::Pending
    }

    /// Takes the timer back.
    pub fn disarm(&mut self, lane: &Handle) {
        if let Some(key) = self.key.take() {
            drop(lane.0.timers.borrow_mut().remove(key));
        }
    }
}

/// Ends at a deadline, at most a tick after it. Costs nothing before it is polled.
#[derive(Debug)]
pub struct Sleep {
    lane: Handle,
    timer: Timer,
}

impl Sleep {
    /// Moves the deadline; see [`Timer::reset`].
    pub fn reset(&mut self, deadline: Time) {
        self.timer.reset(&self.lane, deadline);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.timer.poll(&this.lane, context)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.timer.disarm(&self.lane);
    }
}

impl Handle {
    /// Ends at `deadline`.
    #[must_use]
    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep {
            lane: self.clone(),
            timer: Timer::at(deadline),
        }
    }
}

/// The time was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for Elapsed {}

/// Gives `future`, pinned (`pin!`), until the sleep ends.
///
/// # Errors
/// [`Elapsed`] when the time is over first.
pub fn timeout<F>(
    mut sleep: Sleep,
    mut future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>>
where
    F: Future + Unpin,
{
    poll_fn(move |context| {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut sleep).poll(context).map(|()| Err(Elapsed))
    })
}

/// Lets the other tasks run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
