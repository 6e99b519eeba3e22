//! The main thread of a load: starts the lanes, gives the signals, looks at the server's process at
//! the right moments, and collects the tallies.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use corelane::poller::BackEnd;
use corelane::runtime::Remote;
use corelane::sys::{self, Time};

use crate::lane::{self, LanePlan, Orders, Ready, Window};
use crate::plan::{Length, Plan};
use crate::server_process::Cost;
use crate::signals;
use crate::tally::Tally;

/// Longer than any load: some 292 years, so that sums stay in range.
const FOR_EVER: Duration = Duration::from_nanos(u64::MAX / 2);

/// Why there are no results.
#[derive(Debug)]
pub(crate) enum RunError {
    /// Threads or signals cannot be had.
    System(io::Error),
    /// A lane cannot be opened, or its poller broke.
    Lane(io::Error),
    /// A second signal.
    Cut,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "cannot start: {error}"),
            Self::Lane(error) => write!(f, "a lane failed: {error}"),
            Self::Cut => f.write_str("stopped at once by a second signal: no results"),
        }
    }
}

/// What happened.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) tally: Tally,
    /// Which pollers the lanes had.
    pub(crate) back_ends: Vec<BackEnd>,
    /// How long was measured.
    pub(crate) elapsed: Duration,
    pub(crate) interrupted: bool,
    pub(crate) costs: Option<Costs>,
}

/// What the server's process had cost at each mark; `None` where it could not be read any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Before the first connection.
    pub(crate) before: Cost,
    /// When all connections were open.
    pub(crate) opened: Option<Cost>,
    /// When the measured time began.
    pub(crate) start: Option<Cost>,
    /// When it ended.
    pub(crate) end: Option<Cost>,
}

enum Event {
    Ready(Ready),
    Ended(Result<Box<Tally>, RunError>),
    Signal,
}

/// Makes the load that is planned.
pub(crate) fn run(plan: &Plan) -> Result<Results, RunError> {
    let (sender, events) = channel();
    signals::forward(sender.clone(), || Event::Signal).map_err(RunError::System)?;
    let orders = Arc::new(Orders::new());
    for lane in 0..plan.lanes {
        start(lane_plan(plan, lane, &orders), sender.clone()).map_err(RunError::System)?;
    }
    let mut load = Running {
        plan,
        events,
        orders,
        remotes: Vec::new(),
        back_ends: Vec::new(),
        opened: 0,
        ended: 0,
        tally: Tally::new(),
        interrupted: None,
    };
    load.connect()?;
    let opened = load.cost();
    if let Some(hold) = plan.hold.filter(|_| load.opened > 0) {
        load.wait_until(sys::now() + hold)?;
    }
    let (start, end, window) = load.exchange()?;
    let elapsed = load.finish(window)?;
    let costs = plan.server.map(|(_, before)| Costs {
        before,
        opened,
        start,
        end,
    });
    Ok(Results {
        tally: load.tally,
        back_ends: load.back_ends,
        elapsed,
        interrupted: load.interrupted.is_some(),
        costs,
    })
}

/// An equal share of the connections.
fn lane_plan(plan: &Plan, lane: u32, orders: &Arc<Orders>) -> LanePlan {
    let bound = |lane: u32| {
        let connections = u64::from(plan.load.connections) * u64::from(lane);
        u32::try_from(connections / u64::from(plan.lanes)).expect("a part of 32 bits")
    };
    LanePlan {
        options: plan.options,
        may_fall_back: plan.may_fall_back,
        address: plan.address,
        connections: bound(lane)..bound(lane + 1),
        load: plan.load,
        orders: Arc::clone(orders),
    }
}

/// Starts a lane on a thread of its own.
fn start(plan: LanePlan, to: Sender<Event>) -> io::Result<()> {
    let first = plan.connections.start;
    thread::Builder::new()
        .name(format!("lane-of-{first}"))
        .spawn(move || {
            let ready = to.clone();
            let run = || {
                lane::run(plan, move |lane| {
                    // The main thread waits for this until every lane has ended.
                    drop(ready.send(Event::Ready(lane)));
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

/// The lanes, seen from the main thread.
struct Running<'a> {
    plan: &'a Plan,
    events: Receiver<Event>,
    orders: Arc<Orders>,
    remotes: Vec<Remote>,
    back_ends: Vec<BackEnd>,
    /// Connections that are open.
    opened: u32,
    /// Lanes that have ended.
    ended: u32,
    tally: Tally,
    /// When the first signal came.
    interrupted: Option<Time>,
}

impl Running<'_> {
    /// Until every lane has tried its connections.
    fn connect(&mut self) -> Result<(), RunError> {
        while self.back_ends.len() < self.plan.lanes as usize {
            self.next(None)?;
            if let Some(now) = self.interrupted {
                self.stop(now);
            }
        }
        Ok(())
    }

    /// Lets the messages flow and stops them. Gives the server's cost at both ends.
    fn exchange(&mut self) -> Result<(Option<Cost>, Option<Cost>, Window), RunError> {
        let now = sys::now();
        let length = match self.plan.load.length {
            Length::For(duration) => duration,
            Length::Count(_) => FOR_EVER,
        };
        let start = now + self.plan.warmup;
        let window = Window {
            start,
            end: start + length,
        };
        if self.opened == 0 {
            self.stop(now);
        }
        self.orders.go(window);
        self.wake();
        self.wait_until(window.start)?;
        let at_start = self.cost();
        self.wait_until(window.end)?;
        let at_end = self.cost();
        let now = self.interrupted.unwrap_or_else(sys::now);
        self.stop(now);
        let end = window.end.min(now);
        Ok((at_start, at_end, Window { end, ..window }))
    }

    /// Until every lane has closed its connections. Says how long was measured.
    fn finish(&mut self, window: Window) -> Result<Duration, RunError> {
        let ended_by_itself = self.all_ended();
        while !self.all_ended() {
            self.next(None)?;
        }
        let by_count = matches!(self.plan.load.length, Length::Count(_));
        // All that was to be sent was sent, or nobody was left to send it.
        let end = match ended_by_itself || by_count && self.interrupted.is_none() {
            true => self.tally.last,
            false => window.end,
        };
        Ok(end.since(window.start))
    }

    /// Until then, or a signal, or until all lanes have ended.
    fn wait_until(&mut self, then: Time) -> Result<(), RunError> {
        while self.interrupted.is_none() && !self.all_ended() {
            if !self.next(Some(then))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes one event; false when `until` has come first.
    fn next(&mut self, until: Option<Time>) -> Result<bool, RunError> {
        let event = match until {
            None => self
                .events
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => self.events.recv_timeout(until.since(sys::now())),
        };
        match event {
            Ok(Event::Ready(lane)) => {
                self.opened += lane.opened;
                self.back_ends.push(lane.back_end);
                self.remotes.push(lane.remote);
            }
            Ok(Event::Ended(result)) => {
                self.tally.add(*result?);
                self.ended += 1;
            }
            Ok(Event::Signal) if self.interrupted.is_some() => return Err(RunError::Cut),
            Ok(Event::Signal) => self.interrupted = Some(sys::now()),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(RunError::System(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Ok(true)
    }

    fn stop(&self, now: Time) {
        self.orders.stop(now);
        self.wake();
    }

    fn wake(&self) {
        for remote in &self.remotes {
            remote.call(|_| {});
        }
    }

    fn all_ended(&self) -> bool {
        self.ended == self.plan.lanes
    }

    /// What the server's process has cost so far.
    fn cost(&self) -> Option<Cost> {
        self.plan.server.and_then(|(server, _)| server.cost().ok())
    }
}
