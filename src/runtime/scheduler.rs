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

use super::recorder::{Recorder, What};
use super::remote::{Message, Remote, Task};
use super::run_queue::RunQueue;
use super::session::{Cursor, Description, EndRequest, Legs, Session, SessionId};
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
    pub(super) recorder: Recorder,
}

/// The lane's own references to its tasks: as long as there is one, the future is alive.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    slots: Vec<Option<Task>>,
    free: Vec<u32>,
    /// The number of sessions among the tasks.
    sessions: usize,
}

/// Tasks of a lane, for a recording.
#[derive(Debug, Default)]
pub(crate) struct NamedTasks {
    /// The slot, the name, and the id of a session.
    pub tasks: Vec<(u32, TaskName, Option<SessionId>)>,
    /// The number of events that the recording had by then.
    pub events: usize,
    /// Where the table goes on.
    pub next: Option<Cursor>,
}

/// A session of a lane, between two turns.
#[derive(Debug)]
pub(crate) struct Visited {
    task: Task,
    slot: usize,
}

impl Visited {
    /// The present state of the session; `None` if the session has ended.
    #[must_use]
    pub(crate) fn describe(&self) -> Option<Description> {
        self.task.describe()
    }

    /// The connections of the session; `None` if the session has ended.
    #[must_use]
    pub(crate) fn legs(&self) -> Option<Legs> {
        self.task.legs()
    }

    /// The place of the session in the table of tasks, for life.
    #[must_use]
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor(self.slot)
    }

    /// Lets the session end in the lane's next turn; see [`Session::ask_to_end`].
    pub(crate) fn ask_to_end(&self, why: EndRequest) {
        self.task.ask_to_end(why);
        schedule(&self.task);
    }
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
            recorder: Recorder::new(),
        }
    }

    /// How many tasks have not ended.
    pub(super) fn tasks(&self) -> usize {
        let tasks = self.tasks.borrow();
        tasks.slots.len() - tasks.free.len()
    }

    /// How many sessions have not ended.
    pub(super) fn sessions(&self) -> usize {
        self.tasks.borrow().sessions
    }

    /// Starts a task in the background.
    pub(super) fn spawn<F>(&self, name: TaskName, future: F)
    where
        F: Future<Output = ()> + 'static,
    {
        self.start(Task::new(name, self.remote.clone(), future));
    }

    /// Starts a session.
    pub(super) fn spawn_session<S: Session + 'static>(&self, name: TaskName, session: S) {
        self.start(Task::session(name, self.remote.clone(), session));
    }

    fn start(&self, task: Task) {
        let mut tasks = self.tasks.borrow_mut();
        let slot = tasks.free.pop();
        let slot = slot.unwrap_or_else(|| {
            tasks.slots.push(None);
            u32::try_from(tasks.slots.len() - 1).expect("tasks fit 32 bits")
        });
        tasks.sessions += usize::from(task.is_session());
        drop(tasks);
        self.queue_in(slot, task);
    }

    /// Starts a session in the slot of `running`, a session that ends with the present poll: a
    /// listing sees one session.
    pub(super) fn continue_as<S>(&self, running: &Task, name: TaskName, session: S)
    where
        S: Session + 'static,
    {
        assert!(running.is_session(), "a session continues a session");
        debug_assert!(self.owns(running), "once");
        let task = Task::session(name, self.remote.clone(), session);
        self.queue_in(running.slot(), task);
    }

    fn queue_in(&self, slot: u32, task: Task) {
        task.set_slot(slot);
        let before = self.tasks.borrow_mut().slots[slot as usize].replace(task.clone());
        drop(before);
        self.stats.spawned.add(1);
        if self.recorder.is_on() {
            self.record_spawn(slot, &task);
        }
        task.claim();
        self.queue.borrow_mut().push(task);
    }

    #[cold]
    fn record_spawn(&self, slot: u32, task: &Task) {
        if let Some(id) = task.session_id() {
            self.recorder.record(What::Session { slot, id });
        }
        let name = task.name();
        self.recorder.record(What::Spawn { slot, name });
    }

    /// Whether the slot of the task is the task's own.
    fn owns(&self, task: &Task) -> bool {
        let tasks = self.tasks.borrow();
        let own = tasks.slots.get(task.slot() as usize);
        own.and_then(Option::as_ref)
            .is_some_and(|own| own.id() == task.id())
    }

    /// Visits the sessions in at most `slots` slots from the cursor on; returns the cursor behind
    /// them, `None` at the end of the table. Called between two turns.
    pub(super) fn visit_sessions(
        &self,
        from: Cursor,
        slots: usize,
        mut visit: impl FnMut(&Visited),
    ) -> Option<Cursor> {
        assert_eq!(self.running.get(), None, "between two turns");
        let end = from.0.saturating_add(slots);
        for slot in from.0..end {
            let task = match self.tasks.borrow().slots.get(slot) {
                None => return None,
                Some(None) => continue,
                Some(Some(task)) if !task.is_session() => continue,
                Some(Some(task)) => task.clone(),
            };
            visit(&Visited { task, slot });
        }
        Some(Cursor(end))
    }

    /// Names the tasks in at most `slots` slots from the cursor on. Called between two turns.
    pub(super) fn name_tasks(&self, from: Cursor, slots: usize) -> NamedTasks {
        assert_eq!(self.running.get(), None, "between two turns");
        let end = from.0.saturating_add(slots);
        let tasks = self.tasks.borrow();
        let named = |slot: usize| {
            let task = tasks.slots.get(slot)?.as_ref()?;
            Some((task.slot(), task.name(), task.session_id()))
        };
        NamedTasks {
            tasks: (from.0..end.min(tasks.slots.len()))
                .filter_map(named)
                .collect(),
            events: self.recorder.len(),
            next: (end < tasks.slots.len()).then_some(Cursor(end)),
        }
    }

    /// Drops all tasks and their futures; returns their number.
    pub(super) fn abort_tasks(&self) -> usize {
        let mut count = 0;
        // Again if a destructor has started more.
        while self.tasks() > 0 {
            let all: Vec<Task> = {
                let mut tasks = self.tasks.borrow_mut();
                tasks.free.clear();
                tasks.sessions = 0;
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
        let slot = task.slot();
        self.recorder.record(What::Poll { slot });
        self.remote
            .heartbeat()
            .enter(task.name(), task.session_id());
        let result = panic::catch_unwind(AssertUnwindSafe(|| task.poll()));
        match result {
            Ok(Poll::Pending) => debug_assert!(self.owns(task), "ends when it is continued"),
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
        self.remote.heartbeat().leave();
        self.running.set(None);
        self.recorder.record_now(What::Polled);
    }

    fn end(&self, task: &Task) {
        if panic::catch_unwind(AssertUnwindSafe(|| task.drop_future())).is_err() {
            self.stats.panics.add(1);
        }
        // A task woken during its end comes here twice, and a continued session has lost its slot.
        if !self.owns(task) {
            return;
        }
        let mut tasks = self.tasks.borrow_mut();
        let slot = task.slot();
        self.recorder.record(What::End { slot });
        let last = tasks.slots[slot as usize].take();
        tasks.free.push(slot);
        tasks.sessions -= usize::from(task.is_session());
        // The driver may have waited for the last task.
        if tasks.free.len() == tasks.slots.len() {
            self.stay_awake.set(true);
        }
        drop(tasks);
        drop(last);
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
            lane.recorder.record_wake(task.slot());
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
