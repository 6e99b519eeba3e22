//! The server of a configuration: lanes, started and stopped as by `server`.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::violation::Violation;
use crate::buf::Pool;
use crate::config::{Bind, Config};
use crate::net::Listener;
use crate::proxy::{Handoff, KnownUpstreams, SessionLimit};
use crate::runtime::{Handle, TICK, Time};
use crate::server::{
    self, Bound, Changeable, Command, FIRST, LaneListener, LanePlan, LaneSenders, Serving, open,
};
use crate::stats::LaneStats;
use crate::sys::sim::{Mark, Random, with};

/// The lanes of a configuration.
pub(super) struct Generation {
    pub(super) lanes: Vec<LaneState>,
    pub(super) limit: Arc<SessionLimit>,
    served: Arc<server::Generation>,
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
        let changeable = Changeable::new(&config, plan.max_sessions, Bound::Configured);
        let limit = SessionLimit::new(plan.max_sessions);
        let generation = server::Generation::new(
            FIRST,
            &changeable,
            &limit,
            &Arc::default(),
            &mut KnownUpstreams::default(),
        );
        let (mut lanes, mut sockets) = (Vec::new(), Vec::new());
        for (index, &options) in plan.lanes.iter().enumerate() {
            let mut of_lane = Vec::new();
            for (index, listener) in changeable.listeners.iter().enumerate() {
                for address in listener.bind.iter().filter_map(Bind::tcp) {
                    let socket = Listener::bind(address, &listener.socket)?;
                    Listener::listen(&socket, listener.backlog)?;
                    of_lane.push(LaneListener::tcp(index, socket));
                }
            }
            sockets.push(of_lane);
            let lane = LanePlan {
                index,
                cpu: None,
                options,
                may_fall_back: false,
            };
            lanes.push(LaneState::start(&lane, &generation)?);
        }
        let handoff = (lanes.len() > 1).then(|| {
            let mail = lanes
                .iter()
                .map(|lane: &LaneState| lane.senders.handed.clone());
            let accepting = sockets.iter().map(Vec::len).sum();
            Handoff::over(mail.collect(), accepting)
        });
        for (lane, sockets) in lanes.iter().zip(sockets) {
            lane.senders.commands.send(Command::Listen {
                generation: FIRST,
                sockets,
                handoff: handoff.clone(),
            });
        }
        Ok(Self {
            lanes,
            limit,
            served: generation,
            is_stopping: false,
        })
    }

    /// Stops accepting; the generation ends with its last session.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.command(|| Command::Stop(self.served.listener_ids()));
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
        let upstreams = self.served.upstreams();
        upstreams
            .flat_map(|upstream| upstream.live_sessions())
            .sum()
    }

    pub(super) fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.serving.is_none())
    }
}

impl LaneState {
    fn start(plan: &LanePlan, generation: &Arc<server::Generation>) -> io::Result<Self> {
        let lane = open(plan)?.lane;
        let poller = with(|kernel| kernel.pollers()) - 1;
        let handle = lane.handle();
        let (pool, stats) = (handle.pool().clone(), Arc::clone(handle.stats()));
        let probes = Rc::new(Probes::default());
        let seed = plan.options.seed;
        handle.spawn(&"probe", probe(handle.clone(), Rc::clone(&probes), seed));
        let (mut serving, senders) = Serving::new(lane, plan.index);
        serving.prepare(generation);
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
