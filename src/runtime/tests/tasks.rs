//! Tasks: their wakes, their ends, and the time of their frees.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Poll, Waker};

use super::{Token, lane, ms, own_waker, run, spawn, turn, turn_now};
use crate::runtime::handle::Handle;
use crate::runtime::lane::Lane;
use crate::runtime::task_timer::yield_now;
use crate::sys::Time;

/// A task that counts its polls and stores its waker for the test.
fn spawn_sleeper(lane: &Lane) -> (Rc<Cell<usize>>, Rc<RefCell<Option<Waker>>>) {
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let (count, place) = (Rc::clone(&polls), Rc::clone(&waker));
    lane.handle().spawn(
        &"sleeper",
        poll_fn(move |context| {
            count.set(count.get() + 1);
            *place.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        }),
    );
    (polls, waker)
}

fn waker_of(place: &RefCell<Option<Waker>>) -> Waker {
    place.borrow().clone().unwrap()
}

#[test]
fn a_task_is_polled_once_per_wake_however_often_it_is_woken() {
    let mut lane = lane();
    let (polls, waker) = spawn_sleeper(&lane);
    turn_now(&mut lane);
    assert_eq!(polls.get(), 1);
    turn_now(&mut lane);
    assert_eq!(polls.get(), 1, "nobody woke it");
    lane.enter(|| (0..5).for_each(|_| waker_of(&waker).wake()));
    turn_now(&mut lane);
    assert_eq!(polls.get(), 2, "five wakes are one poll");
    waker_of(&waker).wake_by_ref();
    turn_now(&mut lane);
    assert_eq!(polls.get(), 3, "woken outside a turn, through the inbox");
}

#[test]
fn a_wake_during_the_poll_is_not_lost() {
    let mut lane = lane();
    let polls = run(&mut lane, {
        let mut polls = 0;
        poll_fn(move |context| {
            polls += 1;
            if polls == 10 {
                return Poll::Ready(polls);
            }
            let waker = context.waker().clone();
            match polls % 3 {
                0 => waker.wake(),
                1 => waker.wake_by_ref(),
                // From a foreign thread while the poll still runs.
                _ => spawn(move || waker.wake()).join().unwrap(),
            }
            Poll::Pending
        })
    });
    assert_eq!(polls, 10);
}

#[test]
fn a_task_woken_by_another_runs_next_but_not_for_ever() {
    let mut lane = lane();
    let order = Rc::new(RefCell::new(Vec::new()));
    // Two tasks that wake each other, and three more in the queue meanwhile.
    let places: [Rc<RefCell<Option<Waker>>>; 2] = [Rc::default(), Rc::default()];
    for (own, name) in [(0, 'a'), (1, 'b')] {
        let (places, order) = (places.clone(), Rc::clone(&order));
        let mut polls = 0;
        lane.handle().spawn(
            &"pair",
            poll_fn(move |context| {
                *places[own].borrow_mut() = Some(context.waker().clone());
                order.borrow_mut().push(name);
                polls += 1;
                if let Some(other) = places[1 - own].borrow().as_ref().filter(|_| polls < 6) {
                    other.wake_by_ref();
                }
                Poll::Pending
            }),
        );
    }
    turn_now(&mut lane);
    order.borrow_mut().clear();
    for name in ['x', 'y', 'z'] {
        let order = Rc::clone(&order);
        lane.handle()
            .spawn(&"other", async move { order.borrow_mut().push(name) });
    }
    lane.enter(|| waker_of(&places[0]).wake());
    turn_now(&mut lane);
    let order: String = order.borrow().iter().collect();
    assert!(order.starts_with("xyz"), "those that were there: {order}");

    // One task wakes its partner in front of a full queue.
    let order = Rc::new(RefCell::new(Vec::new()));
    let (woken, place) = spawn_logger(&lane, 'w', &order);
    turn_now(&mut lane);
    order.borrow_mut().clear();
    let (first, log) = (Rc::clone(&place), Rc::clone(&order));
    lane.handle().spawn(&"first", async move {
        log.borrow_mut().push('f');
        waker_of(&first).wake();
    });
    for name in ['x', 'y'] {
        let log = Rc::clone(&order);
        lane.handle()
            .spawn(&"other", async move { log.borrow_mut().push(name) });
    }
    turn_now(&mut lane);
    assert_eq!(order.borrow().iter().collect::<String>(), "fwxy");
    assert_eq!(woken.get(), 2);
}

fn spawn_logger(
    lane: &Lane,
    name: char,
    order: &Rc<RefCell<Vec<char>>>,
) -> (Rc<Cell<usize>>, Rc<RefCell<Option<Waker>>>) {
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let (count, place, order) = (Rc::clone(&polls), Rc::clone(&waker), Rc::clone(order));
    lane.handle().spawn(
        &"logger",
        poll_fn(move |context| {
            count.set(count.get() + 1);
            order.borrow_mut().push(name);
            *place.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        }),
    );
    (polls, waker)
}

