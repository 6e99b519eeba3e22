//! Every interleaving of tasks that queue for room, each on a lane of its own. Run with
//! `--cfg loom`, as `.ci/run` does.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use loom::sync::Arc as TrackedArc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::fifo::Fifo;
use super::loom_models::Lane;
use super::loom_rig::bounded;

/// An endpoint with room for one session, and its queue, as an upstream uses them.
#[derive(Default)]
struct Endpoint {
    queue: Fifo,
    taken: AtomicUsize,
}

impl Endpoint {
    fn room(&self) -> usize {
        1 - self.taken.load(Acquire)
    }

    fn take(&self) -> bool {
        self.taken.compare_exchange(0, 1, AcqRel, Acquire).is_ok()
    }

    fn give_back(&self) {
        self.taken.store(0, Release);
        self.queue.call_for_new_room(|| self.room());
    }

    /// Queues until the task has the room, and gives the room back.
    async fn take_and_give_back(&self) {
        let turn = self.queue.join(2).await.expect("two tasks at most");
        self.queue.call(|| self.room());
        loop {
            turn.called().await;
            if turn.give_way() {
                continue;
            }
            if self.take() {
                break;
            }
            turn.pass_on();
            if self.room() > 0 {
                turn.wait_again();
                self.queue.call(|| self.room());
            }
        }
        drop(turn);
        self.queue.call(|| self.room());
        self.give_back();
    }
}

fn take_and_give_back(endpoint: &TrackedArc<Endpoint>) {
    let mut lane = Lane::new(2);
    let own = TrackedArc::clone(endpoint);
    let task = lane.spawn(async move { own.take_and_give_back().await });
    lane.run(&task);
}

/// Two tasks on separate lanes want one room: both get it, one after the other. A lost call shows
/// as a deadlock.
#[test]
fn loom_room_that_is_given_back_calls_who_waits() {
    bounded(|| {
        let endpoint = TrackedArc::new(Endpoint::default());
        let other = TrackedArc::clone(&endpoint);
        let other = thread::spawn(move || take_and_give_back(&other));
        take_and_give_back(&endpoint);
        other.join().unwrap();
        assert_eq!((endpoint.room(), endpoint.queue.waiting()), (1, 0));
    });
}

/// A task joins while the only session of the endpoint ends: the task sees the room, or is called.
#[test]
fn loom_a_task_that_joins_while_room_comes_is_called() {
    bounded(|| {
        let endpoint = TrackedArc::new(Endpoint::default());
        assert!(endpoint.take());
        let giver = TrackedArc::clone(&endpoint);
        let giver = thread::spawn(move || giver.give_back());
        take_and_give_back(&endpoint);
        giver.join().unwrap();
        assert_eq!((endpoint.room(), endpoint.queue.waiting()), (1, 0));
    });
}

/// The task that is called leaves, as a client that resets does: the call goes to the next task.
#[test]
fn loom_a_call_of_who_leaves_is_not_lost() {
    bounded(|| {
        let endpoint = TrackedArc::new(Endpoint::default());
        assert!(endpoint.take());
        let lane = Lane::new(2);
        let own = TrackedArc::clone(&endpoint);
        let task = lane.spawn(async move {
            let turn = own.queue.join(2).await.expect("two tasks at most");
            turn.called().await;
        });
        // The task waits.
        let _polled = task.poll();
        let giver = TrackedArc::clone(&endpoint);
        let giver = thread::spawn(move || giver.give_back());
        let taker = TrackedArc::clone(&endpoint);
        let taker = thread::spawn(move || take_and_give_back(&taker));
        task.drop_future();
        endpoint.queue.call(|| endpoint.room());
        giver.join().unwrap();
        taker.join().unwrap();
        assert_eq!((endpoint.room(), endpoint.queue.waiting()), (1, 0));
    });
}
