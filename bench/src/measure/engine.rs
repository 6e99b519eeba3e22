//! The main thread of a load: starts the lanes, sends the signals, reads the server's resource use,
//! samples the load once a second, and collects the counts.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use corelane::poller::BackEnd;
use corelane::sys::{self, Time};

use super::progress::{Observer, Phase};
use super::sampler::Sampler;
use super::signals;
use crate::load::control::{LaneControl, Start, Window};
use crate::load::lane::{self, LanePlan, LaneResult, Usage};
use crate::load::lane_event::{LaneEvent, Started};
use crate::load::recorder::Recorder;
use crate::load::work::Length;
use crate::outcome;
use crate::plan::build::Plan;
use crate::procfs::server_process::{Cost, ServerProcess};
use crate::procfs::system_counters::SystemCounters;
use crate::scrape;

/// Longer than any load, but sums stay within 64 bits: 292 years.
const FOR_EVER: Duration = Duration::from_nanos(u64::MAX / 2);
/// The length of a row of the series.
const ROW: Duration = Duration::from_secs(1);

/// Why a load has no results.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A thread or the signal handler could not be created.
    System(io::Error),
    /// A lane could not be opened, or its poller failed.
    Lane(io::Error),
    /// The page of `--metrics` cannot be read.
    Metrics(String),
    /// A second signal arrived.
    Cut,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "cannot start: {error}"),
            Self::Lane(error) => write!(f, "a lane failed: {error}"),
            Self::Metrics(why) => write!(f, "--metrics: {why}"),
            Self::Cut => f.write_str("stopped at once by a second signal: no results"),
        }
    }
}

/// The results of a load.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) recorder: Recorder,
    /// The pollers of the lanes.
    pub(crate) back_ends: Vec<BackEnd>,
    /// The length of the measured time.
    pub(crate) elapsed: Duration,
    pub(crate) interrupted: bool,
    pub(crate) costs: Option<Costs>,
    pub(crate) series: Vec<outcome::Second>,
    /// One entry for each measured lane.
    pub(crate) usage: Vec<Usage>,
    pub(crate) system: outcome::System,
    /// What the server counted; why it could not be read.
    pub(crate) server_metrics: Option<Result<outcome::ServerMetrics, String>>,
}

/// The server's resource use at four times; `None` after a failed read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Before the first connection.
    pub(crate) before: Cost,
    /// After the last connect.
    pub(crate) opened: Option<Cost>,
    /// At the start of the measured time.
    pub(crate) start: Option<Cost>,
    /// At the end of the measured time.
    pub(crate) end: Option<Cost>,
}

enum Event {
    Lane(LaneEvent),
    Ended(Result<Box<LaneResult>, RunError>),
    Signal,
}

/// Runs loads, one after another. One engine a process, since the signal handler is global.
#[derive(Debug)]
pub(crate) struct Engine {
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// The time of the first signal.
    interrupted: Option<Time>,
    observers: Vec<Box<dyn Observer>>,
}

impl Engine {
    /// Installs the signal handler.
    pub(crate) fn new(observers: Vec<Box<dyn Observer>>) -> Result<Self, RunError> {
        let (sender, events) = channel();
        signals::forward(sender.clone(), || Event::Signal).map_err(RunError::System)?;
        Ok(Self {
            sender,
            events,
            interrupted: None,
            observers,
        })
    }

