//! Futures that end at a moment.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::lane::Handle;
use super::timer::TimerKey;
use crate::sys::Time;

/// Ends at a deadline, at most a tick after it. Costs nothing before it is polled.
#[derive(Debug)]
pub struct Sleep {
    lane: Handle,
    deadline: Time,
    timer: Option<TimerKey>,
}

impl Sleep {
    /// Moves the deadline. A later one costs no timer operation: the timer looks again when it
    /// fires.
    pub fn reset(&mut self, deadline: Time) {
        if deadline < self.deadline {
            self.disarm();
        }
        self.deadline = deadline;
    }

    fn disarm(&mut self) {
        if let Some(timer) = self.timer.take() {
            drop(self.lane.0.timers.borrow_mut().remove(timer));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.lane.now() >= this.deadline {
            this.disarm();
            return Poll::Ready(());
        }
        let mut timers = this.lane.0.timers.borrow_mut();
        match this.timer.and_then(|timer| timers.find(timer)) {
            Some(waker) => waker.clone_from(context.waker()),
            None if this.deadline == Time::NEVER => {}
            None => this.timer = Some(timers.insert(this.deadline, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl Handle {
    /// Ends at `deadline`.
    #[must_use]
    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep {
            lane: self.clone(),
            deadline,
            timer: None,
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
