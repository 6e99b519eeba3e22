//! Futures that end at a moment in time.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::handle::Handle;
use super::remote::Task;
use super::timer::TimerKey;
use crate::sys::Time;

/// A timer of one task. The caller passes the lane and the deadline, and disarms the timer at the
/// end; a [`Sleep`] does so by itself. Costs nothing before the first poll.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    /// The earliest moment at which the timer fires.
    at: Time,
    key: Option<TimerKey>,
}

impl Timer {
    /// Ready from the deadline on, at most a tick later, and not before the lane has delivered all
    /// input that arrived until the deadline. A later deadline costs no timer operation: the timer
    /// checks the deadline when it fires.
    pub(crate) fn poll(
        &mut self,
        lane: &Handle,
        deadline: Time,
        context: &Context<'_>,
    ) -> Poll<()> {
        let delivered = lane.0.delivered_until.get();
        if delivered >= deadline {
            self.disarm(lane);
            return Poll::Ready(());
        }
        let waits = self.key.is_some() && self.at <= deadline;
        if waits && delivered < self.at || deadline == Time::NEVER {
            return Poll::Pending;
        }
        // The timer has fired, is about to fire, or would fire too late.
        self.disarm(lane);
        let mut timers = lane.0.timers.borrow_mut();
        self.key = Some(timers.insert(deadline, Task::polled_with(context)));
        self.at = deadline;
        Poll::Pending
    }

    /// Moves the timer to the task of this context.
    fn move_to(&self, lane: &Handle, context: &Context<'_>) {
        let mut timers = lane.0.timers.borrow_mut();
        if let Some(task) = self.key.and_then(|key| timers.find(key))
            && !task.is_polled_with(context)
        {
            *task = Task::polled_with(context);
        }
    }

    /// Removes the timer.
    pub(crate) fn disarm(&mut self, lane: &Handle) {
        if let Some(key) = self.key.take() {
            drop(lane.0.timers.borrow_mut().remove(key));
        }
    }
}

/// Ends at a deadline, at most a tick later. Costs nothing before the first poll.
#[derive(Debug)]
pub struct Sleep {
    lane: Handle,
    deadline: Time,
    timer: Timer,
}

impl Sleep {
    /// Moves the deadline. A later deadline costs no timer operation.
    pub fn reset(&mut self, deadline: Time) {
        self.deadline = deadline;
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.timer.move_to(&this.lane, context);
        this.timer.poll(&this.lane, this.deadline, context)
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
            deadline,
            timer: Timer::default(),
        }
    }
}

/// The time ran out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for Elapsed {}

/// Polls `future`, pinned (`pin!`), until the sleep ends.
///
/// # Errors
/// [`Elapsed`] when the sleep ends first.
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

/// Runs the queued tasks of the lane first.
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