    /// Whether a signal has arrived.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.is_some()
    }

    /// Runs a planned load. `part` names a sweep's step or a duel's slice.
    pub(crate) fn run(&mut self, plan: &Plan, part: Option<String>) -> Result<Results, RunError> {
        let first = plan.metrics.as_ref().map(scrape::read).transpose();
        let first = first.map_err(RunError::Metrics)?;
        let machine = SystemCounters::now();
        let mut server = plan.target.pid.map(ServerProcess::new);
        let before = server.as_mut().and_then(|server| server.cost().ok());
        let control = Arc::new(LaneControl::new());
        for lane in 0..plan.lanes {
            let lane = lane_plan(plan, lane, &control);
            start(lane, self.sender.clone()).map_err(RunError::System)?;
        }
        let mut load = Running {
            plan,
            sampler: Sampler::new(plan, part, sys::now()),
            engine: self,
            control,
            server,
            lanes: Vec::new(),
            back_ends: Vec::new(),
            opened: 0,
            ended: 0,
            recorder: Recorder::new(),
            usage: Vec::new(),
            next_row: sys::now() + ROW,
        };
        load.connect()?;
        let opened = load.cost();
        if let Some(hold) = plan.hold.filter(|_| load.opened > 0) {
            load.sampler.enter(Phase::Holding);
            load.wait_until(sys::now() + hold)?;
        }
        let (start, end, window) = load.exchange()?;
        let elapsed = load.finish(window)?;
        Ok(Results {
            series: load
                .sampler
                .finish(window.start, &mut load.engine.observers),
            back_ends: load.back_ends,
            elapsed,
            interrupted: load.engine.is_interrupted(),
            costs: before.map(|before| Costs {
                before,
                opened,
                start,
                end,
            }),
            recorder: load.recorder,
            usage: load.usage,
            system: SystemCounters::now().since(&machine),
            server_metrics: plan.metrics.as_ref().zip(first).map(|(url, first)| {
                let last = scrape::read(url)?;
                Ok(scrape::difference(&url.text, &first, &last))
            }),
        })
    }
}

/// A lane's equal share of the connections.
fn lane_plan(plan: &Plan, lane: u32, control: &Arc<LaneControl>) -> LanePlan {
    let bound = |lane: u32| {
        let connections = u64::from(plan.load.connections) * u64::from(lane);
        u32::try_from(connections / u64::from(plan.lanes)).expect("a part of 32 bits")
    };
    LanePlan {
        options: plan.options,
        may_fall_back: plan.may_fall_back,
        connections: bound(lane)..bound(lane + 1),
        load: plan.load.clone(),
        control: Arc::clone(control),
    }
}

/// Starts a lane's thread.
fn start(plan: LanePlan, to: Sender<Event>) -> io::Result<()> {
    let first = plan.connections.start;
    thread::Builder::new()
        .name(format!("lane-of-{first}"))
        .spawn(move || {
            let events = to.clone();
            let run = || {
                lane::run(plan, move |event| {
                    // The receiver lives until every lane has ended.
                    drop(events.send(Event::Lane(event)));
                })
            };
            let result = match panic::catch_unwind(AssertUnwindSafe(run)) {
                Ok(result) => result,
                Err(_) => Err(io::Error::other("it panicked")),
            };
            let result = result.map(Box::new).map_err(RunError::Lane);
            drop(to.send(Event::Ended(result)));
        })?;
    Ok(())
}

/// A running load.
struct Running<'a> {
    plan: &'a Plan,
    engine: &'a mut Engine,
    control: Arc<LaneControl>,
    server: Option<ServerProcess>,
    lanes: Vec<Started>,
    back_ends: Vec<BackEnd>,
    /// Open connections.
    opened: u32,
    /// Ended lanes.
    ended: u32,
    recorder: Recorder,
    usage: Vec<Usage>,
    sampler: Sampler,
    /// The end of the current row.
    next_row: Time,
}

