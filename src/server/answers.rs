//! The main thread's answers to the control plane: the process, the configuration, listeners
//! and upstreams.
//!
//! Owned by the server's supervision, and used between two events.

use std::sync::Arc;
use std::time::SystemTime;

use super::bind::Bound;
use super::changeable::{Changeable, ListenerPlan};
use super::generation::Generation;
use super::signals::Request;
use crate::config::{Config, Service};
use crate::control::{
    Ask, EndpointView, GenerationView, ListenerView, ProcessView, State, UpstreamView,
};
use crate::proxy::{SessionLimit, Upstream};
use crate::sys::{self, Time};

/// The name of a stop by the control plane, in place of a signal's name.
const STOP: &str = "control socket";

/// The state behind the answers.
#[derive(Debug)]
pub(super) struct Answers {
    state: State,
    started: SystemTime,
    since: Time,
    /// The origin of the configuration.
    source: String,
    limit: Arc<SessionLimit>,
    /// The configuration in force, as meant.
    config: serde_json::Value,
    listeners: Vec<ListenerView>,
    current: Arc<Generation>,
    applied: Time,
}

impl Answers {
    /// The answers of a process at the start, with this generation.
    pub(super) fn new(
        source: &str,
        config: &Config,
        changeable: &Changeable,
        bound: &Bound,
        (current, limit): (&Arc<Generation>, &Arc<SessionLimit>),
    ) -> Self {
        let now = sys::now();
        Self {
            state: State::Starting,
            started: SystemTime::now(),
            since: now,
            source: source.to_owned(),
            limit: Arc::clone(limit),
            config: meant(config),
            listeners: listeners(changeable, bound, current.number()),
            current: Arc::clone(current),
            applied: now,
        }
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.state = state;
        if state == State::Stopping {
            for listener in &mut self.listeners {
                listener.state = "stopped";
            }
        }
    }

    /// Answers. Returns a request to the process, if the question is a request.
    pub(super) fn answer(&self, ask: Ask) -> Option<Request> {
        match ask {
            Ask::Process(reply) => reply.send(self.process()),
            Ask::Config(reply) => reply.send(self.config.clone()),
            Ask::Generations(reply) => reply.send(self.generations()),
            Ask::Listeners(reply) => reply.send(self.listeners.clone()),
            Ask::Upstreams(reply) => reply.send(self.upstreams()),
            Ask::Stop(reply) => {
                reply.send(());
                return Some(Request::Stop(STOP));
            }
        }
        None
    }

    fn process(&self) -> ProcessView {
        ProcessView {
            state: self.state,
            started: self.started,
            uptime_s: sys::now().since(self.since).as_secs(),
            generation: self.current.number(),
            configuration: self.source.clone(),
            sessions_live: self.limit.live(),
            sessions_max: self.limit.max(),
        }
    }

    fn generations(&self) -> Vec<GenerationView> {
        vec![GenerationView {
            generation: self.current.number(),
            is_current: true,
            age_s: sys::now().since(self.applied).as_secs(),
            listeners: self.listeners.len(),
            upstreams: self.upstreams().len(),
        }]
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        let now = sys::now();
        let mut views: Vec<UpstreamView> = Vec::new();
        for upstream in self.current.upstreams() {
            if !views.iter().any(|view| *view.name == **upstream.name()) {
                views.push(view(upstream, now));
            }
        }
        views
    }
}

fn view(upstream: &Upstream, now: Time) -> UpstreamView {
    let endpoints = upstream.endpoint_states(now).map(|of| EndpointView {
        address: of.address,
        sessions: of.sessions,
        state: match of.failing {
            None => "answering",
            Some(_) => "failing",
        },
        failures: of.failures,
        failing_ms: of
            .failing
            .and_then(|time| u64::try_from(time.as_millis()).ok()),
    });
    UpstreamView {
        name: upstream.name().to_string(),
        endpoints: endpoints.collect(),
    }
}

fn listeners(changeable: &Changeable, bound: &Bound, generation: u32) -> Vec<ListenerView> {
    let view = |(index, listener): (usize, &ListenerPlan)| {
        let upstream = match listener.service {
            Service::Echo => None,
            Service::Proxy { upstream } => Some(changeable.upstreams[upstream].name.clone()),
        };
        let own = bound.iter().filter(|(of, _)| *of == index);
        ListenerView {
            name: listener.name.to_string(),
            generation,
            service: match listener.service {
                Service::Echo => "echo",
                Service::Proxy { .. } => "proxy",
            },
            upstream,
            addresses: own.map(|(_, bind)| bind.to.to_string()).collect(),
            state: "accepting",
        }
    };
    changeable.listeners.iter().enumerate().map(view).collect()
}

/// The keys of the file with the effective values.
fn meant(config: &Config) -> serde_json::Value {
    let keys = config.effective();
    let pairs = keys
        .iter()
        .map(|key| (key.name.to_owned(), key.value.to_json()));
    serde_json::Value::Object(pairs.collect())
}
