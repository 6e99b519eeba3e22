//! Every interleaving of a task's wakes, its end and its lane's end, and of messages between lanes.
//! The inbox's own models stand beside the inbox. Run with `--cfg loom`, as `.ci/run` does.
//!
//! A lane here consists of the parts touched by foreign threads: inbox, sleep and tasks. A call
//! needs a whole lane to run, so the models observe the drop of a call in place of its run.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use loom::cell::Cell;
use loom::sync::Arc as TrackedArc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::inbox::{Receiver, inbox};
use super::loom_rig::{Notifier, bounded};
use super::remote::{Message, Remote, Task};
use super::semaphore::Semaphore;
use super::waitlist::Seat;

/// The parts of a lane that foreign threads touch.
pub(super) struct Lane {
    remote: Remote,
    receiver: Receiver<Message>,
    notifier: Notifier,
}

impl Lane {
    pub(super) fn new(capacity: usize) -> Self {
        let (sender, receiver) = inbox(capacity);
        let notifier = Notifier::new();
        let remote = Remote::new(sender, notifier.clone());
        Self {
            remote,
            receiver,
            notifier,
        }
    }

    /// The next message; sleeps while there is none. A lost wake shows as a deadlock.
    fn receive(&mut self) -> Message {
        loop {
            if let Some(message) = self.receiver.receive() {
                return message;
            }
            if self.receiver.fall_asleep() {
                self.notifier.wait();
                self.receiver.wake_up();
            }
        }
    }

    /// A task queued for its first poll.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task {
        let task = Task::new(&"modelled", self.remote.clone(), future);
        assert!(task.claim(), "nobody knows it yet");
        task
    }

    /// Polls a queued task, again after each wake, until the task has ended.
    pub(super) fn run(&mut self, task: &Task) {
        let polled = task.poll();
        self.go_on(task, polled);
    }

    /// Polls a task after each wake, until the task has ended.
    fn go_on(&mut self, task: &Task, mut polled: Poll<()>) {
        while polled.is_pending() {
            if let Message::Wake(woken) = self.receive() {
                assert_eq!(woken.id(), task.id());
                polled = woken.poll();
            }
        }
        task.drop_future();
    }

    /// Ends as a lane does: no message is received any more.
    fn close(self) -> Remote {
        drop(self.receiver);
        self.remote
    }
}

/// A future that ends once it has seen `flags`. Notices two polls or drops at once, a poll after
/// its end, and a missing drop.
struct Sees {
    flags: TrackedArc<[AtomicUsize; 2]>,
    polls: Cell<usize>,
    ended: bool,
    /// Dropped with the future; loom fails on a leak.
    _token: TrackedArc<()>,
}

impl Sees {
    fn new(flags: &TrackedArc<[AtomicUsize; 2]>) -> Self {
        Self {
            flags: TrackedArc::clone(flags),
            polls: Cell::new(0),
            ended: false,
            _token: TrackedArc::new(()),
        }
    }
}

impl Future for Sees {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        assert!(!self.ended, "polled after its end");
        self.polls.set(self.polls.get() + 1);
        // Relaxed: the task promises that a poll after a wake sees the waker's writes.
        self.ended = self.flags.iter().all(|flag| flag.load(Relaxed) == 1);
        if self.ended {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Sees {
    fn drop(&mut self) {
        self.polls.set(0);
    }
}

fn flags(value: usize) -> TrackedArc<[AtomicUsize; 2]> {
    TrackedArc::new([AtomicUsize::new(value), AtomicUsize::new(value)])
}

/// Two threads set a flag each and wake a task while its lane polls the task. A later poll sees
/// both flags, though the second wake finds the task queued and sends no message.
#[test]
fn loom_a_wake_during_a_poll_is_not_lost() {
    bounded(|| {
        let mut lane = Lane::new(2);
        let flags = flags(0);
        let task = lane.spawn(Sees::new(&flags));
        let threads: Vec<_> = (0..2)
            .map(|of| {
                let (flags, waker) = (TrackedArc::clone(&flags), task.waker());
                thread::spawn(move || {
                    flags[of].store(1, Relaxed);
                    if of == 0 {
                        waker.wake_by_ref();
                    } else {
                        waker.wake();
                    }
                })
            })
            .collect();
        lane.run(&task);
        drop(task);
        join(threads);
        nothing_refers_to(&lane.close());
    });
}

/// Late wakes neither poll nor drop an ended task, and its memory is freed with the last waker, on
/// any thread.
#[test]
fn loom_a_task_woken_while_it_ends_is_freed_once() {
    bounded(|| {
        let mut lane = Lane::new(1);
        let task = lane.spawn(Sees::new(&flags(1)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let waker = task.waker();
                thread::spawn(move || waker.wake())
            })
            .collect();
        lane.run(&task);
        drop(task);
        while let Some(Message::Wake(task)) = lane.receiver.receive() {
            assert!(task.poll().is_ready(), "it has ended");
            task.drop_future();
        }
        join(threads);
        nothing_refers_to(&lane.close());
    });
}

/// A lane ends while its task is being woken: the lane drops the future, the last reference frees
/// the memory, and no message keeps the inbox alive.
#[test]
fn loom_a_task_woken_while_its_lane_closes_is_freed_once() {
    bounded(|| {
        let lane = Lane::new(1);
        let task = lane.spawn(Sees::new(&flags(0)));
        assert!(task.poll().is_pending());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let waker = task.waker();
                thread::spawn(move || waker.wake())
            })
            .collect();
        task.drop_future();
        drop(task);
        let remote = lane.close();
        join(threads);
        nothing_refers_to(&remote);
    });
}

