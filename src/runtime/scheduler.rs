//! A lane's tasks: which exist, which run next, and how a woken task is queued.
//!
//! The lane runs what is queued here. A waker finds the queue through the thread's current lane, or
//! sends the task to the lane's inbox.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, RawWakerVTable};

use super::remote::{Message, Remote, Task};
use super::run_queue::RunQueue;
use super::task::{self, Schedule, TaskId, TaskName};
use crate::stats::LaneStats;

thread_local! {
    /// The scheduler of the lane whose turn it is on this thread.
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// One lane's tasks.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) remote: Remote,
    pub(super) stats: Arc<LaneStats>,
    pub(super) queue: RefCell<RunQueue<Task>>,
    /// Woke themselves while they ran: they have more to do, and run again in the next turn.
    yielded: RefCell<Vec<Task>>,
    /// This turn must not sleep: the driver of the lane has something to look at.
    pub(super) stay_awake: Cell<bool>,
    /// The task that is running; all wakes meanwhile come from that task.
    running: Cell<Option<TaskId>>,
    tasks: RefCell<Tasks>,
    /// A task that has panicked is being dropped.
    pub(super) panicked: Cell<bool>,
}

/// The lane's own references to its tasks: as long as there is one, the future is alive.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    slots: Vec<Option<Task>>,
    free: Vec<u32>,
}

impl Scheduler {
    pub(super) fn new(remote: Remote) -> Self {
        Self {
            stats: Arc::clone(remote.stats()),
            remote,
            queue: RefCell::new(RunQueue::new()),
            yielded: RefCell::new(Vec::new()),
            stay_awake: Cell::new(false),
            running: Cell::new(None),
            tasks: RefCell::new(Tasks::default()),
            panicked: Cell::new(false),
        }
    }

    /// How many tasks have not ended.
    pub(super) fn tasks(&self) -> usize {
        let tasks = self.tasks.borrow();
        tasks.slots.len() - tasks.free.len()
    }

    /// Starts a task.
    pub(super) fn spawn<F>(&self, name: TaskName, future: F)
    where
        F: Future<Output = ()> + 'static,
    {
        let task = Task::new(name, self.remote.clone(), future);
        let mut tasks = self.tasks.borrow_mut();
        let slot = tasks.free.pop();
        let slot = slot.unwrap_or_else(|| {
            tasks.slots.push(None);
            u32::try_from(tasks.slots.len() - 1).expect("tasks fit 32 bits")
        });
        task.set_slot(slot);
        tasks.slots[slot as usize] = Some(task.clone());
        self.stats.spawned.add(1);
        task.claim();
        self.queue.borrow_mut().push(task);
    }

    /// Drops all tasks and their futures; returns their number.
    pub(super) fn abort_tasks(&self) -> usize {
        let mut count = 0;
        // Again if a destructor has started more.
        while self.tasks() > 0 {
            let all: Vec<Task> = {
                let mut tasks = self.tasks.borrow_mut();
                tasks.free.clear();
                tasks.slots.drain(..).flatten().collect()
            };
            for task in &all {
                // A destructor that panics has ended one session; the others still get theirs.
                drop(panic::catch_unwind(AssertUnwindSafe(|| task.drop_future())));
            }
            count += all.len();
        }
        count
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
        self.remote.heart().enter(task.name());
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
        self.remote.heart().leave();
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
                self.stay_awake.set(true);
            }
            drop(tasks);
            drop(last);
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// The static that [`Schedule::waker_vtable`] requires.
static WAKER: RawWakerVTable = task::waker_vtable::<Remote>();

impl Schedule for Remote {
    fn waker_vtable() -> &'static RawWakerVTable {
        &WAKER
    }

    fn schedule(task: &Task) {
        schedule(task);
    }
}

/// Queues a task that was woken: with its own lane if that has its turn on this thread, through
/// the lane's inbox otherwise.
pub(super) fn schedule(task: &Task) {
    if !task.claim() {
        return;
    }
    let local = CURRENT.with_borrow(|current| {
        let own = current.as_ref().filter(|lane| task.lane().is(&lane.remote));
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
        task.lane().send(Message::Wake(task.clone()));
    }
}

/// Makes a lane the current one of this thread until dropped; the one before comes back then.
pub(super) struct Current(Option<Rc<Scheduler>>);

impl Current {
    pub(super) fn enter(lane: &Rc<Scheduler>) -> Self {
        Self(CURRENT.replace(Some(Rc::clone(lane))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
