//! The server of a configuration: lanes, started and stopped as by `server`.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::violation::Violation;
use crate::buf::Pool;
use crate::config::Config;
use crate::proxy::{Handoff, SessionLimit};
use crate::runtime::{Handle, LaneOptions, TICK, Time};
use crate::server::{
    Bound, Changeable, Command, InService, LanePlan, LaneSenders, Reply, Serving, open,
};
use crate::stats::LaneStats;
use crate::sys::sim::{Mark, Random, with};

/// The lanes of a configuration.
pub(super) struct Generation {
    pub(super) lanes: Vec<LaneState>,
    service: InService,
    handoff: Arc<Handoff>,
    pub(super) is_stopping: bool,
}

/// A lane, and its state visible from outside.
pub(super) struct LaneState {
    /// `None` once the lane has ended. Boxed, so that a failing world can leave the lane undropped:
    /// a destructor in the middle of a failure proves nothing.
    pub(super) serving: Option<Box<Serving>>,
    pub(super) poller: u32,
    pub(super) pool: Pool,
    pub(super) stats: Arc<LaneStats>,
    senders: LaneSenders,
    probes: Rc<Probes>,
}

/// Checks a lane's timers from inside the lane.
#[derive(Default)]
struct Probes {
    /// The time of the previous turn.
    before: Cell<Time>,
    broken: Cell<Option<(Time, Time)>>,
}

impl Generation {
    /// Binds the listeners, opens the lanes and starts accepting.
    pub(super) fn start(plan: &Plan, number: usize) -> io::Result<Self> {
        let text = plan.configuration(number);
        let config = Config::parse(&text, "simulated").map_err(io::Error::other)?;
        let start = |(index, &options): (usize, &LaneOptions)| {
            LaneState::start(&LanePlan {
                index,
                cpu: None,
                options,
                may_fall_back: false,
            })
        };
        let lanes = plan.lanes.iter().enumerate().map(start);
        let lanes: Vec<LaneState> = lanes.collect::<io::Result<_>>()?;
        let mailboxes = lanes.iter().map(|lane| lane.senders.handed.clone());
        let mut started = Self {
            service: InService::new(lanes.len()),
            handoff: Handoff::over(mailboxes.collect()),
            lanes,
            is_stopping: false,
        };
        started.configure(&config, plan.max_sessions)?;
        Ok(started)
    }

    /// Puts a configuration into service.
    fn configure(&mut self, config: &Config, max_sessions: usize) -> io::Result<()> {
        let changeable = Changeable::new(config, max_sessions, Bound::Configured);
        let prepared = self.service.bind(changeable, Time::ZERO, &mut |_| Ok(()));
        let prepared = prepared.map_err(io::Error::other)?;
        prepared.listen().map_err(io::Error::other)?;
        let switches = self.service.apply(prepared, &self.handoff);
        for (lane, switch) in self.lanes.iter().zip(switches) {
            let switch = Command::Switch(switch, Reply::to(drop));
            lane.senders.commands.send(switch);
        }
        Ok(())
    }

    /// Stops accepting; the generation ends with its last session.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.command(|| Command::Drain);
    }

    /// Resets the remaining sessions.
    pub(super) fn abort(&mut self) {
        self.command(|| Command::Abort);
    }

    fn command(&self, command: impl Fn() -> Command) {
        for lane in &self.lanes {
            lane.senders.commands.send(command());
        }
    }

    /// Sessions that count for an endpoint.
    pub(super) fn leases(&self) -> usize {
        let upstreams = self.service.generation().upstreams();
        upstreams
            .flat_map(|upstream| upstream.live_sessions())
            .sum()
    }

    /// The limit on sessions.
    pub(super) fn limit(&self) -> &Arc<SessionLimit> {
        self.service.limit()
    }

    pub(super) fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.serving.is_none())
    }
}

impl LaneState {
    fn start(plan: &LanePlan) -> io::Result<Self> {
        let lane = open(plan)?.lane;
        let poller = with(|kernel| kernel.pollers()) - 1;
        let handle = lane.handle();
        let (pool, stats) = (handle.pool().clone(), Arc::clone(handle.stats()));
        let probes = Rc::new(Probes::default());
        let seed = plan.options.seed;
        handle.spawn(&"probe", probe(handle.clone(), Rc::clone(&probes), seed));
        let (serving, senders) = Serving::new(lane, plan.index);
        Ok(Self {
            serving: Some(Box::new(serving)),
            poller,
            pool,
            stats,
            senders,
            probes,
        })
    }

    /// Turns the lane; the last turn returns the number of reset sessions.
    pub(super) fn turn(&mut self, now: Time) -> Result<Option<usize>, Violation> {
        let Some(serving) = &mut self.serving else {
            return Ok(None);
        };
        let over = serving
            .turn(now)
            .map_err(|error| Violation::new("I7", format!("a poller broke: {error}")))?;
        self.probes.before.set(now);
        let (listed, counted) = (serving.sessions() as u64, self.stats.sessions());
        if listed != counted {
            let what = format!("{listed} sessions in the table and {counted} counted");
            return Err(Violation::new("I6", what));
        }
        if let Some((due, fired)) = self.probes.broken.get() {
            let what = format!("a timer of {due:?} fired at {fired:?}");
            return Err(Violation::new("I11", what));
        }
        if over.is_some() {
            self.serving = None;
        }
        Ok(over)
    }
}

/// Sleeps a few times. Each sleep must end in the first turn after its tick.
async fn probe(lane: Handle, probes: Rc<Probes>, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..8 {
        let micros = match random.below(3) {
            0 => random.between(1, 3_000),
            1 => random.between(1, 300_000),
            _ => random.between(1, 20_000_000),
        };
        let due = lane.now() + Duration::from_micros(micros as u64);
        lane.sleep_until(due).await;
        let (now, before) = (lane.now(), probes.before.get());
        // The timer fires in the first turn of a later tick.
        if now < due || before >= due + TICK {
            probes.broken.set(Some((due, now)));
        }
        with(|kernel| kernel.pass(Mark::TimerFired));
    }
}
