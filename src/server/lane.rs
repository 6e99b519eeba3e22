//! A lane's thread: opens the lane, attaches its listeners, turns until told to stop.

use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};

use super::bind::LaneListeners;
use super::options;
use crate::config::{self, Config};
use crate::net::Listener;
use crate::poller::BackEnd;
use crate::proxy::{
    Allowance, Handoff, ListenerContext, Service, Services, SessionLimit, Spares, Upstream, accept,
    keep,
};
use crate::runtime::{Lane, LaneOptions, Latch, LogInterval};
use crate::sys::{self, Time};

/// What the lanes are to do; they look after each turn.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    stop: AtomicBool,
    abort: AtomicBool,
}

impl Orders {
    /// Accept no more, end when the last session has ended. Wake the lanes afterwards.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Release);
    }

    /// Reset what is left. Wake the lanes afterwards.
    pub(crate) fn abort(&self) {
        self.abort.store(true, Release);
    }
}

/// What a lane is made of.
#[derive(Debug)]
pub(crate) struct LanePlan {
    pub(crate) index: usize,
    pub(crate) cpu: Option<usize>,
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
    pub(crate) config: Arc<Config>,
    pub(crate) limit: Arc<SessionLimit>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Arc<Orders>,
    /// Which lane is to have a connection, once all lanes are open.
    pub(crate) handoff: Arc<OnceLock<Arc<Handoff>>>,
}

/// What a listener or an upstream promises is promised by the process: the lanes share its state.
#[derive(Debug)]
pub(crate) struct Shared {
    /// By their place in the configuration.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// By the listener's place in the configuration: when its failing accepts are logged.
    accept_failures: Vec<Arc<LogInterval>>,
}

impl Shared {
    /// Of the listeners and upstreams of a configuration.
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        let of_upstream = |upstream| Upstream::new(options::upstream(upstream));
        let of_listener = |_| Arc::default();
        Arc::new(Self {
            upstreams: config.upstreams.iter().map(of_upstream).collect(),
            accept_failures: config.listeners.iter().map(of_listener).collect(),
        })
    }
}

/// A lane, and what the poller said that it was to have, if it has another.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lane: Lane,
    pub(crate) refused: Option<io::Error>,
}

/// Opens a lane on the calling thread, pinned.
pub(crate) fn open(plan: &LanePlan) -> io::Result<Opened> {
    if let Some(cpu) = plan.cpu {
        sys::pin_to(cpu)?;
    }
    let mut options = plan.options;
    let mut refused = None;
    loop {
        match Lane::open(options, sys::now()) {
            Ok(lane) => return Ok(Opened { lane, refused }),
            Err(error) if plan.may_fall_back && options.back_end == BackEnd::IoUring => {
                // The self-test passed, but one more ring was too many.
                refused = Some(error);
                options.back_end = BackEnd::Epoll;
            }
            // A system that promises no memory it does not have refuses large reservations.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && halve(&mut options) => {}
            Err(error) => return Err(error),
        }
    }
}

fn halve(options: &mut LaneOptions) -> bool {
    let floor = 2 * usize::from(options.poller.receive_buffers);
    let enough = options.pool.buffers_max > floor;
    options.pool.buffers_max = (options.pool.buffers_max / 2).max(floor);
    enough
}

/// A lane that serves until it is told to stop.
#[derive(Debug)]
pub(crate) struct Serving {
    lane: Lane,
    /// What the accept loops begin with, by their listeners' place, until they do.
    spares: Vec<(usize, Spares)>,
    stop: Rc<Latch>,
    orders: Arc<Orders>,
    index: usize,
    handoff: Arc<OnceLock<Arc<Handoff>>>,
    /// All that was handed over has arrived.
    is_handed: bool,
}

