//! Time: sleeps, timeouts, latches, and futures that wait for two events.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Token, lane, ms, run, turn, turn_now};
use crate::runtime::handle::Handle;
use crate::runtime::lane::{Lane, LaneOptions};
use crate::runtime::latch::{Either, Latch, both, either};
use crate::runtime::task_timer::{Elapsed, timeout, yield_now};
use crate::runtime::timer::TICK;
use crate::sys::{self, Time};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn lane_at(now: Time) -> Lane {
    Lane::open(LaneOptions::new(super::SURE), now).unwrap()
}

fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

/// I11: in `[t, t + tick]`, on a clock that only the test moves.
#[test]
fn a_sleep_ends_within_a_tick_of_a_made_up_clock() {
    let start = at(5_000_000_000);
    for after in [
        1,
        999,
        1_000_000,
        1_000_001,
        7_300_000,
        64_000_000,
        100_000_001,
    ] {
        let mut lane = lane_at(start);
        let woken = Rc::new(Cell::new(None));
        let (handle, place) = (lane.handle(), Rc::clone(&woken));
        let deadline = at(start.as_nanos() + after);
        lane.handle().spawn(&"sleeps", async move {
            handle.sleep_until(deadline).await;
            place.set(Some(handle.now()));
        });
        let mut now = start;
        while woken.get().is_none() {
            turn(&mut lane, now);
            assert!(now <= deadline + TICK, "{after}: nothing at {now:?}");
            now = now + ms(1) / 4;
        }
        let woken = woken.get().unwrap();
        assert!(woken >= deadline, "{after}: at {woken:?}");
        assert!(woken.since(deadline) <= TICK, "{after}: at {woken:?}");
    }
}

/// I11 over 400 days on a lane that sleeps as long as its timers allow: sleeps from a millisecond
/// to months, and a sleep postponed daily like an idle session's deadline; none lost, early or
/// late.
#[test]
fn a_lane_of_400_days_loses_no_sleep() {
    let start = at(123_456_789);
    let end = start + 400 * DAY;
    let mut lane = lane_at(start);
    let ended = Rc::new(Cell::new(0_u64));
    let check = |handle: &Handle, deadline: Time| {
        let late = handle.now().since(deadline);
        assert!(handle.now() >= deadline, "{deadline:?}: early");
        assert!(late <= TICK, "{deadline:?}: {late:?} late");
    };
    // Each task sleeps again and again, around this long.
    for longest in [HOUR, 9 * HOUR, DAY, 30 * DAY, 200 * DAY] {
        let (handle, ended) = (lane.handle(), Rc::clone(&ended));
        lane.handle().spawn(&"sleeps", async move {
            while handle.now() < end {
                let nanos = handle.random() % u64::try_from(longest.as_nanos()).unwrap();
                let deadline = handle.now() + Duration::from_nanos(nanos + 1);
                handle.sleep_until(deadline).await;
                check(&handle, deadline);
                ended.set(ended.get() + 1);
            }
        });
    }
    let (handle, put_off) = (lane.handle(), Rc::new(Cell::new(false)));
    let place = Rc::clone(&put_off);
    lane.handle().spawn(&"session", async move {
        let mut idle = handle.sleep_until(handle.now() + 2 * DAY);
        let mut deadline = Time::ZERO;
        while handle.now() < end {
            deadline = handle.now() + 2 * DAY;
            idle.reset(deadline);
            let day = pin!(handle.sleep_until(handle.now() + DAY));
            assert_eq!(either(pin!(&mut idle), day).await, Either::Second(()));
        }
        idle.await;
        check(&handle, deadline);
        place.set(true);
    });
    let (mut now, mut turns) = (start, 0);
    while lane.tasks() > 0 {
        turn(&mut lane, now);
        turns += 1;
        let next = lane.handle().0.timers.borrow().next();
        let Some(next) = next else { continue };
        assert!(next > now, "it would turn for ever at {now:?}");
        now = next;
    }
    assert!(now >= end && put_off.get());
    let ended = ended.get();
    assert!(ended > 400 * 24, "{ended} sleeps");
    assert!(turns < 8 * ended, "{turns} turns for {ended} sleeps");
}

