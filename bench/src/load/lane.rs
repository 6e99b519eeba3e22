//! A lane's thread: opens the lane and its share of the connections, passes the start and stop
//! signals on, wakes due connections within microseconds, and returns the counts.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use corelane::poller::BackEnd;
use corelane::runtime::{Handle, Lane, LaneOptions};
use corelane::sys::{self, Time};

use super::churn::churn;
use super::connecting::open_connections;
use super::control::{LaneControl, Window};
use super::idle_policy::IdlePolicy;
use super::lane_context::LaneContext;
use super::lane_event::{Connected, LaneEvent, Started};
use super::recorder::Recorder;
use super::work::{Load, Work};
use crate::outcome::ConnectionError;
use crate::procfs::thread_clock::{Spent, ThreadClock};

/// The options of one lane, and its share of the load.
#[derive(Debug)]
pub(crate) struct LanePlan {
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
    /// The numbers of the lane's connections.
    pub(crate) connections: Range<u32>,
    pub(crate) load: Load,
    pub(crate) control: Arc<LaneControl>,
}

/// The results of a lane.
#[derive(Debug)]
pub(crate) struct LaneResult {
    pub(crate) recorder: Recorder,
    pub(crate) usage: Option<Usage>,
    /// The last row of the series that the lane answered.
    pub(crate) rows: u32,
}

/// CPU use of a lane in the measured time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Time ready to run, but without a CPU.
    pub(crate) waited: Duration,
    /// CPU time spent spinning.
    pub(crate) spun: Duration,
}

/// Opens the connections, runs the load and returns the counts.
pub(crate) fn run(
    mut plan: LanePlan,
    report: impl Fn(LaneEvent) + 'static,
) -> io::Result<LaneResult> {
    let mut lane = open(&mut plan)?;
    let first = plan.connections.start;
    let shared = Rc::new(LaneContext::new(plan.load.clone(), Box::new(report)));
    let handle = lane.handle();
    let mut meter = Meter::new();
    shared.report(LaneEvent::Started(Started {
        remote: handle.remote().clone(),
        clock: meter.clock.clone(),
        spun: Arc::clone(&meter.spun),
    }));
    start(&handle, &plan, &shared);
    turn(&mut lane, &plan.control, &shared, &mut meter)?;
    let mut recorder = shared.recorder.replace(Recorder::new());
    for _ in 0..handle.stats().panics.value() {
        recorder.error(ConnectionError::panicked(first));
    }
    Ok(LaneResult {
        recorder,
        usage: meter.usage(sys::now()),
        rows: shared.rows(),
    })
}

fn open(plan: &mut LanePlan) -> io::Result<Lane> {
    match Lane::open(plan.options, sys::now()) {
        // The self-test passed, but this ring exceeded a limit.
        Err(_) if plan.may_fall_back && plan.options.back_end == BackEnd::IoUring => {
            plan.options.back_end = BackEnd::Epoll;
            Lane::open(plan.options, sys::now())
        }
        result => result,
    }
}

fn start(handle: &Handle, plan: &LanePlan, shared: &Rc<LaneContext>) {
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
    shared.report(LaneEvent::Connected(Connected {
        opened: u32::try_from(plan.connections.len()).unwrap_or(u32::MAX),
        back_end: handle.back_end(),
    }));
}

/// Runs turns until all tasks have ended.
fn turn(
    lane: &mut Lane,
    control: &LaneControl,
    shared: &LaneContext,
    meter: &mut Meter,
) -> io::Result<()> {
    let stats = Arc::clone(lane.handle().stats());
    let mut now = sys::now();
    let mut idle = IdlePolicy::new(now);
    while lane.tasks() > 0 || !shared.go.is_open() {
        if shared.pacer.next().is_some_and(|due| due <= now) {
            lane.enter(|| shared.pacer.fire(now));
        }
        let polls = stats.polls.value();
        let mut awake = false;
        // After the tasks, which may have registered later due times.
        lane.turn_within(now, || {
            let limit = idle.limit(sys::now(), shared.pacer.next());
            awake = limit == Some(Duration::ZERO);
            limit
        })?;
        let before = std::mem::replace(&mut now, sys::now());
        let did = stats.polls.value() != polls;
        idle.learn(before, now, did, awake);
        meter.spun.store(nanos(idle.spun), Relaxed);
        shared.apply(control, lane, now);
        meter.look(shared.window.get(), now);
    }
    Ok(())
}

/// Measures the CPU use of the lane's thread in the measured time.
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

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
