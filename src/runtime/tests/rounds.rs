//! The order of a turn's steps, and fairness: budget, inbox, spinning.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use super::{lane, lane_on, ms, on_every_back_end, run, turn_now};
use crate::runtime::lane::Lane;
use crate::runtime::socket::LaneSocket;
use crate::runtime::spin::Spin;
use crate::runtime::task_timer::yield_now;
use crate::sys::{self, Time};

/// Keeps `count` tasks ready at all times.
fn keep_busy(lane: &Lane, count: usize) {
    for _ in 0..count {
        lane.handle().spawn(&"busy", async {
            loop {
                yield_now().await;
            }
        });
    }
}

#[test]
fn tasks_that_never_wait_starve_neither_timers_nor_inbox_nor_sockets() {
    on_every_back_end(|back_end| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut lane = lane_on(back_end);
        keep_busy(&lane, 1000);
        let handle = lane.handle();
        run(&mut lane, async move {
            handle.sleep_until(handle.now() + ms(2)).await;
            let called = Rc::new(Cell::new(false));
            let witness = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&witness);
            handle
                .remote()
                .call(move |_| _ = count.fetch_add(1, Relaxed));
            while witness.load(Relaxed) == 0 {
                yield_now().await;
            }
            called.set(true);
            server.set_nonblocking(true).unwrap();
            let socket = LaneSocket::attach(&handle, server.into());
            client.write_all(b"hello").unwrap();
            let chain = socket.recv().await.unwrap();
            assert_eq!(chain.len(), 5);
            socket.send(chain).await.unwrap();
        });
    });
}

/// Go checks the global queue every 61st tick, a lane its inbox.
#[test]
fn the_inbox_is_looked_at_every_61_tasks() {
    let mut lane = lane();
    keep_busy(&lane, 200);
    turn_now(&mut lane);
    let stats = Arc::clone(lane.handle().stats());
    let remote = lane.handle().remote().clone();
    let waits = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&waits);
    lane.handle().spawn(&"caller", async move {
        // Often enough to have called at every step of a turn.
        for _ in 0..100 {
            let answered = Arc::new(AtomicU64::new(0));
            let before = stats.polls.value();
            let (place, polls) = (Arc::clone(&answered), Arc::clone(&stats));
            remote.call(move |_| place.store(polls.polls.value(), Relaxed));
            while answered.load(Relaxed) == 0 {
                yield_now().await;
            }
            all.borrow_mut().push(answered.load(Relaxed) - before);
        }
    });
    while waits.borrow().len() < 100 {
        turn_now(&mut lane);
    }
    let worst = waits.borrow().iter().copied().max();
    assert!(worst <= Some(61), "{worst:?} polls later");
}

#[test]
fn a_turn_runs_no_more_than_its_budget() {
    let mut lane = lane();
    keep_busy(&lane, 300);
    let stats = Arc::clone(lane.handle().stats());
    for _ in 0..5 {
        let before = stats.polls.value();
        turn_now(&mut lane);
        assert_eq!(stats.polls.value() - before, 256);
    }
}

#[test]
fn more_tasks_than_ring_and_budget_hold_all_run_in_order() {
    let mut lane = lane();
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 0..2000 {
        let order = Rc::clone(&order);
        lane.handle()
            .spawn(&"one", async move { order.borrow_mut().push(number) });
    }
    let mut turns = 0;
    while lane.tasks() > 0 {
        turn_now(&mut lane);
        turns += 1;
    }
    assert!(order.borrow().iter().copied().eq(0..2000));
    assert_eq!(turns, 8);
}

/// A lane's driver checks its own conditions between turns, and a foreign thread triggers a check
/// by a call: so the turn that reads the call does not sleep.
#[test]
fn a_turn_that_read_a_call_comes_back() {
    on_every_back_end(|back_end| {
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        lane.handle().spawn(&"guard", async move {
            handle.sleep_until(sys::now() + super::PATIENCE).await;
        });
        let begun = sys::now();
        lane.handle().remote().rouse();
        lane.turn(begun).unwrap();
        assert!(
            sys::now().since(begun) < super::PATIENCE / 2,
            "the call was read and the lane slept on it"
        );
    });
}

#[test]
fn a_lane_that_has_nothing_to_do_does_not_turn() {
    on_every_back_end(|back_end| {
        let mut lane = lane_on(back_end);
        let handle = lane.handle();
        let before = lane.handle().stats().turns.value();
        run(&mut lane, async move {
            handle.sleep_until(handle.now() + ms(300)).await;
        });
        let turns = lane.handle().stats().turns.value() - before;
        assert!(turns < 20, "{turns} turns to sleep once");
    });
}

const LIMIT: Duration = Duration::from_micros(20);

fn at(micros: u64) -> Time {
    Time::ZERO + Duration::from_micros(micros)
}

#[test]
fn a_limit_of_zero_never_spins() {
    let mut spin = Spin::new(Duration::ZERO);
    for micros in 0..300 {
        spin.learn(at(micros));
        assert_eq!(spin.before_sleep(), Duration::ZERO);
    }
}

#[test]
fn spinning_stops_when_it_does_not_pay_and_is_tried_again_later() {
    let mut spin = Spin::new(LIMIT);
    let mut now = 0;
    let mut spins = Vec::new();
    for _ in 0..300 {
        now += 1_000_000;
        spin.learn(at(now));
        spins.push(spin.before_sleep() == LIMIT);
    }
    let first = spins.iter().position(|spun| !spun).unwrap();
    assert!(first <= 16, "gives up after {first}");
    let rest = spins[first..].iter().filter(|&&spun| spun).count();
    assert!(
        (1..=16).contains(&rest),
        "{rest} tries in {}",
        spins.len() - first
    );
}

#[test]
fn spinning_goes_on_while_it_pays_and_survives_a_few_failures() {
    let mut spin = Spin::new(LIMIT);
    let mut now = 0;
    for turn in 0..1000 {
        // One reply in four is late.
        now += if turn % 4 == 0 { 5000 } else { 15 };
        spin.learn(at(now));
        assert_eq!(spin.before_sleep(), LIMIT, "turn {turn}");
    }
}

#[test]
fn turns_that_did_not_sleep_teach_nothing() {
    let mut spin = Spin::new(LIMIT);
    let mut now = 0;
    for _ in 0..1000 {
        spin.learn(at(now));
        spin.skip();
        now += 1_000_000;
    }
    spin.learn(at(now));
    assert_eq!(spin.before_sleep(), LIMIT, "its credit is untouched");
}
