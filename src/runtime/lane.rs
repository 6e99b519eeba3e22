//! The lane: one core's run queue, timers, inbox and poller, and the turn that drives them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Handle;
use super::inbox::{Receiver, inbox};
use super::leaving::Leaving;
use super::remote::{Message, Remote, Task};
use super::rest::Rest;
use super::scheduler::{Current, Scheduler, Visited, schedule};
use super::session::Cursor;
use super::shared::Shared;
use super::socket_table::Sockets;
use super::spin::Spin;
use super::splice::Splice;
use super::task::TaskName;
use super::timer::Timers;
use crate::buf::{Pool, PoolOptions};
use crate::poller::{BackEnd, Completion, Poller, PollerOptions, Wait};
use crate::sys::{self, Bug, Time, seeded};

/// Messages that the inbox holds before it spills.
const INBOX: usize = 1024;
/// Tasks run in one turn before timers and completions get their turn again.
const BUDGET: usize = 256;
/// Tasks run between two looks at the inbox, as in Go: a prime, so that it does not beat in time
/// with the load.
const INBOX_INTERVAL: usize = 61;
/// What a lane is opened with.
#[derive(Clone, Copy, Debug)]
pub struct LaneOptions {
    /// Which poller.
    pub back_end: BackEnd,
    /// Sizes of its queues.
    pub poller: PollerOptions,
    /// Its buffers.
    pub pool: PoolOptions,
    /// Buffers that may queue up for one socket before it is received no more.
    pub queue_buffers: usize,
    /// How long it polls before it sleeps, while that pays.
    pub idle_spin: Duration,
    /// Where its random numbers begin.
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

/// One core's scheduler and poller. Stays on the thread that opened it.
#[derive(Debug)]
pub struct Lane {
    scheduler: Rc<Scheduler>,
    shared: Rc<Shared>,
    receiver: Receiver<Message>,
    spin: Spin,
    completions: Vec<Completion>,
    fired: Vec<Task>,
    rest: Rest,
}

impl Lane {
    /// Opens a lane on the calling thread.
    ///
    /// # Errors
    /// When the poller or the buffers cannot be had.
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
            leaving: Leaving::default(),
        };
        Ok(Self {
            scheduler,
            shared: Rc::new(shared),
            receiver,
            spin: Spin::new(options.idle_spin),
            completions: Vec::new(),
            fired: Vec::new(),
            rest: Rest::new(now),
        })
    }

    /// A handle for this lane's tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Rc::clone(&self.shared))
    }

    /// How many tasks have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.scheduler.tasks()
    }

    /// How many sessions have not ended.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.scheduler.sessions()
    }

    /// Visits the sessions in at most `slots` slots of the table; returns where the listing goes
    /// on, `None` at its end. Begins at the default cursor. The lane may turn between two calls: a
    /// session that lives throughout the listing is visited exactly once.
    pub fn visit_sessions(
        &mut self,
        from: Cursor,
        slots: usize,
        visit: impl FnMut(&Visited),
    ) -> Option<Cursor> {
        let _current = Current::enter(&self.scheduler);
        self.scheduler.visit_sessions(from, slots, visit)
    }

    /// Turns, reading the clock, until `done` says so. Looks at it after every turn.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) -> io::Result<()> {
        while !done(self) {
            self.turn(sys::now())?;
        }
        Ok(())
    }

    /// Runs one task to its end, turning the lane, and gives what it made.
    ///
    /// # Errors
    /// When the poller breaks, or the task panics.
    pub fn block_on<T, F>(&mut self, name: TaskName, future: F) -> io::Result<T>
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let result = Rc::new(Cell::new(None));
        let place = Rc::clone(&result);
        let panics = self.shared.stats.panics.value();
        let rouse = RouseOnDrop(self.handle());
        self.handle().spawn(name, async move {
            let _rouse = rouse;
            place.set(Some(future.await));
        });
        loop {
            self.turn(sys::now())?;
            if let Some(value) = result.take() {
                return Ok(value);
            }
            if Rc::strong_count(&result) == 1 && self.shared.stats.panics.value() > panics {
                return Err(io::Error::other("the task panicked"));
            }
        }
    }

    /// One turn at the moment `now`: fires timers, reads the inbox, runs tasks, waits for
    /// completions and wakes their tasks. Sleeps only when there is nothing to run.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn turn(&mut self, now: Time) -> io::Result<()> {
        self.turn_within(now, || None)
    }

    /// A turn that sleeps no longer than `limit` says once its tasks have run, if it would sleep at
    /// all: for a driver with moments of its own that timers are too coarse for.
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
        self.scheduler.remote.heart().beat();
        self.spin.learn(now);
        // Here rather than behind the wait, so that a lane sleeps from turn to turn for whoever
        // turns it by hand.
        self.receiver.wake_up();
        self.fire_timers(now)?;
        self.read_inbox();
        self.run_tasks();
        self.scheduler.requeue_yielded();
        self.rest.turn(now, &self.shared);
        let wait = self.fall_asleep(now, limit);
        let result = self
            .shared
            .poller
            .borrow_mut()
            .wait(wait, &mut self.completions);
        self.scheduler.remote.heart().wake_up();
        self.complete();
        result
    }

    /// Delivers everything that has arrived and runs the tasks that this wakes, without sleeping:
    /// for a driver that is about to abort the tasks, since a lane that did not run for a while
    /// has not seen what its peers did in time.
    ///
    /// # Errors
    /// When the poller breaks.
    pub fn settle(&mut self, now: Time) -> io::Result<()> {
        let _current = Current::enter(&self.scheduler);
        self.shared.now.set(now);
        self.look()?;
        for _ in 0..=self.tasks() / BUDGET {
            self.run_tasks();
        }
        // What they have sent and closed.
        self.look()
    }

    /// Runs `f` as if in the lane's turn, so that what it wakes is queued here.
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        let _current = Current::enter(&self.scheduler);
        f()
    }

    /// As [`Lane::enter`], at the time `now` rather than that of the last turn, for a driver that
    /// starts tasks between turns.
    pub fn enter_at<T>(&self, now: Time, f: impl FnOnce() -> T) -> T {
        self.shared.now.set(now);
        self.enter(f)
    }

    /// Drops every task, and with them their sockets, which are reset. Says how many there were.
    pub fn abort_tasks(&mut self) -> usize {
        let _current = Current::enter(&self.scheduler);
        self.scheduler.abort_tasks()
    }

    #[cfg(all(test, not(loom), not(feature = "sim")))]
    pub(super) fn shared_timers_are_empty(&self) -> bool {
        self.shared.timers.borrow().is_empty()
    }

    /// Wakes the tasks whose deadlines have passed at `now`. Whatever arrived before `now` is
    /// delivered first: a process that was frozen finds its deadlines passed and the bytes that
    /// kept them waiting in the kernel.
    fn fire_timers(&mut self, now: Time) -> io::Result<()> {
        self.shared
            .timers
            .borrow_mut()
            .advance(now, &mut self.fired);
        if self.fired.is_empty() {
            return Ok(());
        }
        self.shared.delivered_until.set(now);
        // In front of the many tasks that a look may wake; none of them runs before it is over.
        for task in self.fired.drain(..) {
            schedule(&task);
        }
        if seeded(Bug::TimeBeforeInput) {
            return Ok(());
        }
        self.look()
    }

    /// Delivers everything that has arrived so far.
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
                Some(Message::Wake(task)) => self.scheduler.queue.borrow_mut().push(task),
                Some(Message::Rouse) => self.scheduler.stay_awake.set(true),
                Some(Message::Call(call)) => {
                    // Often a call has the driver look at its conditions, which it does between
                    // turns: sleeping in this one would miss that.
                    self.scheduler.stay_awake.set(true);
                    call(&self.handle());
                }
                None => return,
            }
        }
    }

    fn run_tasks(&mut self) {
        for count in 1..=BUDGET {
            let Some(task) = self.scheduler.pop() else {
                return;
            };
            self.scheduler.run(&task);
            if count % INBOX_INTERVAL == 0 {
                self.read_inbox();
            }
        }
    }

    /// Decides how long to wait.
    fn fall_asleep(&mut self, now: Time, limit: impl FnOnce() -> Option<Duration>) -> Wait {
        let busy = self.shared.settle() | self.scheduler.stay_awake.take()
            || !self.scheduler.queue.borrow().is_empty();
        if busy || !self.receiver.fall_asleep() {
            self.spin.skip();
            return Wait::NOT;
        }
        let first = self.shared.timers.borrow().next();
        let trim = self.rest.next(&self.shared);
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
        self.scheduler.remote.heart().fall_asleep();
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
        self.shared.leaving.give_back(0);
        // For ever, as far as a watchdog is concerned.
        self.scheduler.remote.heart().fall_asleep();
        let _current = Current::enter(&self.scheduler);
        while self.scheduler.pop().is_some() {}
    }
}

/// Has the turn in which it is dropped come back at once.
struct RouseOnDrop(Handle);

impl Drop for RouseOnDrop {
    fn drop(&mut self) {
        self.0.stay_awake();
    }
}