/// Two tasks that wake each other run three times in a row at most before the rest runs.
#[test]
fn a_pair_that_wakes_each_other_lets_the_others_in_after_three() {
    let mut lane = lane();
    let order = Rc::new(RefCell::new(Vec::new()));
    let places: [Rc<RefCell<Option<Waker>>>; 2] = [Rc::default(), Rc::default()];
    for own in 0..2 {
        let (places, order) = (places.clone(), Rc::clone(&order));
        lane.handle().spawn(
            &"pair",
            poll_fn(move |context| {
                *places[own].borrow_mut() = Some(context.waker().clone());
                order.borrow_mut().push('p');
                if let Some(other) = places[1 - own].borrow().as_ref() {
                    other.wake_by_ref();
                }
                Poll::Pending
            }),
        );
    }
    for _ in 0..20 {
        let order = Rc::clone(&order);
        lane.handle()
            .spawn(&"other", async move { order.borrow_mut().push('o') });
    }
    turn_now(&mut lane);
    let order: String = order.borrow().iter().collect();
    // The first two polls came out of the ring; afterwards the tasks woke each other.
    let rest = &order[2..=order.rfind('o').unwrap()];
    assert!(!rest.contains("pppp"), "others starve: {order}");
    assert!(
        order.contains("pppo"),
        "woken by the running, run next: {order}"
    );
}

#[test]
fn a_yield_lets_every_other_task_run_first() {
    let mut lane = lane();
    let order = Rc::new(RefCell::new(Vec::new()));
    for name in ['a', 'b', 'c'] {
        let order = Rc::clone(&order);
        lane.handle().spawn(&"yields", async move {
            for _ in 0..3 {
                order.borrow_mut().push(name);
                yield_now().await;
            }
        });
    }
    while lane.tasks() > 0 {
        turn_now(&mut lane);
    }
    let order: String = order.borrow().iter().collect();
    assert_eq!(order, "abcabcabc");
}

#[test]
fn a_task_that_yields_for_ever_runs_once_a_turn() {
    let mut lane = lane();
    let turns = Rc::new(Cell::new(0_u32));
    let count = Rc::clone(&turns);
    lane.handle().spawn(&"forever", async move {
        loop {
            count.set(count.get() + 1);
            yield_now().await;
        }
    });
    for _ in 0..10 {
        turn_now(&mut lane);
    }
    assert_eq!(turns.get(), 10, "sockets and timers get their turn between");
}

#[test]
fn a_waker_may_outlive_the_task_and_the_lane() {
    let drops = Rc::new(Cell::new(0));
    let mut lane = lane();
    let (token, place) = (Token::new(&drops), Rc::new(RefCell::new(None)));
    let kept = Rc::clone(&place);
    lane.handle().spawn(&"ends", async move {
        *kept.borrow_mut() = Some(own_waker().await);
        drop(token);
    });
    turn_now(&mut lane);
    assert_eq!((drops.get(), lane.tasks()), (1, 0));
    let waker = waker_of(&place);
    lane.enter(|| waker.wake_by_ref());
    turn_now(&mut lane);
    waker.wake_by_ref();
    spawn({
        let waker = waker.clone();
        move || waker.wake()
    })
    .join()
    .unwrap();
    turn_now(&mut lane);
    assert_eq!((drops.get(), lane.tasks()), (1, 0), "it ends once");
    let remote = lane.handle().remote().clone();
    drop(lane);
    waker.wake_by_ref();
    drop((waker, place));
    assert_eq!(
        remote.references(),
        1,
        "the task is freed, and its lane's inbox"
    );
}

/// A message to an ended lane refers to the lane's inbox, and would keep both alive for ever.
#[test]
fn what_is_said_to_a_lane_that_is_gone_is_freed() {
    let mut lane = lane();
    let (polls, place) = spawn_sleeper(&lane);
    turn_now(&mut lane);
    assert_eq!(polls.get(), 1);
    let (waker, remote) = (waker_of(&place), lane.handle().remote().clone());
    place.borrow_mut().take();
    let witness = Arc::new(());
    drop(lane);
    for _ in 0..3000 {
        let (waker, witness, own) = (waker.clone(), Arc::clone(&witness), remote.clone());
        waker.wake();
        remote.call(move |_| drop((witness, own)));
    }
    drop(waker);
    assert_eq!((Arc::strong_count(&witness), remote.references()), (1, 1));
}

