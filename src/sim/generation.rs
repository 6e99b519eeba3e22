//! The server of one configuration: its lanes, started and stopped as by `server`.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::plan::Plan;
use super::violation::Violation;
use crate::buf::Pool;
use crate::config::Config;
use crate::net::Listener;
use crate::proxy::{Handoff, SessionLimit};
use crate::runtime::{Handle, Remote, TICK, Time};
use crate::server::{LanePlan, Orders, Serving, Shared, open, socket};
use crate::stats::LaneStats;
use crate::sys::OsSocket;
use crate::sys::sim::{Mark, Random, with};

/// The lanes of one configuration.
pub(super) struct Generation {
    pub(super) lanes: Vec<LaneState>,
    pub(super) limit: Arc<SessionLimit>,
    shared: Arc<Shared>,
    orders: Arc<Orders>,
    pub(super) is_stopping: bool,
}

/// One lane, and its state visible from outside.
pub(super) struct LaneState {
    /// `None` once the lane has ended. Boxed, so that a failing world can leave the lane undropped:
    /// a destructor in the middle of a failure proves nothing.
    pub(super) serving: Option<Box<Serving>>,
    pub(super) poller: u32,
    pub(super) pool: Pool,
    pub(super) stats: Arc<LaneStats>,
    remote: Remote,
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
        let config = Arc::new(config);
        let limit = SessionLimit::new(plan.max_sessions);
        let (shared, orders) = (Shared::new(&config), Arc::new(Orders::default()));
        let handoff = Arc::new(OnceLock::new());
        let mut lanes = Vec::new();
        for (index, &options) in plan.lanes.iter().enumerate() {
            let mut listeners = Vec::new();
            for (place, listener) in config.listeners.iter().enumerate() {
                let (backlog, options) = (listener.backlog, socket(&listener.socket));
                for &address in &listener.bind {
                    let socket = Listener::bind(address, &options)?;
                    Listener::listen(&socket, backlog)?;
                    listeners.push((place, socket));
                }
            }
            let lane = LanePlan {
                index,
                cpu: None,
                options,
                may_fall_back: false,
                config: Arc::clone(&config),
                limit: Arc::clone(&limit),
                shared: Arc::clone(&shared),
                orders: Arc::clone(&orders),
                handoff: Arc::clone(&handoff),
            };
            lanes.push(LaneState::start(lane, listeners)?);
        }
        if lanes.len() > 1 {
            let remotes = lanes.iter().map(|lane: &LaneState| lane.remote.clone());
            let accepting = config.listeners.len() * lanes.len();
            handoff.get_or_init(|| Handoff::over(remotes.collect(), accepting, true));
        }
        Ok(Self {
            lanes,
            limit,
            shared,
            orders,
            is_stopping: false,
        })
    }

    /// Stops accepting; the generation ends with its last session.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.orders.stop();
        self.wake();
    }

    /// Resets the remaining sessions.
    pub(super) fn abort(&mut self) {
        self.orders.abort();
        self.wake();
    }

    fn wake(&self) {
        for lane in &self.lanes {
            lane.remote.call(|_| {});
        }
    }

    /// Sessions that count for an endpoint.
    pub(super) fn leases(&self) -> usize {
        let upstreams = self.shared.upstreams.iter();
        upstreams
            .flat_map(|upstream| upstream.live_sessions())
            .sum()
    }

    pub(super) fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.serving.is_none())
    }
}

impl LaneState {
    fn start(plan: LanePlan, listeners: Vec<(usize, OsSocket)>) -> io::Result<Self> {
        let lane = open(&plan)?.lane;
        let poller = with(|kernel| kernel.pollers()) - 1;
        let handle = lane.handle();
        let (pool, stats) = (handle.pool().clone(), Arc::clone(handle.stats()));
        let remote = handle.remote().clone();
        let probes = Rc::new(Probes::default());
        let seed = plan.options.seed;
        handle.spawn(&"probe", probe(handle.clone(), Rc::clone(&probes), seed));
        let mut serving = Serving::new(lane, plan);
        serving.listen(listeners)?;
        Ok(Self {
            serving: Some(Box::new(serving)),
            poller,
            pool,
            stats,
            remote,
            probes,
        })
    }

    /// One turn; the last turn returns the number of sessions that were reset.
    pub(super) fn turn(&mut self, now: Time) -> Result<Option<usize>, Violation> {
        let Some(serving) = &mut self.serving else {
            return Ok(None);
        };
        let over = serving
            .turn(now)
            .map_err(|error| Violation::new("I7", format!("a poller broke: {error}")))?;
        self.probes.before.set(now);
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

/// Sleeps a few times. Each sleep must end in the first turn after its tick, not earlier.
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
