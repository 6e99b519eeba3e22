//! The lane: one core's run queue, timers, inbox and poller, and the turn that drives them.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Handle;
use super::idle_trim::IdleTrim;
use super::inbox::{Receiver, inbox};
use super::recorder::{Event, Recording, What};
use super::release::PendingReleases;
use super::remote::{Message, Remote, Task};
use super::scheduler::{Current, NamedTasks, Scheduler, Visited, schedule};
use super::session::Cursor;
use super::shared::Shared;
use super::socket_table::Sockets;
use super::spin::Spin;
use super::splice::Splice;
use super::timer::Timers;
use crate::buf::{Pool, PoolOptions};
use crate::poller::{BackEnd, Completion, Poller, PollerOptions, Wait};
use crate::stats::nanos;
use crate::sys::{self, Bug, Time, seeded};

/// Messages that the inbox holds before it spills.
const INBOX: usize = 1024;
/// Tasks in one turn, after which timers and completions are due.
const BUDGET: usize = 256;
/// Tasks between two checks of the inbox, as in Go: a prime, out of step with the load.
const INBOX_INTERVAL: usize = 61;
/// One turn in so many is measured. The lane reads the clock twice more in such a turn: some 50 ns
/// in all, or 1 ns a turn.
const SAMPLED: u64 = 64;

/// The options of a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneOptions {
    /// The kind of poller.
    pub back_end: BackEnd,
    /// The sizes of the poller's queues.
    pub poller: PollerOptions,
    /// The buffers.
    pub pool: PoolOptions,
    /// Buffers that may queue up for one socket before its receive stops.
    pub queue_buffers: usize,
    /// The time of polling before a sleep, while polling pays.
    pub idle_spin: Duration,
    /// The seed of the random numbers.
    pub seed: u64,
}

impl LaneOptions {
    /// The defaults on a back end, without spinning.
    #[must_use]
    pub fn new(back_end: BackEnd) -> Self {
        Self {
            back_end,
            poller: PollerOptions::default(),
            pool: PoolOptions::default(),
            queue_buffers: 2,
            idle_spin: Duration::ZERO,
            seed: 0,
        }
    }
}

/// A core's scheduler and poller. Stays on the opening thread.
#[derive(Debug)]
pub struct Lane {
    scheduler: Rc<Scheduler>,
    shared: Rc<Shared>,
    receiver: Receiver<Message>,
    spin: Spin,
    completions: Vec<Completion>,
    fired: Vec<Task>,
    idle_trim: IdleTrim,
    /// The tasks that the budget of the last turn left in the queue, and the time of that turn.
    left: (usize, Time),
}

impl Lane {
    /// Opens a lane on the calling thread.
    ///
    /// # Errors
    /// When the system refuses the poller or the buffers.
    pub fn open(options: LaneOptions, now: Time) -> io::Result<Self> {
        let pool = Pool::new(options.pool)?;
        let poller = Poller::open(options.back_end, options.poller, &pool)?;
        let (sender, receiver) = inbox(INBOX);
        let remote = Remote::new(sender, poller.notifier());
        let scheduler = Rc::new(Scheduler::new(remote));
        let shared = Shared {
            now: Cell::new(now),
            delivered_until: Cell::new(now),
            poller: RefCell::new(poller),
            splice: RefCell::new(Splice::default()),
            sockets: RefCell::new(Sockets::new(options.queue_buffers)),
            timers: RefCell::new(Timers::new(now)),
            pool,
            stats: Arc::clone(&scheduler.stats),
            random: Cell::new(options.seed),
            high_mark: 2 * options.queue_buffers * options.pool.buffer_bytes,
            scheduler: Rc::clone(&scheduler),
            releases: PendingReleases::default(),
        };
        Ok(Self {
            scheduler,
            shared: Rc::new(shared),
            receiver,
            spin: Spin::new(options.idle_spin),
            completions: Vec::new(),
            fired: Vec::new(),
            idle_trim: IdleTrim::new(now),
            left: (0, now),
        })
    }