#[test]
fn a_future_is_dropped_once_and_on_its_own_thread_however_its_wakers_go() {
    let drops = Rc::new(Cell::new(0));
    let mut lane = lane();
    let (to_threads, wakers) = channel::<Waker>();
    for _ in 0..50 {
        let (token, to_threads) = (Token::new(&drops), to_threads.clone());
        lane.handle().spawn(&"wakers", async move {
            let waker = own_waker().await;
            for _ in 0..3 {
                to_threads.send(waker.clone()).unwrap();
            }
            drop(waker);
            yield_now().await;
            drop(token);
        });
    }
    drop(to_threads);
    let thread = spawn(move || {
        for (place, waker) in wakers.into_iter().enumerate() {
            match place % 3 {
                0 => waker.wake(),
                1 => drop(waker.clone()),
                _ => waker.wake_by_ref(),
            }
        }
    });
    for _ in 0..4 {
        turn_now(&mut lane);
    }
    thread.join().unwrap();
    turn_now(&mut lane);
    assert_eq!((drops.get(), lane.tasks()), (50, 0));
    let remote = lane.handle().remote().clone();
    drop(lane);
    assert_eq!(remote.references(), 1, "every task is freed");
}

#[test]
fn a_panic_ends_its_task_only_and_drops_its_future() {
    let drops = Rc::new(Cell::new(0));
    let mut lane = lane();
    let token = Token::new(&drops);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    lane.handle().spawn(&"panics", async move {
        let _token = token;
        yield_now().await;
        panic!("one task's own fault");
    });
    let drops_badly = PanicsOnDrop(Token::new(&drops));
    lane.handle().spawn(
        &"panics twice",
        poll_fn(move |_| {
            let _kept_until_the_future_goes = &drops_badly;
            panic!("first");
        }),
    );
    // A future dropped by unwinding, a future dropped afterwards, and a future without a panic.
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sees = || SeesPanic(lane.handle(), Rc::clone(&seen));
    let (first, second, third) = (sees(), sees(), sees());
    lane.handle().spawn(&"sees", async move {
        let _first = first;
        panic!("while it is dropped");
    });
    lane.handle().spawn(
        &"sees afterwards",
        poll_fn(move |_| {
            let _kept_until_the_future_goes = &second;
            panic!("before it is dropped");
        }),
    );
    lane.handle().spawn(&"is well", async move { drop(third) });
    let lived = run(&mut lane, async {
        for _ in 0..100 {
            yield_now().await;
        }
        true
    });
    panic::set_hook(hook);
    assert_eq!(*seen.borrow(), [true, true, false]);
    assert!(lived);
    assert_eq!((drops.get(), lane.tasks()), (2, 0));
    assert_eq!(lane.handle().stats().panics.value(), 5);
    let remote = lane.handle().remote().clone();
    drop(lane);
    assert_eq!(remote.references(), 1);
}

struct SeesPanic(Handle, Rc<RefCell<Vec<bool>>>);

impl Drop for SeesPanic {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0.is_dropping_after_panic());
    }
}

struct PanicsOnDrop(#[expect(dead_code, reason = "it counts its drop")] Token);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("second");
        }
    }
}

#[test]
fn aborting_drops_every_future_and_what_their_destructors_start() {
    let drops = Rc::new(Cell::new(0));
    let mut lane = lane();
    for _ in 0..5 {
        let token = Token::new(&drops);
        lane.handle().spawn(&"waits", async move {
            let _token = token;
            pending::<()>().await;
        });
    }
    turn_now(&mut lane);
    assert_eq!(lane.abort_tasks(), 5);
    assert_eq!((drops.get(), lane.tasks()), (5, 0));
    turn_now(&mut lane);

    /// Spawns a task when dropped, as a clean-up might.
    struct Starts(Handle, Option<Token>);
    impl Drop for Starts {
        fn drop(&mut self) {
            let token = self.1.take();
            self.0.spawn(&"clean-up", async move {
                let _token = token;
                pending::<()>().await;
            });
        }
    }
    let starts = Starts(lane.handle(), Some(Token::new(&drops)));
    lane.handle().spawn(&"starts", async move {
        let _starts = starts;
        pending::<()>().await;
    });
    turn_now(&mut lane);
    lane.abort_tasks();
    assert_eq!((drops.get(), lane.tasks()), (6, 0));
    let remote = lane.handle().remote().clone();
    drop(lane);
    assert_eq!(remote.references(), 1);
}

#[test]
fn a_lane_that_is_dropped_with_tasks_in_every_state_frees_them() {
    let drops = Rc::new(Cell::new(0));
    let mut lane = lane();
    let handle = lane.handle();
    for place in 0..4 {
        let (token, handle) = (Token::new(&drops), handle.clone());
        lane.handle().spawn(&"some", async move {
            let _token = token;
            match place {
                0 => pending::<()>().await,
                1 => handle.sleep_until(Time::from_nanos(u64::MAX)).await,
                2 => own_waker().await.wake(),
                _ => {
                    let waker = own_waker().await;
                    spawn(move || waker.wake()).join().unwrap();
                    pending::<()>().await;
                }
            }
            pending::<()>().await;
        });
    }
    drop(handle);
    turn(&mut lane, Time::ZERO + ms(1));
    let never_run = Token::new(&drops);
    lane.handle().spawn(&"new", async move { drop(never_run) });
    let remote = lane.handle().remote().clone();
    drop(lane);
    assert_eq!((drops.get(), remote.references()), (5, 1));
}