impl Running<'_> {
    /// Waits until every lane has attempted its connections.
    fn connect(&mut self) -> Result<(), RunError> {
        while self.back_ends.len() < self.plan.lanes as usize {
            self.next(None)?;
            if let Some(now) = self.engine.interrupted {
                self.stop(now);
            }
        }
        Ok(())
    }

    /// Starts the messages and stops them. Returns the server's resource use at both ends.
    fn exchange(&mut self) -> Result<(Option<Cost>, Option<Cost>, Window), RunError> {
        let now = sys::now();
        let length = match self.plan.load.length {
            Length::For(duration) => duration,
            Length::Count(_) => FOR_EVER,
        };
        let start = now + self.plan.load.ramp + self.plan.warmup;
        let window = Window {
            start,
            end: start + length,
        };
        if self.opened == 0 {
            self.stop(now);
        }
        self.align_rows(now, start);
        self.sampler.enter(Phase::Warmup);
        self.control.go(Start { at: now, window });
        self.wake();
        self.wait_until(window.start)?;
        let at_start = self.cost();
        self.sampler.measuring(window);
        self.wait_until(window.end)?;
        let at_end = self.cost();
        let now = self.engine.interrupted.unwrap_or_else(sys::now);
        self.stop(now);
        self.sampler.enter(Phase::Finishing);
        let end = window.end.min(now);
        Ok((at_start, at_end, Window { end, ..window }))
    }

    /// Aligns the rows with the start of the measured time.
    fn align_rows(&mut self, now: Time, start: Time) {
        let ahead = u64::try_from(start.since(now).as_nanos() % ROW.as_nanos()).unwrap_or(0);
        self.next_row = match ahead {
            0 => now,
            nanos => now + Duration::from_nanos(nanos),
        };
    }

    /// Waits until every lane has closed its connections. Returns the length of the measured time.
    fn finish(&mut self, window: Window) -> Result<Duration, RunError> {
        let ended_by_itself = self.all_ended();
        while !self.all_ended() {
            self.next(None)?;
        }
        let by_count = matches!(self.plan.load.length, Length::Count(_));
        // All messages were sent, or all connections failed: the measured time ends with the last
        // reply.
        let end = match ended_by_itself || by_count && self.engine.interrupted.is_none() {
            true => self.recorder.last,
            false => window.end,
        };
        Ok(end.since(window.start))
    }

    /// Waits until `then`, a signal, or the end of all lanes.
    fn wait_until(&mut self, then: Time) -> Result<(), RunError> {
        while self.engine.interrupted.is_none() && !self.all_ended() {
            if !self.next(Some(then))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Handles one event or ends a row. Returns false once `until` has passed.
    fn next(&mut self, until: Option<Time>) -> Result<bool, RunError> {
        let now = sys::now();
        if now >= self.next_row {
            self.row(now);
        }
        let wait = until.map_or(self.next_row, |until| until.min(self.next_row));
        match self.engine.events.recv_timeout(wait.since(now)) {
            Ok(event) => self.on_event(event)?,
            Err(RecvTimeoutError::Timeout) => {
                let now = sys::now();
                return Ok(until.is_none_or(|until| now < until));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(RunError::System(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Ok(true)
    }

    fn on_event(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Lane(LaneEvent::Started(lane)) => self.lanes.push(lane),
            Event::Lane(LaneEvent::Connected(lane)) => {
                self.opened += lane.opened;
                self.back_ends.push(lane.back_end);
            }
            Event::Lane(LaneEvent::Row(interval)) => {
                self.sampler.add(&interval, &mut self.engine.observers);
            }
            Event::Ended(done) => {
                let done = *done?;
                let owes = done.rows != self.control.rows();
                let observers = &mut self.engine.observers;
                self.sampler.add_last(&done.recorder, owes, observers);
                self.recorder.add(done.recorder);
                self.usage.extend(done.usage);
                self.ended += 1;
            }
            Event::Signal if self.engine.interrupted.is_some() => return Err(RunError::Cut),
            Event::Signal => self.engine.interrupted = Some(sys::now()),
        }
        Ok(())
    }

    /// Ends a row: requests the counts of all lanes.
    fn row(&mut self, now: Time) {
        self.next_row = self.next_row + ROW;
        if self.next_row <= now {
            self.next_row = now + ROW;
        }
        // A lane that has not replied for a whole row is still in one long turn.
        if self.sampler.is_waiting() {
            return;
        }
        let alive = self.plan.lanes - self.ended;
        let server = self.cost();
        self.sampler.end_row(now, alive, &self.lanes, server);
        self.control.ask_for_row();
        self.wake();
    }

    fn stop(&self, now: Time) {
        self.control.stop(now);
        self.wake();
    }

    fn wake(&self) {
        for lane in &self.lanes {
            lane.remote.rouse();
        }
    }

    fn all_ended(&self) -> bool {
        self.ended == self.plan.lanes
    }

    /// The server's resource use so far.
    fn cost(&mut self) -> Option<Cost> {
        self.server.as_mut()?.cost().ok()
    }
}
