//! What a lane and its tasks share, and how a woken task finds its run queue.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use super::lane::Handle;
use super::leaving::Leaving;
use super::remote::Remote;
use super::run_queue::RunQueue;
use super::socket_table::Sockets;
use super::splice::Splice;
use super::task::{Task, TaskId};
use super::timer::Timers;
use super::watchdog::Heart;
use crate::buf::Pool;
use crate::poller::Poller;
use crate::stats::LaneStats;
use crate::sys::Time;

thread_local! {
    /// The lane whose turn it is on this thread.
    static CURRENT: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// One lane's parts that its tasks reach, each borrowed for a moment at a time.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) now: Cell<Time>,
    /// Deadlines up to here may be judged: everything that arrived before is delivered.
    pub(super) judged: Cell<Time>,
    pub(super) poller: RefCell<Poller>,
    pub(super) sockets: RefCell<Sockets>,
    pub(super) splice: RefCell<Splice>,
    pub(super) timers: RefCell<Timers<Task>>,
    pub(super) pool: Pool,
    pub(super) stats: Arc<LaneStats>,
    pub(super) queue: RefCell<RunQueue<Task>>,
    /// Woke themselves while they ran: they have more to do, and run again in the next turn.
    pub(super) yielded: RefCell<Vec<Task>>,
    /// This turn is not to sleep: who drives the lane has something to see.
    pub(super) roused: Cell<bool>,
    pub(super) random: Cell<u64>,
    pub(super) high_mark: usize,
    /// The task that is running, so what is woken now was woken by it.
    pub(super) running: Cell<Option<TaskId>>,
    pub(super) tasks: RefCell<Tasks>,
    /// A task that has panicked is being dropped.
    pub(super) panicked: Cell<bool>,
    pub(super) remote: Remote,
    /// What sessions that have ended give back once their descriptors are closed.
    pub(super) leaving: Leaving,
    /// What the lane's owner keeps for the calls of other threads.
    pub(super) kept: RefCell<Option<Rc<dyn Any>>>,
}

/// The lane's own references to its tasks: as long as it has one, the future is alive.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    pub(super) slots: Vec<Option<Task>>,
    pub(super) free: Vec<u32>,
}

impl Shared {
    pub(super) fn now(&self) -> Time {
        self.now.get()
    }

    pub(super) fn heart(&self) -> &Heart {
        self.remote.heart()
    }

    /// Queues those that have yielded, for the next turn.
    pub(super) fn requeue_yielded(&self) {
        let mut queue = self.queue.borrow_mut();
        self.yielded
            .borrow_mut()
            .drain(..)
            .for_each(|task| queue.push(task));
    }

    pub(super) fn pop(&self) -> Option<Task> {
        self.queue.borrow_mut().pop()
    }

    pub(super) fn run(&self, task: &Task) {
        self.running.set(Some(task.id()));
        self.stats.polls.add(1);
        self.heart().enter(task.name());
        let result = panic::catch_unwind(AssertUnwindSafe(|| task.poll()));
        match result {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => self.end(task),
            Err(panic) => {
                self.stats.panics.add(1);
                let what = panic_text(&*panic);
                tracing::error!(
                    task = task.name(),
                    panic = what,
                    "a task panicked and was ended"
                );
                self.panicked.set(true);
                self.end(task);
                self.panicked.set(false);
            }
        }
        self.heart().leave();
        self.running.set(None);
    }

    fn end(&self, task: &Task) {
        if panic::catch_unwind(AssertUnwindSafe(|| task.drop_future())).is_err() {
            self.stats.panics.add(1);
        }
        let mut tasks = self.tasks.borrow_mut();
        let own = tasks.slots.get_mut(task.slot() as usize);
        // A task that was woken while it ended comes here again; its slot may be another's.
        if let Some(own) = own.filter(|own| own.as_ref().is_some_and(|own| own.id() == task.id())) {
            let last = own.take();
            tasks.free.push(task.slot());
            if tasks.free.len() == tasks.slots.len() {
                self.roused.set(true);
            }
            drop(tasks);
            drop(last);
        }
    }
}

impl Handle {
    /// Whether what is dropped now is dropped because its task has panicked. The panic may be over
    /// by then: a future written by hand is left as it was, and dropped afterwards.
    #[must_use]
    pub fn is_dropping_after_panic(&self) -> bool {
        thread::panicking() || self.0.panicked.get()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Queues a task that was woken: with its own lane if that has its turn on this thread, through
/// the lane's inbox otherwise.
pub(super) fn schedule(task: &Task) {
    if !task.claim() {
        return;
    }
    let local = CURRENT.with_borrow(|current| {
        let own = current.as_ref().filter(|lane| task.is_of(&lane.remote));
        own.map(|lane| {
            let mut queue = lane.queue.borrow_mut();
            match lane.running.get() {
                // One that wakes itself yields, to the lane's sockets and timers too: run again in
                // the same turn, one that moves a MiB each time would keep them waiting for long.
                Some(by) if by == task.id() => lane.yielded.borrow_mut().push(task.clone()),
                Some(_) => queue.push_next(task.clone()),
                None => queue.push(task.clone()),
            }
        })
    });
    if local.is_none() {
        task.wake_lane();
    }
}

/// Makes a lane the current one of this thread until dropped; the one before comes back then.
pub(super) struct Current(Option<Rc<Shared>>);

impl Current {
    pub(super) fn enter(lane: &Rc<Shared>) -> Self {
        Self(CURRENT.replace(Some(Rc::clone(lane))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