#[test]
fn a_deadline_that_has_passed_ends_at_once() {
    let mut lane = lane_at(at(9_000_000));
    let handle = lane.handle();
    let done = Rc::new(Cell::new(false));
    let place = Rc::clone(&done);
    lane.handle().spawn(&"late", async move {
        handle.sleep_until(at(3)).await;
        place.set(true);
    });
    turn(&mut lane, at(9_000_000));
    assert!(done.get());
}

/// A sleep that a task polls while resetting it, as a session does with its deadline.
#[test]
fn a_sleep_that_is_reset_ends_at_its_last_deadline() {
    for (first, second) in [(20, 5), (5, 20), (5, 5), (1, 64), (64, 1)] {
        let mut lane = lane_at(Time::ZERO);
        let ended = Rc::new(Cell::new(None));
        let (handle, place) = (lane.handle(), Rc::clone(&ended));
        lane.handle().spawn(&"resets", async move {
            let mut sleep = handle.sleep_until(Time::ZERO + ms(first));
            assert!(poll_once(&mut sleep).await.is_pending());
            sleep.reset(Time::ZERO + ms(second));
            sleep.await;
            place.set(Some(handle.now()));
        });
        for tick in 0..100 {
            turn(&mut lane, Time::ZERO + ms(tick));
        }
        assert_eq!(
            ended.get(),
            Some(Time::ZERO + ms(second)),
            "{first} {second}"
        );
        assert!(lane.shared_timers_are_empty());
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

#[test]
fn a_sleep_that_is_dropped_leaves_no_timer() {
    let mut lane = lane_at(Time::ZERO);
    let handle = lane.handle();
    lane.handle().spawn(&"drops", async move {
        for _ in 0..100 {
            let mut sleep = handle.sleep_until(Time::ZERO + ms(50));
            assert!(poll_once(&mut sleep).await.is_pending());
        }
        let ended = timeout(handle.sleep_until(Time::ZERO + ms(50)), pin!(ready(3))).await;
        assert_eq!(ended, Ok(3));
    });
    turn(&mut lane, Time::ZERO);
    assert!(lane.shared_timers_are_empty());
    assert_eq!(lane.tasks(), 0);
}

#[test]
fn timeout_ends_with_the_first_of_the_two_and_drops_the_other() {
    let mut lane = lane();
    let handle = lane.handle();
    let drops = Rc::new(Cell::new(0));
    let token = Token::new(&drops);
    run(&mut lane, async move {
        let soon = || handle.sleep_until(handle.now() + ms(3));
        let never = async move {
            let _token = token;
            pending::<()>().await;
        };
        assert_eq!(timeout(soon(), pin!(never)).await, Err(Elapsed));
        assert_eq!(timeout(soon(), pin!(async { 5 })).await, Ok(5));
        // Both are ready: the result counts, not the timeout.
        let over = handle.sleep_until(Time::ZERO);
        assert_eq!(timeout(over, pin!(ready(1))).await, Ok(1));
    });
    assert_eq!(drops.get(), 1);
}

#[test]
fn real_sleeps_of_many_tasks_are_never_early() {
    let mut lane = lane();
    let count = Rc::new(Cell::new(0));
    for place in 0..200_u64 {
        let (handle, count) = (lane.handle(), Rc::clone(&count));
        lane.handle().spawn(&"sleeps", async move {
            let deadline = sys::now() + ms(place % 40);
            handle.sleep_until(deadline).await;
            assert!(sys::now() >= deadline);
            count.set(count.get() + 1);
        });
    }
    lane.run_until(|lane| lane.tasks() == 0).unwrap();
    assert_eq!(count.get(), 200);
}

#[test]
fn a_gate_lets_everybody_through_once_open() {
    let mut lane = lane();
    let latch = Rc::new(Latch::default());
    let passed = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let (latch, passed) = (Rc::clone(&latch), Rc::clone(&passed));
        lane.handle().spawn(&"waits", async move {
            latch.pass().await;
            passed.set(passed.get() + 1);
        });
    }
    turn_now(&mut lane);
    assert_eq!((passed.get(), latch.is_open()), (0, false));
    lane.enter(|| latch.open());
    turn_now(&mut lane);
    assert_eq!((passed.get(), latch.is_open()), (3, true));
    run(&mut lane, async move { latch.pass().await });
}

/// Pending for some polls; then returns its number. Records its drop.
struct After {
    polls: usize,
    value: u32,
    drops: Rc<RefCell<Vec<u32>>>,
}

impl Future for After {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        assert!(self.polls != usize::MAX, "polled after its end");
        if self.polls == 0 {
            self.polls = usize::MAX;
            return Poll::Ready(self.value);
        }
        self.polls -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for After {
    fn drop(&mut self) {
        self.drops.borrow_mut().push(self.value);
    }
}

#[test]
fn either_gives_the_first_and_drops_the_loser() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let after = |polls, value| After {
        polls,
        value,
        drops: Rc::clone(&drops),
    };
    let mut lane = lane();
    for (first, second, expected) in [
        (1, 3, Either::First(1)),
        (3, 1, Either::Second(2)),
        (2, 2, Either::First(1)),
    ] {
        drops.borrow_mut().clear();
        let (first, second) = (after(first, 1), after(second, 2));
        let (result, gone) = run(&mut lane, {
            let drops = Rc::clone(&drops);
            async move {
                let result = either(pin!(first), pin!(second)).await;
                (result, drops.borrow().len())
            }
        });
        assert_eq!((result, gone), (expected, 2), "both are gone by then");
    }
}

#[test]
fn both_waits_for_both_unless_one_fails() {
    let drops = Rc::new(RefCell::new(Vec::new()));
    let after = |polls, value| {
        let after = After {
            polls,
            value,
            drops: Rc::clone(&drops),
        };
        async move {
            match after.await {
                value if value > 10 => Err(value),
                _ => Ok(()),
            }
        }
    };
    let mut lane = lane();
    for (first, second, expected) in [
        ((1, 1), (3, 2), Ok(())),
        ((3, 1), (1, 2), Ok(())),
        ((5, 1), (1, 12), Err(12)),
        ((1, 11), (5, 2), Err(11)),
        ((1, 1), (3, 12), Err(12)),
        ((2, 11), (2, 12), Err(11)),
    ] {
        drops.borrow_mut().clear();
        let (first, second) = (after(first.0, first.1), after(second.0, second.1));
        let (result, gone) = run(&mut lane, {
            let drops = Rc::clone(&drops);
            async move {
                let result = both(pin!(first), pin!(second)).await;
                (result, drops.borrow().len())
            }
        });
        assert_eq!((result, gone), (expected, 2));
    }
}

#[test]
fn a_yield_ends() {
    run(&mut lane(), async {
        for _ in 0..1000 {
            yield_now().await;
        }
    });
}

/// A driver's limit may depend on the turn's tasks; a task that runs again needs no limit.
#[test]
fn a_turn_asks_how_long_to_sleep_when_its_tasks_have_run() {
    let mut lane = lane_at(sys::now());
    let limit = Rc::new(Cell::new(None));
    let place = Rc::clone(&limit);
    lane.handle().spawn(&"sets", async move {
        yield_now().await;
        place.set(Some(ms(0)));
        pending::<()>().await;
    });
    let mut asked = 0;
    for turns in 1..=2 {
        lane.turn_within(sys::now(), || {
            asked += 1;
            limit.get()
        })
        .unwrap();
        // Nothing else would end the second turn's sleep.
        assert_eq!(asked, turns - 1);
    }
}
