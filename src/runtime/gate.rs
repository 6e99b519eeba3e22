//! Waiting for one of two things, and for something that happens once for all.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

/// Closed at first; once open, open for good. Those who wait are let through. One lane's.
#[derive(Debug, Default)]
pub struct Gate {
    open: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.open.set(true);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Ends once the gate is open. Keep one such future rather than making many: each that has
    /// waited is remembered until the gate opens.
    pub async fn pass(&self) {
        let mut place: Option<usize> = None;
        poll_fn(|context| {
            if self.open.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            match place {
                Some(place) => waiting[place].clone_from(context.waker()),
                None => {
                    place = Some(waiting.len());
                    waiting.push(context.waker().clone());
                }
            }
            Poll::Pending
        })
        .await;
    }
}

/// Waits until both futures have ended well, or one has failed; the other is dropped then.
///
/// # Errors
/// The first error.
pub async fn both<A, B, E>(first: A, second: B) -> Result<(), E>
where
    A: Future<Output = Result<(), E>>,
    B: Future<Output = Result<(), E>>,
{
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut first_ended, mut second_ended) = (false, false);
    poll_fn(|context| {
        if !first_ended {
            match first.as_mut().poll(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                polled => first_ended = polled.is_ready(),
            }
        }
        if !second_ended {
            match second.as_mut().poll(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                polled => second_ended = polled.is_ready(),
            }
        }
        if first_ended && second_ended {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Which of two futures ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Waits for the first of two futures to end; if both have, the first counts. The other is dropped.
pub async fn either<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}