/// An object sent to a lane, such as a socket. Counts its drops, and wakes the sender.
struct Handed {
    ends: TrackedArc<AtomicUsize>,
    waker: Option<Waker>,
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.ends.fetch_add(1, Relaxed);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A task sends an object to a second lane and waits for the answer. The answer comes whether the
/// lane receives the object or closes; nothing is dropped twice or leaked.
fn hand_over(takes: usize) {
    bounded(move || {
        let (mut here, mut there) = (Lane::new(1), Lane::new(1));
        let ends = TrackedArc::new(AtomicUsize::new(0));
        let (to, seen) = (there.remote.clone(), TrackedArc::clone(&ends));
        let thread = thread::spawn(move || {
            for _ in 0..takes {
                drop(there.receive());
            }
            there.close()
        });
        let mut handed = false;
        let task = here.spawn(poll_fn(move |context| {
            if !std::mem::replace(&mut handed, true) {
                let handed = Handed {
                    ends: TrackedArc::clone(&seen),
                    waker: Some(context.waker().clone()),
                };
                to.call(move |_| drop(handed));
            }
            match seen.load(Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        }));
        here.run(&task);
        drop(task);
        let there = thread.join().unwrap();
        assert_eq!(ends.load(Relaxed), 1, "once, by one of the two");
        nothing_refers_to(&there);
        nothing_refers_to(&here.close());
    });
}

#[test]
fn loom_what_is_handed_over_arrives_and_is_answered() {
    hand_over(1);
}

#[test]
fn loom_what_is_handed_to_a_lane_that_closes_is_refused_and_answered() {
    hand_over(0);
}

/// Two lanes each send an object to a third lane that closes after the first: each is dropped once.
#[test]
fn loom_what_spills_into_a_lane_that_closes_is_dropped_once() {
    bounded(|| {
        let mut lane = Lane::new(1);
        let ends = TrackedArc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (remote, ends) = (lane.remote.clone(), TrackedArc::clone(&ends));
                thread::spawn(move || {
                    let handed = Handed { ends, waker: None };
                    remote.call(move |_| drop(handed));
                })
            })
            .collect();
        drop(lane.receive());
        let remote = lane.close();
        join(threads);
        assert_eq!(ends.load(Relaxed), 2, "each once");
        nothing_refers_to(&remote);
    });
}

/// One permit wanted by several tasks. Seats are allocated before the threads start: loom does not
/// know the `OnceLock`s that publish the seats.
struct Wanted {
    places: Semaphore,
    seats: [Seat; 3],
    inside: AtomicUsize,
    /// The most tasks inside.
    most: usize,
}

impl Wanted {
    fn new() -> TrackedArc<Self> {
        Self::of(1, 1)
    }

    /// With `places` permits at first, and never more than `most` tasks inside.
    fn of(places: usize, most: usize) -> TrackedArc<Self> {
        let places = Semaphore::new(places);
        TrackedArc::new(Self {
            seats: [(); 3].map(|()| places.waitlist().seat()),
            places,
            inside: AtomicUsize::new(0),
            most,
        })
    }

    /// Acquires a permit, checks the number of tasks with a permit, and releases the permit.
    async fn take_and_give_back(&self, seat: usize) {
        self.places.acquire(&self.seats[seat]).await;
        let inside = self.inside.fetch_add(1, Relaxed);
        assert!(inside < self.most, "more tasks than places");
        self.inside.fetch_sub(1, Relaxed);
        self.places.release();
    }
}

/// A task on a separate lane holds the permit for a moment.
fn take_and_give_back(wanted: &TrackedArc<Wanted>, seat: usize) {
    let mut lane = Lane::new(2);
    let own = TrackedArc::clone(wanted);
    let task = lane.spawn(async move { own.take_and_give_back(seat).await });
    lane.run(&task);
}