    /// A handle for this lane's tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Rc::clone(&self.shared))
    }

    /// The number of tasks that have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.scheduler.tasks()
    }

    /// The number of sessions that have not ended.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.scheduler.sessions()
    }

    /// Visits the sessions in at most `slots` slots of the table; returns where the listing goes
    /// on, `None` at its end. Begins at the default cursor. The lane may turn between two calls: a
    /// session that lives throughout the listing is visited exactly once.
    pub(crate) fn visit_sessions(
        &mut self,
        from: Cursor,
        slots: usize,
        visit: impl FnMut(&Visited),
    ) -> Option<Cursor> {
        let _current = Current::enter(&self.scheduler);
        self.scheduler.visit_sessions(from, slots, visit)
    }

    /// Starts a recording of the lane's events into `memory`, as far as the capacity goes.
    pub(crate) fn start_recording(&mut self, memory: Vec<Event>) {
        self.scheduler.recorder.start(memory);
    }

    /// Ends the recording and returns its events; none without a recording.
    pub(crate) fn stop_recording(&mut self) -> Recording {
        self.scheduler.recorder.stop()
    }

    /// Names the tasks in at most `slots` slots of the table, from the cursor on.
    pub(crate) fn name_tasks(&mut self, from: Cursor, slots: usize) -> NamedTasks {
        self.scheduler.name_tasks(from, slots)
    }

    /// Records that a connection of another lane has arrived.
    pub(crate) fn record_handed_over(&self) {
        self.scheduler.recorder.record_now(What::HandedOver);
    }

    /// Turns, reading the clock, until `done` returns `true`. Calls `done` after every turn.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) -> io::Result<()> {
        while !done(self) {
            self.turn(sys::now())?;
        }
        Ok(())
    }

    /// One turn at the moment `now`: fires timers, reads the inbox, runs tasks, waits for
    /// completions and wakes their tasks. Sleeps only when there is nothing to run.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn turn(&mut self, now: Time) -> io::Result<()> {
        self.turn_within(now, || None)
    }

    /// A turn that sleeps at most for the `limit`, which is read after the tasks have run: for a
    /// driver with deadlines finer than the timers.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn turn_within(
        &mut self,
        now: Time,
        limit: impl FnOnce() -> Option<Duration>,
    ) -> io::Result<()> {
        let _current = Current::enter(&self.scheduler);
        self.shared.now.set(now);
        self.shared.stats.turns.add(1);
        self.scheduler.remote.heartbeat().beat();
        self.spin.learn(now);
        self.scheduler.recorder.record_now(What::Turn);
        // At the start of a turn and not behind the wait, so that a lane sleeps from turn to turn
        // when a test turns the lane by hand.
        self.receiver.wake_up();
        self.fire_timers(now)?;
        self.read_inbox();
        let waiting = self.scheduler.queue.borrow().len();
        self.shared.stats.run_queue.set(waiting as u64);
        let queued = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.scheduler.recorder.record(What::Run { queued });
        if self.shared.stats.turns.value().is_multiple_of(SAMPLED) {
            self.run_measured(now, waiting);
        } else {
            self.run_tasks(BUDGET);
        }
        self.left = (self.scheduler.queue.borrow().len(), now);
        self.scheduler.requeue_yielded();
        self.shared
            .stats
            .buffers
            .set(self.shared.pool.in_use() as u64);
        self.idle_trim.turn(now, &self.shared);
        let wait = self.fall_asleep(now, limit);
        let result = self.wait(wait);
        self.scheduler.remote.heartbeat().wake_up();
        self.complete();
        result
    }

    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        let recorder = &self.scheduler.recorder;
        let may_sleep = wait.timeout != Some(Duration::ZERO);
        recorder.record_now(What::Wait { may_sleep });
        let mut poller = self.shared.poller.borrow_mut();
        let result = poller.wait(wait, &mut self.completions);
        let completions = u32::try_from(self.completions.len()).unwrap_or(u32::MAX);
        recorder.record_now(What::Waited { completions });
        result
    }

    /// Delivers all arrived input and runs the woken tasks, without sleeping: for a driver that is
    /// about to abort the tasks, since a lane that did not run for a while has not seen the input
    /// that arrived in time.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn settle(&mut self, now: Time) -> io::Result<()> {
        let _current = Current::enter(&self.scheduler);
        self.shared.now.set(now);
        self.look()?;
        for _ in 0..=self.tasks() / BUDGET {
            // The tasks of a full lane take longer than a watchdog waits for one turn.
            self.scheduler.remote.heartbeat().beat();
            self.run_tasks(BUDGET);
        }
        // The sends and closes of these tasks.
        self.look()
    }

    /// Runs `f` as if in the lane's turn, so that woken tasks are queued here.
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        let _current = Current::enter(&self.scheduler);
        f()
    }

    /// As [`Lane::enter`], at the time `now` and not at the time of the last turn, for a driver
    /// that starts tasks between turns.
    pub fn enter_at<T>(&self, now: Time, f: impl FnOnce() -> T) -> T {
        self.shared.now.set(now);
        self.enter(f)
    }

    /// Drops every task with its sockets, which resets their connections. Returns the number of
    /// tasks.
    pub fn abort_tasks(&mut self) -> usize {
        let _current = Current::enter(&self.scheduler);
        self.scheduler.abort_tasks()
    }

    #[cfg(all(test, not(loom), not(feature = "sim")))]
    pub(super) fn shared_timers_are_empty(&self) -> bool {
        self.shared.timers.borrow().is_empty()
    }

    /// Wakes the tasks whose deadlines have passed at `now`. First delivers all input from before
    /// `now`: after a freeze of the process, deadlines have passed although input waits in the
    /// kernel.
    fn fire_timers(&mut self, now: Time) -> io::Result<()> {
        self.shared
            .timers
            .borrow_mut()
            .advance(now, &mut self.fired);
        if self.fired.is_empty() {
            return Ok(());
        }
        self.shared.delivered_until.set(now);
        // Ahead of the tasks that the input wakes; no task runs before all input is delivered.
        for task in self.fired.drain(..) {
            let slot = task.slot();
            self.scheduler.recorder.record(What::Timer { slot });
            schedule(&task);
        }
        if seeded(Bug::TimeBeforeInput) {
            return Ok(());
        }
        self.look()
    }

    /// Delivers all input that has arrived so far.
    fn look(&mut self) -> io::Result<()> {
        let result = self.shared.poller.borrow_mut().look(&mut self.completions);
        self.complete();
        result
    }

    fn complete(&mut self) {
        for completion in self.completions.drain(..) {
            self.shared.complete(completion);
        }
    }

    fn read_inbox(&mut self) {
        for _ in 0..INBOX {
            match self.receiver.receive() {
                Some(Message::Wake(task)) => {
                    let slot = task.slot();
                    self.scheduler.recorder.record(What::RemoteWake { slot });
                    self.scheduler.queue.borrow_mut().push(task);
                }
                Some(Message::Rouse) => self.scheduler.stay_awake.set(true),
                Some(Message::Call(call)) => {
                    // Often a call changes the conditions of the driver, which checks them between
                    // turns: a sleep in this turn would delay the check.
                    self.scheduler.stay_awake.set(true);
                    self.scheduler.recorder.record(What::Call);
                    call(&self.handle());
                }
                None => return,
            }
        }
    }

    /// Runs the tasks of a turn, and reads the clock in the middle and at the end. The middle is a
    /// random place among the `waiting` tasks, so that a turn with many tasks shows their delay. A
    /// task's delay counts from the start of the turn, or of the turn before if its budget left the
    /// task in the queue.
    fn run_measured(&mut self, now: Time, waiting: usize) {
        let waiting = waiting.min(BUDGET);
        if waiting > 0 {
            let ahead = self.handle().random() % waiting as u64;
            let ahead = usize::try_from(ahead).expect("below the budget");
            self.run_tasks(ahead);
            let (left, of) = self.left;
            let since = if ahead < left { of } else { now };
            let delay = sys::now().since(since);
            self.shared.stats.queue_delay.record(nanos(delay));
            self.run_tasks(BUDGET - ahead);
        }
        let turn = sys::now().since(now);
        self.shared.stats.turn.record(nanos(turn));
    }

    fn run_tasks(&mut self, most: usize) {
        for count in 1..=most {
            let Some(task) = self.scheduler.pop() else {
                return;
            };
            self.scheduler.run(&task);
            if count % INBOX_INTERVAL == 0 {
                self.read_inbox();
            }
        }
    }

    /// Decides the duration of the wait.
    fn fall_asleep(&mut self, now: Time, limit: impl FnOnce() -> Option<Duration>) -> Wait {
        let busy = self.shared.settle() | self.scheduler.stay_awake.take()
            || !self.scheduler.queue.borrow().is_empty();
        if busy || !self.receiver.fall_asleep() {
            self.spin.skip();
            return Wait::NOT;
        }
        let first = self.shared.timers.borrow().next();
        let trim = self.idle_trim.next(&self.shared);
        let first = first.into_iter().chain(trim).min();
        let timeout = first
            .map(|at| at.since(now))
            .into_iter()
            .chain(limit())
            .min();
        if timeout == Some(Duration::ZERO) {
            self.spin.skip();
            return Wait::NOT;
        }
        self.scheduler.remote.heartbeat().fall_asleep();
        let spin = self.spin.before_sleep();
        Wait {
            spin: timeout.map_or(spin, |timeout| spin.min(timeout)),
            timeout,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.abort_tasks();
        self.shared.releases.release(0);
        self.shared.releases.release_places(0, u64::MAX);
        // For ever, in the view of a watchdog.
        self.scheduler.remote.heartbeat().fall_asleep();
        let _current = Current::enter(&self.scheduler);
        while self.scheduler.pop().is_some() {}
    }
}
