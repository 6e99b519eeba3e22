//! Lanes and foreign threads: calls, wakes, two lanes on one thread, the watchdog.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use super::{PATIENCE, lane, lane_on, ms, on_every_back_end, run, spawn, turn_now};
use crate::poller::BackEnd;
use crate::runtime::lane::{Lane, LaneOptions};
use crate::runtime::remote::Remote;
use crate::runtime::watchdog::{Heartbeat, Seen, Watchdog};
use crate::sys;

/// A lane on a separate thread, until dropped.
struct Thread {
    remote: Remote,
    stop: Arc<AtomicBool>,
    join: Option<thread::JoinHandle<()>>,
}

impl Thread {
    fn start(back_end: BackEnd) -> Self {
        Self::spinning(back_end, Duration::ZERO)
    }

    fn spinning(back_end: BackEnd, idle_spin: Duration) -> Self {
        let (sender, receiver) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let join = spawn(move || {
            let options = LaneOptions {
                idle_spin,
                ..LaneOptions::new(back_end)
            };
            let mut lane = Lane::open(options, sys::now()).unwrap();
            sender.send(lane.handle().remote().clone()).unwrap();
            lane.run_until(|_| stopped.load(Acquire)).unwrap();
        });
        Self {
            remote: receiver.recv().unwrap(),
            stop,
            join: Some(join),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        self.remote.rouse();
        self.join.take().unwrap().join().unwrap();
    }
}

/// Each caller waits for its answer before the next call, so that the lane sleeps in between, over
/// and over; a lost wake shows as a missing answer.
#[test]
fn no_call_is_lost_to_a_lane_that_falls_asleep() {
    on_every_back_end(|back_end| {
        call_and_wait(&Thread::start(back_end));
    });
}

/// A poll without sleep, before a sleep, must not swallow the wake.
#[test]
fn no_call_is_lost_to_a_lane_that_spins() {
    on_every_back_end(|back_end| {
        for spin in [1, 20, 200] {
            call_and_wait(&Thread::spinning(back_end, Duration::from_micros(spin)));
        }
    });
}

fn call_and_wait(lane: &Thread) {
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let remote = lane.remote.clone();
            spawn(move || {
                let (sender, answers) = channel();
                for number in 0..5000 {
                    let sender = sender.clone();
                    remote.call(move |_| sender.send(number).unwrap());
                    assert_eq!(answers.recv_timeout(PATIENCE), Ok(number), "lost");
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|c| c.join().unwrap());
}

#[test]
fn a_flood_of_calls_spills_and_arrives() {
    on_every_back_end(|back_end| {
        let lane = Thread::start(back_end);
        let count = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let (remote, count) = (lane.remote.clone(), Arc::clone(&count));
                spawn(move || {
                    for _ in 0..10_000 {
                        let count = Arc::clone(&count);
                        remote.call(move |_| _ = count.fetch_add(1, Relaxed));
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|c| c.join().unwrap());
        let (sender, answer) = channel();
        wait_until(|| {
            let (sender, count) = (sender.clone(), Arc::clone(&count));
            lane.remote
                .call(move |_| sender.send(count.load(Relaxed)).unwrap());
            answer.recv_timeout(PATIENCE).unwrap() == 40_000
        });
    });
}

fn wait_until(mut is: impl FnMut() -> bool) {
    let end = sys::now() + PATIENCE;
    while !is() {
        assert!(sys::now() < end, "it does not come");
        thread::yield_now();
    }
}

/// A sleeping task is woken through the inbox, and runs on its own lane's thread.
#[test]
fn a_task_is_woken_from_other_threads_ten_thousand_times() {
    on_every_back_end(|back_end| {
        let lane = Thread::start(back_end);
        let (wakers, polls): (Sender<Waker>, Receiver<Waker>) = channel();
        let (own, thread_of) = channel();
        lane.remote.call(move |handle| {
            own.send(thread::current().id()).unwrap();
            let own = thread::current().id();
            handle.spawn(
                &"woken",
                poll_fn(move |context| {
                    assert_eq!(thread::current().id(), own);
                    // The receiver is gone when the test is over.
                    _ = wakers.send(context.waker().clone());
                    Poll::Pending
                }),
            );
        });
        assert_ne!(thread_of.recv().unwrap(), thread::current().id());
        for number in 0..10_000 {
            let waker = polls.recv_timeout(PATIENCE).expect("a wake was lost");
            if number % 2 == 0 {
                waker.wake();
            } else {
                waker.wake_by_ref();
            }
        }
    });
}

/// Two lanes on one thread, turned alternately: wakes between them go through the inboxes.
#[test]
fn two_lanes_on_one_thread_wake_each_other() {
    on_every_back_end(|back_end| {
        let mut lanes = [lane_on(back_end), lane_on(back_end)];
        let ball = Rc::new(Cell::new(0_u32));
        let wakers: Rc<[Cell<Option<Waker>>; 2]> = Rc::default();
        for own in 0..2 {
            let (ball, wakers) = (Rc::clone(&ball), Rc::clone(&wakers));
            lanes[own].handle().spawn(
                &"player",
                poll_fn(move |context| {
                    if ball.get() >= 100 {
                        return Poll::Ready(());
                    }
                    wakers[own].set(Some(context.waker().clone()));
                    if ball.get() as usize % 2 == own {
                        ball.set(ball.get() + 1);
                        if let Some(other) = wakers[1 - own].take() {
                            other.wake();
                        }
                    }
                    Poll::Pending
                }),
            );
        }
        for _ in 0..300 {
            lanes.iter_mut().for_each(turn_now);
        }
        assert_eq!(ball.get(), 100);
    });
}

#[test]
fn each_lane_runs_its_own_tasks_only() {
    let (mut one, mut other) = (lane(), lane());
    let ran = Rc::new(Cell::new(false));
    let place = Rc::clone(&ran);
    other
        .handle()
        .spawn(&"other's", async move { place.set(true) });
    turn_now(&mut one);
    assert!(!ran.get());
    turn_now(&mut other);
    assert!(ran.get());
    // The owner's next turn finds a task spawned outside its own turn.
    let (handle, ran) = (other.handle(), Rc::new(Cell::new(false)));
    let place = Rc::clone(&ran);
    run(&mut one, async move {
        handle.spawn(&"from elsewhere", async move { place.set(true) });
    });
    turn_now(&mut other);
    assert!(ran.get());
}

#[test]
fn the_watchdog_sees_a_task_that_blocks_its_lane() {
    let lane = Thread::start(super::SURE);
    let (release, blocked) = channel::<()>();
    let (begun, has_begun) = channel();
    lane.remote.call(move |handle| {
        handle.spawn(&"blocks", async move {
            begun.send(()).unwrap();
            // Blocks until the test ends, as no task may do.
            _ = blocked.recv();
        });
    });
    has_begun.recv_timeout(PATIENCE).unwrap();
    let mut watchdog = Watchdog::default();
    let mut stall = None;
    wait_until(|| {
        stall = watchdog.look(lane.remote.heartbeat(), sys::now());
        stall.is_some()
    });
    let Some(Seen::Began(stall)) = stall else {
        panic!("the begin comes first: {stall:?}");
    };
    assert_eq!(stall.task, Some("blocks"));
    // A channel waits by a futex.
    let call = lane.remote.heartbeat().system_call();
    assert!(call.is_none_or(|call| call == "futex"), "a wrong call");
    assert!(stall.lasted >= ms(50));
    release.send(()).unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let place = Arc::clone(&done);
    lane.remote.call(move |_| place.store(1, Release));
    wait_until(|| done.load(Acquire) == 1);
    // The lane sleeps now, without a limit.
    let mut end = None;
    wait_until(|| {
        end = watchdog.look(lane.remote.heartbeat(), sys::now());
        end.is_some()
    });
    assert!(matches!(end, Some(Seen::Ended(whole)) if whole.lasted >= stall.lasted));
    wait_until(|| watchdog.look(lane.remote.heartbeat(), sys::now()).is_none());
}

/// An ended lane turns no more, which is not a stall.
#[test]
fn a_lane_that_is_gone_is_not_stalled() {
    let mut lane = lane();
    let remote = lane.handle().remote().clone();
    turn_now(&mut lane);
    drop(lane);
    assert!(!stalls(remote.heartbeat()));
}

fn stalls(heartbeat: &Heartbeat) -> bool {
    let mut watchdog = Watchdog::default();
    let now = sys::now();
    watchdog.look(heartbeat, now);
    watchdog.look(heartbeat, now + PATIENCE).is_some()
}

/// Sleeping of any length is no stall.
#[test]
fn a_lane_that_sleeps_is_not_stalled() {
    let lane = Thread::start(super::SURE);
    let (sender, answer) = channel();
    lane.remote.call(move |_| sender.send(()).unwrap());
    answer.recv_timeout(PATIENCE).unwrap();
    wait_until(|| !stalls(lane.remote.heartbeat()));
}

#[expect(
    dead_code,
    reason = "compile-time: a lane stays on its thread, its remote does not"
)]
fn remotes_are_sent_and_lanes_are_not(remote: Remote) -> impl Send + Sync {
    trait NotSend<A> {
        fn of() {}
    }
    impl<T: ?Sized> NotSend<()> for T {}
    impl<T: ?Sized + Send> NotSend<u8> for T {}
    <Lane as NotSend<_>>::of();
    remote
}
