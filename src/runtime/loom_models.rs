//! Every interleaving of a task's wakes, its end and its lane's end, and of what one lane hands to
//! another. The inbox's own models stand beside it. Run as `.ci/run` does, with `--cfg loom`.
//!
//! A lane here is the part of one that other threads touch: its inbox, its sleep and its tasks.
//! What it would do with a call is what the call does when it is dropped, since a call needs a
//! whole lane to be run.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
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

/// What other threads touch of a lane.
struct Lane {
    remote: Remote,
    receiver: Receiver<Message>,
    notifier: Notifier,
}

impl Lane {
    fn new(capacity: usize) -> Self {
        let (sender, receiver) = inbox(capacity);
        let notifier = Notifier::new();
        let remote = Remote::new(sender, notifier.clone());
        Self {
            remote,
            receiver,
            notifier,
        }
    }

    /// The next message; sleeps as long as there is none. A lost wake shows as a deadlock.
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

    /// A task that is queued to be polled for the first time.
    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Task {
        let task = Task::new(&"modelled", self.remote.clone(), future);
        assert!(task.claim(), "nobody knows it yet");
        task
    }

    /// Polls a task that is queued, and then whenever it is woken, until it has ended.
    fn run(&mut self, task: &Task) {
        let mut polled = task.poll();
        while polled.is_pending() {
            if let Message::Wake(woken) = self.receive() {
                assert_eq!(woken.id(), task.id());
                polled = woken.poll();
            }
        }
        task.drop_future();
    }

    /// Ends as a lane does: nobody takes any more what it is sent.
    fn close(self) -> Remote {
        drop(self.receiver);
        self.remote
    }
}

/// A future that ends once it has seen `flags`, and finds out if it is polled or dropped in two
/// places at once, after its end, or never.
struct Sees {
    flags: TrackedArc<[AtomicUsize; 2]>,
    polls: Cell<usize>,
    ended: bool,
    /// The model fails if this is not dropped.
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
        // Relaxed: that a wake shows what was done before it is the task's promise.
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

/// Two threads wake a task, each having done its part, while its lane polls it: a poll that follows
/// sees both, though the second wake finds the task queued and sends nothing.
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

/// A task that has ended is neither polled nor dropped again by the wakes that come then, and its
/// memory goes with the last waker, wherever that is.
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

/// A lane goes while its task is being woken: the future is dropped by the lane, the memory by
/// whoever is last, and no message keeps the inbox alive.
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

/// What is handed over: a socket, say. Counts where it ends, and tells who handed it over.
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

/// A task hands something to another lane and waits for the answer, which comes whether that lane
/// takes it or closes meanwhile; nothing is dropped twice, nothing stays.
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

/// Two lanes hand something to a third that closes after the first: each is taken or dropped, once.
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

/// One place that several tasks want. Seats are taken before there are threads: loom does not know
/// of the `OnceLock`s that publish them.
struct Wanted {
    places: Semaphore,
    seats: [Arc<Seat>; 3],
    inside: AtomicUsize,
}

impl Wanted {
    fn new() -> TrackedArc<Self> {
        let places = Semaphore::new(1);
        TrackedArc::new(Self {
            seats: [(); 3].map(|()| places.waitlist().seat()),
            places,
            inside: AtomicUsize::new(0),
        })
    }

    /// Takes the place, sees to it that nobody else has it, and gives it back.
    async fn take_and_give_back(&self, seat: usize) {
        self.places.acquire(&self.seats[seat]).await;
        assert_eq!(self.inside.fetch_add(1, Relaxed), 0, "one place, two tasks");
        self.inside.fetch_sub(1, Relaxed);
        self.places.release();
    }
}

/// A task on a lane of its own has the place for a moment.
fn take_and_give_back(wanted: &TrackedArc<Wanted>, seat: usize) {
    let mut lane = Lane::new(2);
    let own = TrackedArc::clone(wanted);
    let task = lane.spawn(async move { own.take_and_give_back(seat).await });
    lane.run(&task);
}

/// Three tasks on lanes of their own want one place: each gets it, and never two have it. A wake
/// that is lost shows as a deadlock.
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

/// A task gives up waiting while a place is given back: the place goes to the other that waits, or
/// is free.
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
        // It waits, or has had the place and given it back.
        let _either = task.poll();
        task.drop_future();
        join(vec![giver, taker]);
        assert_eq!(wanted.places.taken(), 0, "every place came back");
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