impl Serving {
    /// A lane that can serve: what its first sessions need is there, if it is to be had.
    pub(crate) fn new(lane: Lane, plan: LanePlan) -> Self {
        let stop = Rc::new(Latch::default());
        let listener_contexts = listener_contexts(&lane, &plan, &stop);
        // One for each accept loop, where the lane has any.
        let accepts = sys::SPREADS_LISTENERS || plan.index == 0;
        let configured = plan.config.listeners.iter().filter(|_| accepts);
        let binds = configured
            .zip(&listener_contexts)
            .flat_map(|(listener, listener_context)| {
                let spares = listener.bind.iter().map(|_| listener_context.spares());
                spares.map(|spares| (listener_context.place, spares))
            });
        let spares = binds.collect();
        keep(&lane.handle(), Services(listener_contexts));
        Self {
            lane,
            spares,
            stop,
            orders: plan.orders,
            index: plan.index,
            handoff: plan.handoff,
            is_handed: false,
        }
    }

    /// Starts to accept on these listeners.
    pub(crate) fn listen(&mut self, listeners: LaneListeners) -> io::Result<()> {
        let lane = self.lane.handle();
        let services = lane.kept::<Services>().expect("kept from the start");
        for (place, socket) in listeners {
            let listener = Listener::attach(&lane, socket)?;
            let at = self.spares.iter().position(|(of, _)| *of == place);
            let spares = at
                .map(|at| self.spares.swap_remove(at).1)
                .unwrap_or_default();
            let task = accept(listener, Rc::clone(&services.0[place]), spares);
            lane.spawn(&"accept", task);
        }
        Ok(())
    }

    /// Looks at the orders and turns once; when the lane has ended, gives how many sessions were
    /// reset.
    pub(crate) fn turn(&mut self, now: Time) -> io::Result<Option<usize>> {
        if self.is_over() {
            // A process that was frozen while its grace ran out has not seen who ended in time.
            self.lane.settle(now)?;
            let handoff = self.handoff.get();
            let in_transit = handoff.map_or(0, |handoff| handoff.in_transit(self.index));
            let stats = Arc::clone(self.lane.handle().stats());
            let sessions = usize::try_from(stats.sessions()).expect("they fit the memory");
            self.lane.abort_tasks();
            return Ok(Some(sessions + in_transit));
        }
        self.lane.turn(now)?;
        Ok(None)
    }

    /// Serves until told to stop; says how many sessions were reset.
    pub(super) fn serve(mut self) -> io::Result<usize> {
        loop {
            if let Some(cut) = self.turn(sys::now())? {
                return Ok(cut);
            }
        }
    }

    fn is_over(&mut self) -> bool {
        let has_all = self.handoff.get().is_none() || self.is_handed;
        if !has_all && self.handoff.get().is_some_and(|handoff| handoff.is_over()) {
            let handoff = self.handoff.get();
            self.is_handed = handoff.is_none_or(|handoff| handoff.in_transit(self.index) == 0);
            // The next turn reads on, and must not sleep.
            self.lane.handle().remote().call(|_| {});
        }
        let (lane, stop, orders) = (&self.lane, &self.stop, &self.orders);
        if orders.stop.load(Acquire) && !stop.is_open() {
            lane.enter(|| stop.open());
            // In the next turn the listeners end; what is left then is sessions, even if they are
            // to be cut at once.
            return lane.tasks() == 0 && has_all;
        }
        stop.is_open() && (lane.tasks() == 0 && has_all || orders.abort.load(Acquire))
    }
}

/// What the lane does with each listener's connections, by its place in the configuration.
fn listener_contexts(lane: &Lane, plan: &LanePlan, stop: &Rc<Latch>) -> Vec<Rc<ListenerContext>> {
    let upstreams = &plan.shared.upstreams;
    let listener_context = |(place, configured): (usize, &config::Listener)| {
        let service = match configured.service {
            config::Service::Echo => Service::Echo,
            config::Service::Proxy { upstream } => Service::Proxy(Arc::clone(&upstreams[upstream])),
        };
        Rc::new(ListenerContext {
            name: configured.name.as_str().into(),
            lane: lane.handle(),
            lane_index: plan.index,
            service,
            limit: Arc::clone(&plan.limit),
            timeouts: options::timeouts(&configured.timeouts),
            failures: Arc::clone(&plan.shared.accept_failures[place]),
            stop: Rc::clone(stop),
            place,
            allowance: Allowance::default(),
            handoff: Arc::clone(&plan.handoff),
        })
    };
    let listeners = plan.config.listeners.iter();
    listeners.enumerate().map(listener_context).collect()
}
