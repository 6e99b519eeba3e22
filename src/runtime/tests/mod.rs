//! Tests of the runtime: whole lanes, driven by hand or on threads of their own.
//!
//! Whatever touches a socket runs on every back end. Nothing here sleeps to synchronise.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod closing;
mod recording;
mod rounds;
mod sessions;
mod sockets;
#[cfg(unix)]
mod splicing;
mod tasks;
mod threads;
mod time;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::handle::Handle;
use super::lane::{Lane, LaneOptions};
use super::task_timer::timeout;
use crate::poller::BackEnd;
use crate::poller::require_io_uring::require_io_uring;
use crate::sys::{self, Time};

/// How long anything may take: generous, for machines that do something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on every back end; see [`require_io_uring`] where io_uring is refused.
fn on_every_back_end(test: impl Fn(BackEnd)) {
    for &back_end in BackEnd::ALL {
        if require_io_uring(back_end.refusal()) {
            test(back_end);
        }
    }
}

/// A back end that is never refused.
const SURE: BackEnd = BackEnd::ALL[BackEnd::ALL.len() - 1];

/// A lane for tests that touch no socket.
fn lane() -> Lane {
    lane_on(SURE)
}

fn lane_on(back_end: BackEnd) -> Lane {
    Lane::open(LaneOptions::new(back_end), sys::now()).unwrap()
}

/// Runs `future` on the lane, which fails the test if it takes too long.
fn run<T: 'static>(lane: &mut Lane, future: impl Future<Output = T> + 'static) -> T {
    let sleep = lane.handle().sleep_until(sys::now() + PATIENCE);
    let result = Rc::new(Cell::new(None));
    let (end, stays_awake) = (Rc::clone(&result), StaysAwake(lane.handle()));
    lane.handle().spawn(&"test", async move {
        let _stays_awake = stays_awake;
        end.set(Some(timeout(sleep, Box::pin(future)).await));
    });
    loop {
        lane.turn(sys::now()).unwrap();
        if let Some(result) = result.take() {
            return result.expect("the test's task ends in time");
        }
        assert!(Rc::strong_count(&result) > 1, "the test's task panicked");
    }
}

/// Keeps the lane from sleeping at its end, so that the test sees the result.
struct StaysAwake(Handle);

impl Drop for StaysAwake {
    fn drop(&mut self) {
        self.0.stay_awake();
    }
}

/// One turn at `now` that does not sleep: whoever calls a lane has it come back.
fn turn(lane: &mut Lane, now: Time) {
    lane.handle().remote().rouse();
    lane.turn(now).unwrap();
}

/// A turn now.
fn turn_now(lane: &mut Lane) {
    turn(lane, sys::now());
}

/// The waker of the task that asks.
async fn own_waker() -> Waker {
    poll_fn(|context| Poll::Ready(context.waker().clone())).await
}

/// Counts its drops, and refuses to be dropped on another thread.
struct Token {
    drops: Rc<Cell<usize>>,
    thread: thread::ThreadId,
}

impl Token {
    fn new(drops: &Rc<Cell<usize>>) -> Self {
        Self {
            drops: Rc::clone(drops),
            thread: thread::current().id(),
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert_eq!(self.thread, thread::current().id(), "on its own thread");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own threads")]
fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(f)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
