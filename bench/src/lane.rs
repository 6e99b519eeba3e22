//! A lane's thread: opens the lane and its share of the connections, gives the signals to start and
//! to stop, wakes what is due to the microsecond, and hands its counts back.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use corelane::net::SocketOptions;
use corelane::poller::BackEnd;
use corelane::runtime::{Handle, Lane, LaneOptions, Latch, Remote};
use corelane::sys::{self, Time};

use crate::churn::churn;
use crate::fault::Fault;
use crate::machine::{Spent, ThreadClock};
use crate::opening::open_connections;
use crate::orders::{Orders, Window};
use crate::pacer::Pacer;
use crate::plan::{Load, Work};
use crate::tally::{Interval, Tally};
use crate::wake::Wake;

/// How long a handshake may take.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What a lane is to do.
#[derive(Debug)]
pub(crate) struct LanePlan {
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
    /// Its connections, by their numbers.
    pub(crate) connections: Range<u32>,
    pub(crate) load: Load,
    pub(crate) orders: Arc<Orders>,
}

/// What a lane says when it has tried all of its connections.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Connections that are open, or would be made.
    pub(crate) opened: u32,
    pub(crate) back_end: BackEnd,
}

/// What a lane says as soon as it is there.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) remote: Remote,
    pub(crate) clock: ThreadClock,
    /// Nanoseconds that the lane has spent awake for want of anything to do.
    pub(crate) spun: Arc<AtomicU64>,
}

/// What a lane says on its way.
#[derive(Debug)]
pub(crate) enum Said {
    Here(Here),
    Ready(Ready),
    Row(Box<Interval>),
}

/// What a lane leaves behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) tally: Tally,
    pub(crate) usage: Option<Usage>,
    /// The last row of the series that it has answered for.
    pub(crate) rows: u32,
}

/// What a lane used in the measured time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Ready to run, and waiting for a processor.
    pub(crate) waited: Duration,
    /// What of the CPU time was spent awake for want of anything to do.
    pub(crate) spun: Duration,
}

/// What the connections of one lane share.
pub(crate) struct Shared {
    pub(crate) load: Load,
    pub(crate) go: Latch,
    pub(crate) stop: Latch,
    /// When the messages began to flow.
    pub(crate) started: Cell<Time>,
    pub(crate) window: Cell<Window>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) pacer: Pacer,
    pub(crate) options: SocketOptions,
    say: Box<dyn Fn(Said)>,
    rows: Cell<u32>,
}

/// Opens the connections, says so, makes the load, and gives what was counted.
pub(crate) fn run(mut plan: LanePlan, say: impl Fn(Said) + 'static) -> io::Result<Done> {
    let mut lane = open(&mut plan)?;
    let first = plan.connections.start;
    let shared = Rc::new(Shared::new(&plan, Box::new(say)));
    let handle = lane.handle();
    let mut meter = Meter::new();
    shared.say(Said::Here(Here {
        remote: handle.remote().clone(),
        clock: meter.clock.clone(),
        spun: Arc::clone(&meter.spun),
    }));
    start(&handle, &plan, &shared);
    turn(&mut lane, &plan.orders, &shared, &mut meter)?;
    let mut tally = shared.tally.replace(Tally::new());
    for _ in 0..handle.stats().panics.value() {
        tally.fault(Fault::panicked(first));
    }
    Ok(Done {
        tally,
        usage: meter.usage(sys::now()),
        rows: shared.rows.get(),
    })
}

fn open(plan: &mut LanePlan) -> io::Result<Lane> {
    match Lane::open(plan.options, sys::now()) {
        // The self-test passed, but one more ring was too many.
        Err(_) if plan.may_fall_back && plan.options.back_end == BackEnd::IoUring => {
            plan.options.back_end = BackEnd::Epoll;
            Lane::open(plan.options, sys::now())
        }
        result => result,
    }
}

fn start(handle: &Handle, plan: &LanePlan, shared: &Rc<Shared>) {
    let Work::Churn(close) = plan.load.work else {
        open_connections(handle, plan.connections.clone(), shared);
        return;
    };
    for worker in plan.connections.clone() {
        let numbers = Rc::new(Cell::new(worker));
        let shared = Rc::clone(shared);
        handle.spawn(
            &"churn",
            churn(handle.clone(), worker, numbers, shared, close),
        );
    }
    shared.say(Said::Ready(Ready {
        opened: u32::try_from(plan.connections.len()).unwrap_or(u32::MAX),
        back_end: handle.back_end(),
    }));
}

