//! The part of the plan for later configurations to change while the process runs: listeners,
//! upstreams and limits. Lanes, CPUs, pollers and buffers are fixed at the start.

use std::sync::Arc;
use std::time::Duration;

use super::options;
use crate::config::{self, Bind, Config, OnRemoved, UnixFile};
use crate::net::SocketOptions;
use crate::proxy::{Timeouts, UpstreamOptions};
use crate::sys;

/// The replaceable part of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Changeable {
    pub(crate) listeners: Vec<ListenerPlan>,
    pub(crate) upstreams: Vec<UpstreamOptions>,
    /// By the index of the upstream: what becomes of the sessions of endpoints that it loses.
    #[expect(dead_code, reason = "a reload will read it")]
    pub(crate) on_endpoint_removed: Vec<OnRemoved>,
    pub(crate) max_sessions: usize,
    pub(crate) bound: Bound,
    /// How long sessions may take to end at a stop.
    pub(crate) grace: Duration,
}

/// A listener of a configuration.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    pub(crate) name: Arc<str>,
    /// Without the addresses that this system does not have and the file does not ask for.
    pub(crate) bind: Vec<Bind>,
    pub(crate) backlog: u32,
    pub(crate) socket: SocketOptions,
    /// Of its unix sockets.
    pub(crate) unix: UnixFile,
    /// An upstream is named by its index.
    pub(crate) service: config::Service,
    pub(crate) timeouts: Timeouts,
    /// Whether its sessions have lines in the access log.
    pub(crate) access_log: bool,
    /// What becomes of its sessions without the listener.
    #[expect(dead_code, reason = "a reload will read it")]
    pub(crate) on_removed: OnRemoved,
}

/// The limit that decided `max_sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Bound {
    #[default]
    Configured,
    Descriptors,
    /// The memory limit of this name.
    Memory(String),
}

impl Bound {
    /// The word in the log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Descriptors => "descriptors",
            Self::Memory(_) => "memory",
        }
    }

    /// The name of the memory limit, if a memory limit decided.
    pub(super) fn memory(&self) -> Option<&str> {
        match self {
            Self::Memory(limit) => Some(limit),
            Self::Configured | Self::Descriptors => None,
        }
    }
}

impl Changeable {
    /// Takes the upstreams of a configuration that differs in nothing else.
    pub(super) fn set_upstreams(&mut self, config: &Config) {
        self.upstreams = config.upstreams.iter().map(options::upstream).collect();
    }

    /// The changeable part of a configuration, with the limit on sessions of this machine.
    pub(crate) fn new(config: &Config, max_sessions: usize, bound: Bound) -> Self {
        let is_possible = |bind: &&Bind| !bind.is_optional() || sys::has_ipv6();
        let listener = |written: &config::Listener| ListenerPlan {
            name: written.name.as_str().into(),
            bind: written.bind.iter().filter(is_possible).cloned().collect(),
            backlog: written.backlog,
            socket: options::socket(&written.socket),
            unix: written.unix.clone(),
            service: written.service,
            timeouts: options::timeouts(&written.timeouts),
            access_log: written.access_log,
            on_removed: written.on_removed,
        };
        Self {
            listeners: config.listeners.iter().map(listener).collect(),
            upstreams: config.upstreams.iter().map(options::upstream).collect(),
            on_endpoint_removed: config.upstreams.iter().map(|of| of.on_removed).collect(),
            max_sessions,
            bound,
            grace: config.shutdown.grace,
        }
    }
}
