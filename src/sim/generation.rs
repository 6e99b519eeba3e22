//! The server of a configuration: lanes, started and stopped as by `server`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::outage::To;
use super::plan::Plan;
use super::version::Version;
use super::violation::Violation;
use crate::buf::Pool;
use crate::config::Config;
use crate::proxy::{Handoff, Service, SessionLimit, SharedListener, Upstream};
use crate::runtime::{Handle, LaneOptions, TICK, Time};
use crate::server::{
    Bound, Changeable, Command, InService, LanePlan, LaneSenders, Reply, Serving, open,
};
use crate::stats::{EndpointStats, LaneStats, ListenerStats, PerLane};
use crate::sys::sim::{Mark, Random, with};

/// Within most worlds.
const SLOW_START: Duration = Duration::from_secs(1);

/// The lanes of a configuration.
pub(super) struct Generation {
    pub(super) lanes: Vec<LaneState>,
    service: InService,
    handoff: Arc<Handoff>,
    /// The switches of a reload that are not sent yet, by lane.
    unsent: Vec<VecDeque<Command>>,
    /// Lanes that have not switched to the last configuration.
    unswitched: Arc<AtomicUsize>,
    /// The listeners of all configurations but the present.
    past: Vec<Weak<SharedListener>>,
    counters: Counters,
    pub(super) is_stopping: bool,
}

/// The counters of all configurations, each once.
#[derive(Default)]
struct Counters {
    listeners: Vec<Arc<PerLane<ListenerStats>>>,
    endpoints: Vec<Arc<PerLane<EndpointStats>>>,
}

/// Ended sessions and their bytes from and to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) sessions: u64,
    pub(super) from_client: u64,
    pub(super) to_client: u64,
}

impl Counted {
    pub(super) fn add(&mut self, sessions: u64, from_client: u64, to_client: u64) {
        self.sessions += sessions;
        self.from_client += from_client;
        self.to_client += to_client;
    }
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

/// Sessions whose tasks all run in one turn: a turn runs at most 256 tasks, and after a freeze of
/// the process all sessions of a lane can be due.
const RUN_IN_A_TURN: usize = 200;

/// Checks a lane's timers from inside the lane.
#[derive(Default)]
struct Probes {
    /// The time of the previous turn that ran every woken task.
    before: Cell<Time>,
    broken: Cell<Option<(Time, Time)>>,
}

impl Generation {
    /// Binds the listeners, opens the lanes and starts accepting.
    pub(super) fn start(plan: &Plan, number: usize) -> io::Result<Self> {
        let version = plan.version(number, 0);
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
            unsent: lanes.iter().map(|_| VecDeque::new()).collect(),
            unswitched: Arc::default(),
            past: Vec::new(),
            counters: Counters::default(),
            lanes,
            is_stopping: false,
        };
        started.reload(&version)?;
        started.send_switches();
        Ok(started)
    }

    /// Puts a configuration into service. The lanes switch when their switches are sent.
    pub(super) fn reload(&mut self, version: &Version) -> io::Result<()> {
        let config = Config::parse(&version.text, "simulated").map_err(io::Error::other)?;
        let changeable = Changeable::new(&config, version.max_sessions, Bound::Configured);
        let prepared = self.service.bind(changeable, Time::ZERO, &mut |_| Ok(()));
        let prepared = prepared.map_err(io::Error::other)?;
        prepared.listen().map_err(io::Error::other)?;
        let past = self.service.generation().listeners().iter();
        self.past.extend(past.map(Arc::downgrade));
        let switches = self.service.apply(prepared, &self.handoff);
        let known = self.service.known();
        keep_new(
            &mut self.counters.listeners,
            known.listeners.iter(Time::ZERO),
        );
        keep_new(
            &mut self.counters.endpoints,
            known.upstreams.stats(Time::ZERO),
        );
        self.unswitched.store(self.lanes.len(), Relaxed);
        for (unsent, switch) in self.unsent.iter_mut().zip(switches) {
            let unswitched = Arc::clone(&self.unswitched);
            let reply = Reply::to(move |_| {
                unswitched.fetch_sub(1, Relaxed);
            });
            unsent.push_back(Command::Switch(switch, reply));
        }
        Ok(())
    }