/// Three tasks on separate lanes want one permit: each gets the permit, and never two at once. A
/// lost wake shows as a deadlock.
#[test]
fn loom_a_place_that_is_given_back_wakes_who_waits() {
    bounded(|| {
        let wanted = Wanted::new();
        let threads = [1, 2].map(|seat| {
            let wanted = TrackedArc::clone(&wanted);
            thread::spawn(move || take_and_give_back(&wanted, seat))
        });
        take_and_give_back(&wanted, 0);
        join(threads.into());
        assert_eq!(wanted.places.taken(), 0, "every place came back");
    });
}

/// A task gives up waiting while a permit is released: the permit goes to the second waiting task,
/// or stays free.
#[test]
fn loom_a_place_of_who_gives_up_is_not_lost() {
    bounded(|| {
        let wanted = Wanted::new();
        assert!(wanted.places.try_acquire());
        let lane = Lane::new(2);
        let own = TrackedArc::clone(&wanted);
        let task = lane.spawn(async move { own.take_and_give_back(0).await });
        let giver = TrackedArc::clone(&wanted);
        let giver = thread::spawn(move || giver.places.release());
        let taker = TrackedArc::clone(&wanted);
        let taker = thread::spawn(move || take_and_give_back(&taker, 1));
        // The task waits, or has held and released the permit.
        let _either = task.poll();
        task.drop_future();
        join(vec![giver, taker]);
        assert_eq!(wanted.places.taken(), 0, "every place came back");
    });
}

/// The number of permits rises from none to two while a task waits and a task of a second lane
/// begins to wait: both get a permit. A lost wake shows as a deadlock.
#[test]
fn loom_a_raised_number_wakes_who_waits() {
    bounded(|| {
        let wanted = Wanted::of(0, 2);
        let taker = TrackedArc::clone(&wanted);
        let taker = thread::spawn(move || take_and_give_back(&taker, 1));
        let mut lane = Lane::new(2);
        let own = TrackedArc::clone(&wanted);
        let task = lane.spawn(async move { own.take_and_give_back(0).await });
        let polled = task.poll();
        wanted.places.set_max(2);
        lane.go_on(&task, polled);
        join(vec![taker]);
        assert_eq!(wanted.places.taken(), 0, "every place came back");
    });
}

/// The number of permits falls from two to one while both are returned and two tasks want a permit:
/// both tasks get a permit, and a single permit is left. A task may go by the earlier number if the
/// task looked before the fall.
#[test]
fn loom_a_lowered_number_holds_once_the_permits_came_back() {
    bounded(|| {
        let wanted = Wanted::of(2, 2);
        assert!(wanted.places.try_acquire() && wanted.places.try_acquire());
        let taker = TrackedArc::clone(&wanted);
        let taker = thread::spawn(move || take_and_give_back(&taker, 1));
        let mut lane = Lane::new(2);
        let own = TrackedArc::clone(&wanted);
        let task = lane.spawn(async move { own.take_and_give_back(0).await });
        let polled = task.poll();
        wanted.places.set_max(1);
        wanted.places.release();
        wanted.places.release();
        lane.go_on(&task, polled);
        join(vec![taker]);
        assert_eq!(wanted.places.taken(), 0, "every place came back");
        assert!(wanted.places.try_acquire());
        assert!(!wanted.places.try_acquire(), "a single place is left");
    });
}

/// A task gives up waiting and drops the seat while a permit is released; a task of a second lane
/// takes the seat and waits. The permit reaches the second task, or stays free.
#[test]
fn loom_a_seat_that_changes_its_owner_loses_no_place() {
    bounded(|| {
        let places = TrackedArc::new(Semaphore::new(1));
        // Allocated before the threads: see `Wanted`.
        drop([(); 2].map(|()| places.waitlist().seat()));
        assert!(places.try_acquire());
        let giver = TrackedArc::clone(&places);
        let giver = thread::spawn(move || giver.release());
        let first = Lane::new(2);
        let own = TrackedArc::clone(&places);
        let task = first.spawn(async move {
            let seat = own.waitlist().seat();
            own.acquire(&seat).await;
            own.release();
        });
        // The task waits, or has held and released the permit.
        let _either = task.poll();
        task.drop_future();
        let mut second = Lane::new(2);
        let own = TrackedArc::clone(&places);
        let task = second.spawn(async move {
            let seat = own.waitlist().seat();
            own.acquire(&seat).await;
            own.release();
        });
        second.run(&task);
        join(vec![giver]);
        assert_eq!(places.taken(), 0, "every place came back");
    });
}

fn nothing_refers_to(lane: &Remote) {
    assert_eq!(lane.references(), 1, "a task or a message stayed");
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("a model's thread does not panic"));
}
