//! The configuration in service, and the change to a new configuration: bind, listen, a switch for
//! each lane. Until the switch nothing changes, and a switch cannot fail.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Weak};

use super::activation::PassedSockets;
use super::bind::{Sockets, await_ports, bind, in_words, listen};
use super::changeable::Changeable;
use super::command::{NewPoint, Switch};
use super::error::ServerError;
use super::generation::{Generation, Known};
use super::here::Pause;
use super::point::{Opened, PointId, Points, Steps, WantedPoint};
use crate::config::{Bind, BindTo, Config, Service};
use crate::control::GenerationView;
use crate::proxy::{AccessLog, Handoff, SessionIds, SessionLimit, SharedListener};
use crate::sys::{self, OsSocket, Time};

/// The configuration in service, and the lasting state of the process.
#[derive(Debug)]
pub(crate) struct InService {
    lanes: usize,
    /// The number of configurations so far.
    applied: u32,
    changeable: Changeable,
    generation: Generation,
    /// When the generation began.
    since: Time,
    /// Generations from before, as long as they have sessions.
    past: Vec<Past>,
    points: Points,
    /// Between the lanes, once there is a configuration.
    handoff: Option<Arc<Handoff>>,
    passed: PassedSockets,
    /// The names of paused listeners.
    paused: BTreeSet<Arc<str>>,
    limit: Arc<SessionLimit>,
    ids: Arc<SessionIds>,
    known: Known,
    access: Arc<AccessLog>,
}

/// A generation without new connections.
#[derive(Debug)]
struct Past {
    view: GenerationView,
    since: Time,
    /// Alive as long as any session of the listener.
    listeners: Vec<Weak<SharedListener>>,
}

/// A configuration whose listeners are bound. A drop closes them.
#[derive(Debug)]
pub(crate) struct Prepared {
    changeable: Changeable,
    steps: Steps,
    /// By wanted point.
    sockets: Vec<Sockets>,
}