    /// Changes an endpoint: its state as the main thread does, its verdict as the control thread.
    pub(super) fn change_endpoint(&self, endpoint: SocketAddr, to: To) {
        let now = crate::sys::now();
        for listener in self.service.generation().listeners().iter() {
            let Service::Proxy(upstream) = &listener.service else {
                continue;
            };
            match to {
                To::State(state) => {
                    upstream.set_endpoint(endpoint, Some(state), None, now);
                }
                To::Usable(is_usable) => {
                    let mut states = upstream.endpoint_states(now);
                    if let Some(index) = states.position(|of| of.address == endpoint) {
                        upstream.set_usable(index, is_usable);
                        if is_usable {
                            upstream.start_slowly(index, now, SLOW_START);
                        }
                    }
                }
            }
        }
    }

    /// Whether a lane has not switched to the last configuration.
    pub(super) fn is_switching(&self) -> bool {
        self.unswitched.load(Relaxed) > 0
    }

    /// Whether sockets of an earlier configuration are open.
    pub(super) fn is_closing(&self) -> bool {
        self.service.is_closing()
    }

    /// Whether a socket of any configuration serves clients.
    pub(super) fn is_accepting(&self) -> bool {
        !self.handoff.is_over()
    }

    /// Lanes that have switched to the last configuration.
    pub(super) fn switched_lanes(&self) -> usize {
        self.lanes.len() - self.unswitched.load(Relaxed)
    }

    /// Sends the switch for a lane, if there is one.
    pub(super) fn send_switch(&mut self, lane: usize) {
        if let Some(switch) = self.unsent[lane].pop_front() {
            self.lanes[lane].senders.commands.send(switch);
        }
    }

    fn send_switches(&mut self) {
        (0..self.lanes.len()).for_each(|lane| self.send_switch(lane));
    }

    /// Configurations of the past that a session or an accept loop keeps.
    pub(super) fn past(&self) -> usize {
        let kept = |listener: &&Weak<SharedListener>| listener.strong_count() > 0;
        self.past.iter().filter(kept).count()
    }

    /// Stops accepting; the generation ends with its last session.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        // The main thread sends in order.
        self.send_switches();
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

    /// Sessions that count for an endpoint, of any configuration. A session counts several times if
    /// several configurations have its endpoint.
    pub(super) fn leases(&self) -> usize {
        let past = self.past.iter().filter_map(Weak::upgrade);
        let present = self.service.generation().listeners().iter().cloned();
        let leases = |listener: Arc<SharedListener>| match &listener.service {
            Service::Proxy(upstream) => upstream.live_sessions().sum(),
            Service::Echo => 0,
        };
        past.chain(present).map(leases).sum()
    }

    /// The upstream of the present configuration.
    pub(super) fn upstream(&self) -> Option<Arc<Upstream>> {
        self.service.generation().upstreams().next().cloned()
    }

    /// The counters of all listeners, and of all endpoints.
    pub(super) fn counted(&self) -> [Counted; 2] {
        let mut sums = [Counted::default(); 2];
        for lane in self.counters.listeners.iter().flat_map(|of| of.iter()) {
            let (from_client, to_client) = (lane.from_client.value(), lane.to_client.value());
            sums[0].add(lane.ended.sum(), from_client, to_client);
        }
        for lane in self.counters.endpoints.iter().flat_map(|of| of.iter()) {
            let (from_client, to_client) = (lane.from_client.value(), lane.to_client.value());
            sums[1].add(lane.ended.sum(), from_client, to_client);
        }
        sums
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

    /// The accept loops, those of removed listeners included.
    pub(super) fn accept_loops(&self) -> usize {
        self.serving
            .as_ref()
            .map_or(0, |serving| serving.accept_loops())
    }

    /// Turns the lane; the last turn returns the number of reset sessions.
    pub(super) fn turn(&mut self, now: Time) -> Result<Option<usize>, Violation> {
        let Some(serving) = &mut self.serving else {
            return Ok(None);
        };
        let over = serving
            .turn(now)
            .map_err(|error| Violation::new("I7", format!("a poller broke: {error}")))?;
        if serving.sessions() < RUN_IN_A_TURN {
            self.probes.before.set(now);
        }
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

/// Adds the counters that are not kept yet.
fn keep_new<'k, K: 'k, B: 'k>(
    kept: &mut Vec<Arc<PerLane<B>>>,
    known: impl Iterator<Item = (K, &'k Arc<PerLane<B>>)>,
) {
    for (_, of) in known {
        if !kept.iter().any(|one| Arc::ptr_eq(one, of)) {
            kept.push(Arc::clone(of));
        }
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