/// Turns the lane until all is done.
fn turn(lane: &mut Lane, orders: &Orders, shared: &Shared, meter: &mut Meter) -> io::Result<()> {
    let stats = Arc::clone(lane.handle().stats());
    let mut now = sys::now();
    let mut wake = Wake::new(now);
    while lane.tasks() > 0 || !shared.go.is_open() {
        if shared.pacer.next().is_some_and(|due| due <= now) {
            lane.enter(|| shared.pacer.fire(now));
        }
        let polls = stats.polls.value();
        let mut awake = false;
        // Asked when the tasks have run: they may have messages of their own to wait for.
        lane.turn_within(now, || {
            let limit = wake.limit(sys::now(), shared.pacer.next());
            awake = limit == Some(Duration::ZERO);
            limit
        })?;
        let before = std::mem::replace(&mut now, sys::now());
        let did = stats.polls.value() != polls;
        wake.learn(before, now, did, awake);
        meter.spun.store(nanos(wake.spun), Relaxed);
        shared.obey(orders, lane, now);
        meter.look(shared.window.get(), now);
    }
    Ok(())
}

/// Measures what the lane's thread uses in the measured time.
struct Meter {
    clock: ThreadClock,
    spun: Arc<AtomicU64>,
    start: Option<Reading>,
    end: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    now: Time,
    spent: Option<Spent>,
    spun: u64,
}

impl Meter {
    fn new() -> Self {
        Self {
            clock: ThreadClock::own(),
            spun: Arc::default(),
            start: None,
            end: None,
        }
    }

    fn look(&mut self, window: Window, now: Time) {
        if self.start.is_none() && now >= window.start {
            self.start = Some(self.read(now));
        }
        if self.end.is_none() && now >= window.end && self.start.is_some() {
            self.end = Some(self.read(now));
        }
    }

    fn read(&self, now: Time) -> Reading {
        Reading {
            now,
            spent: self.clock.spent(),
            spun: self.spun.load(Relaxed),
        }
    }

    fn usage(&self, now: Time) -> Option<Usage> {
        let (start, end) = (self.start?, self.end.unwrap_or_else(|| self.read(now)));
        let (spent, before) = (end.spent?, start.spent?);
        Some(Usage {
            wall: end.now.since(start.now),
            cpu: spent.cpu.saturating_sub(before.cpu),
            waited: spent.waited.saturating_sub(before.waited),
            spun: Duration::from_nanos(end.spun - start.spun),
        })
    }
}

impl Shared {
    fn new(plan: &LanePlan, say: Box<dyn Fn(Said)>) -> Self {
        Self {
            load: plan.load.clone(),
            go: Latch::default(),
            stop: Latch::default(),
            started: Cell::new(Time::ZERO),
            window: Cell::new(Window::NONE),
            tally: RefCell::new(Tally::new()),
            pacer: Pacer::default(),
            // Without probes: the load itself shows whether the server is there.
            options: SocketOptions {
                keepalive: None,
                congestion: plan.load.congestion.clone(),
                ..SocketOptions::default()
            },
            say,
            rows: Cell::new(0),
        }
    }

    pub(crate) fn say(&self, said: Said) {
        (self.say)(said);
    }

    /// Passes on what the main thread says.
    fn obey(&self, orders: &Orders, lane: &Lane, now: Time) {
        let rows = orders.rows();
        if rows != self.rows.replace(rows) {
            let interval = self.tally.borrow_mut().take_interval();
            self.say(Said::Row(Box::new(interval)));
        }
        let stopped = orders.stopped();
        if let Some(go) = orders.gone()
            && !self.go.is_open()
        {
            let end = stopped.map_or(go.window.end, |now| now.min(go.window.end));
            self.started.set(go.at);
            self.window.set(Window { end, ..go.window });
            lane.enter(|| self.go.open());
        }
        if let Some(stopped) = stopped
            && !self.stop.is_open()
        {
            let window = self.window.get();
            let end = window.end.min(stopped.min(now));
            self.window.set(Window { end, ..window });
            lane.enter(|| self.stop.open());
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