impl InService {
    /// Nothing is in service, on so many lanes.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes,
            applied: 0,
            changeable: Changeable::default(),
            generation: Generation::default(),
            since: Time::ZERO,
            past: Vec::new(),
            points: Points::default(),
            handoff: None,
            passed: PassedSockets::default(),
            paused: BTreeSet::new(),
            limit: SessionLimit::new(0),
            ids: Arc::default(),
            known: Known::new(lanes),
            access: AccessLog::new(lanes),
        }
    }

    /// The access log of all lanes.
    pub(super) fn access(&self) -> &Arc<AccessLog> {
        &self.access
    }

    /// Gives the sockets of a service manager to listeners that name them.
    pub(super) fn take_passed(&mut self, passed: PassedSockets) {
        self.passed = passed;
    }

    /// Binds the addresses of a configuration that are not in service. Waits by `pause` for ports
    /// in use, until `patience`.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub(crate) fn bind(
        &self,
        changeable: Changeable,
        patience: Time,
        pause: Pause<'_>,
    ) -> Result<Prepared, ServerError> {
        let steps = self.points.steps_to(&changeable.listeners);
        let listeners = &changeable.listeners;
        await_ports(&self.foreign(&steps), listeners, patience, pause)?;
        let sockets = bind(&steps.wanted, listeners, self.lanes, &self.passed)?;
        Ok(Prepared {
            changeable,
            steps,
            sockets,
        })
    }

    /// The steps to a configuration, without a change of anything.
    ///
    /// # Errors
    /// A foreign process listens on an address.
    pub(super) fn look(&self, next: &Changeable) -> Result<Steps, ServerError> {
        let steps = self.points.steps_to(&next.listeners);
        let foreign = self.foreign(&steps);
        await_ports(&foreign, &next.listeners, sys::now(), &mut |_| Ok(()))?;
        Ok(steps)
    }

    /// The wanted points on ports without a socket of this process. Addresses of a port overlap,
    /// such as a wildcard and a specific address.
    fn foreign<'s>(&self, steps: &'s Steps) -> Vec<&'s WantedPoint> {
        let own = self.points.ports(self.is_closing());
        let is_foreign = |point: &&WantedPoint| {
            let port = point.at.tcp().map(|address| address.port());
            port.is_none_or(|port| !own.contains(&port))
        };
        steps.wanted.iter().filter(is_foreign).collect()
    }

    /// Whether a socket of an earlier configuration still serves clients.
    pub(crate) fn is_closing(&self) -> bool {
        let sockets = self.points.sockets();
        let handoff = self.handoff.as_ref();
        handoff.is_some_and(|handoff| handoff.accept_loops() > sockets)
    }

    /// Puts a configuration that listens into service. Returns the switch of each lane.
    pub(crate) fn apply(&mut self, prepared: Prepared, handoff: &Arc<Handoff>) -> Vec<Switch> {
        let Prepared {
            changeable,
            mut steps,
            mut sockets,
        } = prepared;
        if !self.is_closing() {
            self.points.forget_closing();
        }
        self.handoff = Some(Arc::clone(handoff));
        let bound: Vec<Bind> = sockets.iter().map(|sockets| sockets.at.clone()).collect();
        self.announce(&changeable, &steps, &bound);
        let opened = bound.into_iter().zip(&mut sockets);
        let opened = opened.map(|(at, sockets)| Opened {
            at,
            file: sockets.file.take(),
            sockets: sockets.of_lanes.len(),
        });
        let opened = opened.collect();
        let ids = self.points.take(&steps, opened, &changeable.listeners);
        // Before the lanes start sessions of the configuration.
        self.limit.set_max(changeable.max_sessions);
        self.remember();
        let (limit, own, access) = (&self.limit, &self.ids, &self.access);
        self.since = sys::now();
        let (number, known) = (self.applied, &mut self.known);
        let before = mem::take(&mut self.generation);
        self.generation = Generation::new(
            number,
            &changeable,
            limit,
            own,
            access,
            known,
            &before,
            self.since,
        );
        self.applied += 1;
        self.forget_pauses(&changeable);
        for kept in &mut steps.kept {
            kept.is_paused = self.is_paused(&changeable.listeners[kept.listener].name);
        }
        let kept: Arc<[_]> = steps.kept.into();
        let switch = |_| Switch {
            listeners: Arc::clone(self.generation.listeners()),
            kept: Arc::clone(&kept),
            new: Vec::new(),
            handoff: Arc::clone(handoff),
        };
        let mut switches: Vec<Switch> = (0..self.lanes).map(switch).collect();
        for ((wanted, point), sockets) in steps.wanted.iter().zip(ids).zip(sockets) {
            let Sockets {
                kind,
                of_lanes,
                is_spread,
                ..
            } = sockets;
            handoff.expect(of_lanes.len());
            for (place, socket) in of_lanes.into_iter().enumerate() {
                let lane = place % self.lanes;
                switches[lane].new.push(NewPoint {
                    point,
                    listener: wanted.listener,
                    socket,
                    kind,
                    is_paused: self.is_paused(&changeable.listeners[wanted.listener].name),
                    is_spread,
                });
            }
        }
        self.changeable = changeable;
        switches
    }

    /// Pauses end with their listeners.
    fn forget_pauses(&mut self, next: &Changeable) {
        let is_there = |name: &Arc<str>| next.listeners.iter().any(|of| of.name == *name);
        self.paused.retain(is_there);
    }

    /// Pauses or resumes a listener; returns its points, `None` if there is no such listener.
    pub(super) fn pause(&mut self, listener: &str, is_paused: bool) -> Option<Arc<[PointId]>> {
        let mut listeners = self.changeable.listeners.iter();
        let name = &listeners.find(|of| &*of.name == listener)?.name;
        match is_paused {
            true => self.paused.insert(Arc::clone(name)),
            false => self.paused.remove(name),
        };
        let own = self.points.iter().filter(|point| point.listener == *name);
        Some(own.map(|point| point.id).collect())
    }

    pub(super) fn is_paused(&self, listener: &str) -> bool {
        self.paused.contains(listener)
    }

    /// The number of the next configuration.
    pub(super) fn next_generation(&self) -> u32 {
        self.applied
    }

    /// Logs opened and closed addresses.
    fn announce(&self, to: &Changeable, steps: &Steps, bound: &[Bind]) {
        let new = steps.wanted.iter().zip(bound);
        let new = new.filter(|(wanted, _)| !wanted.replaces);
        let opened: Vec<_> = new
            .map(|(wanted, at)| (wanted.listener, at.clone()))
            .collect();
        for (index, address) in in_words(&opened) {
            let listener = &to.listeners[index];
            let (service, upstream) = match listener.service {
                Service::Echo => ("echo", None),
                Service::Proxy { upstream } => ("proxy", Some(&*to.upstreams[upstream].name)),
            };
            tracing::info!(
                name = &*listener.name,
                %address,
                service,
                upstream,
                "listening"
            );
        }
        for point in self
            .points
            .iter()
            .filter(|point| steps.removed.contains(&point.id))
        {
            tracing::info!(name = &*point.listener, address = %point.at.to, "listening no more");
        }
    }

    /// Adds the present generation to the past generations.
    fn remember(&mut self) {
        self.forget_past();
        if self.applied > 0 {
            let listeners = self.generation.listeners().iter();
            self.past.push(Past {
                view: self.view(),
                since: self.since,
                listeners: listeners.map(Arc::downgrade).collect(),
            });
        }
    }

    /// Forgets generations without sessions, and of the others the listeners without sessions. A
    /// weak reference keeps the memory of its listener, and discovery makes generations all day.
    fn forget_past(&mut self) {
        for past in &mut self.past {
            past.listeners
                .retain(|listener| listener.strong_count() > 0);
            past.listeners.shrink_to_fit();
        }
        self.past.retain(Past::has_sessions);
    }

    fn view(&self) -> GenerationView {
        GenerationView {
            generation: self.generation.number(),
            is_current: true,
            age_s: sys::now().since(self.since).as_secs(),
            listeners: self.changeable.listeners.len(),
            upstreams: self.changeable.upstreams.len(),
        }
    }

    /// The generations that have sessions, or may get some; oldest first.
    pub(super) fn generations(&self) -> Vec<GenerationView> {
        let past = self.past.iter().filter(|past| past.has_sessions());
        let past = past.map(|past| GenerationView {
            is_current: false,
            age_s: sys::now().since(past.since).as_secs(),
            ..past.view.clone()
        });
        past.chain([self.view()]).collect()
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// The present configuration.
    pub(super) fn changeable(&self) -> &Changeable {
        &self.changeable
    }

    /// The present generation.
    pub(crate) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Removes the files of unix sockets: new clients find no listener, or a successor. Waiting
    /// clients are served.
    pub(super) fn remove_files(&mut self) {
        self.points.remove_files();
    }

    /// The addresses that clients can connect to.
    pub(super) fn points(&self) -> &Points {
        &self.points
    }

    /// The state by name.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// The limit on sessions of all generations.
    pub(crate) fn limit(&self) -> &Arc<SessionLimit> {
        &self.limit
    }
}

impl Past {
    fn has_sessions(&self) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.strong_count() > 0)
    }
}

impl Prepared {
    /// Lets the sockets of the new points listen. From here on clients connect.
    ///
    /// # Errors
    /// A socket cannot listen.
    pub(crate) fn listen(&self) -> Result<(), ServerError> {
        listen(
            &self.steps.wanted,
            &self.sockets,
            &self.changeable.listeners,
        )
    }

    /// Takes the upstreams of a configuration.
    pub(super) fn set_upstreams(&mut self, config: &Config) {
        self.changeable.set_upstreams(config);
    }

    /// The new sockets of TCP ports.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &OsSocket> {
        let own = self.sockets.iter();
        let own = own.filter(|point| matches!(point.at.to, BindTo::Tcp(_)));
        own.flat_map(|point| &point.of_lanes)
    }

    /// The effect of the switch on the points in service.
    pub(super) fn steps(&self) -> &Steps {
        &self.steps
    }
}
