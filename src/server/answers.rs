//! The main thread's answers to the control plane: the process, the configuration and listeners.
//!
//! Owned by the server's supervision, and used between two events.

use std::sync::Arc;
use std::time::SystemTime;

use super::changeable::ListenerPlan;
use super::discovered::Discovered;
use super::in_service::InService;
use super::metric_facts;
use super::reload::Reloads;
use super::upstreams;
use crate::config::{Config, Service};
use crate::control::{AccessLogView, Ask, ListenerFacts, ListenerView, ProcessView, State};
use crate::proxy::SharedListener;
use crate::sys::{self, Time};

/// The state behind the answers.
#[derive(Debug)]
pub(super) struct Answers {
    state: State,
    started: SystemTime,
    since: Time,
}

impl Answers {
    /// The answers of a process that starts.
    pub(super) fn new() -> Self {
        Self {
            state: State::Starting,
            started: SystemTime::now(),
            since: sys::now(),
        }
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// Answers a question that changes nothing. Returns any other question.
    pub(super) fn answer(&self, ask: Ask, of: &Reloads, found: &Discovered) -> Option<Ask> {
        match ask {
            Ask::Process(reply) => reply.send(self.process(of)),
            Ask::Config(reply) => reply.send(meant(of.config())),
            Ask::Generations(reply) => reply.send(of.service.generations()),
            Ask::Listeners(reply) => reply.send(self.listeners(&of.service)),
            Ask::Upstreams(reply) => reply.send(upstreams::views(of, found)),
            Ask::Metrics(reply) => {
                let process = self.process(of);
                reply.send(metric_facts::facts(&process, &of.service, found));
            }
            request => return Some(request),
        }
        None
    }

    fn process(&self, of: &Reloads) -> ProcessView {
        let (service, limit, access) = (&of.service, of.service.limit(), of.service.access());
        ProcessView {
            state: self.state,
            started: self.started,
            uptime_s: sys::now().since(self.since).as_secs(),
            generation: service.generation().number(),
            configuration: of.origin().to_string(),
            sessions_live: limit.live(),
            sessions_max: limit.max(),
            access_log: AccessLogView {
                is_on: access.is_on(),
                written: access.written(),
                dropped: access.dropped(),
            },
        }
    }

    fn listeners(&self, service: &InService) -> Vec<ListenerView> {
        let changeable = service.changeable();
        let view = |(listener, shared): (&ListenerPlan, &Arc<SharedListener>)| {
            let (kind, upstream) = match listener.service {
                Service::Echo => ("echo", None),
                Service::Proxy { upstream } => {
                    ("proxy", Some(changeable.upstreams[upstream].name.clone()))
                }
            };
            let own = service
                .points()
                .iter()
                .filter(|point| point.listener == listener.name);
            ListenerView {
                name: listener.name.to_string(),
                generation: service.generation().number(),
                service: kind,
                upstream,
                addresses: own.map(|point| point.at.to.to_string()).collect(),
                state: match self.state {
                    State::Stopping => "stopped",
                    _ if service.is_paused(&listener.name) => "paused",
                    State::Starting | State::Serving => "accepting",
                },
                facts: ListenerFacts(Arc::clone(&shared.stats)),
            }
        };
        // By their index in the configuration.
        let shared = service.generation().listeners().iter();
        changeable.listeners.iter().zip(shared).map(view).collect()
    }
}

/// The keys of the file with the effective values.
fn meant(config: &Config) -> serde_json::Value {
    let keys = config.effective();
    let pairs = keys
        .iter()
        .map(|key| (key.name.to_owned(), key.value.to_json()));
    serde_json::Value::Object(pairs.collect())
}
