//! The checked configuration, as the server reads it.

use std::collections::BTreeSet;

use super::access_log::AccessLog;
use super::control::Control;
use super::dashboard::Dashboard;
use super::discovery::Discovery;
use super::effective::Keys;
use super::endpoint_source::EndpointSource;
use super::etcd::Etcd;
use super::listener::Listener;
use super::log::Log;
use super::process::Process;
use super::resolver::Resolver;
use super::runtime::Runtime;
use super::sandbox::Sandbox;
use super::shutdown::Shutdown;
use super::source::Source;
use super::upstream::Upstream;

/// All settings of corelane, checked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Lanes, CPUs and the poller; `[runtime]`.
    pub(crate) runtime: Runtime,
    /// The user of the server, and its PID file; `[process]`.
    pub(crate) process: Process,
    /// The control socket and health checks; `[control]`.
    pub(crate) control: Control,
    /// The dashboard's address and token; `[dashboard]`.
    pub(crate) dashboard: Dashboard,
    /// What the server can do once it serves; `[sandbox]`.
    pub(crate) sandbox: Sandbox,
    /// How names are looked up; `[resolver]`.
    pub(crate) resolver: Resolver,
    /// How far found endpoints are believed; `[discovery]`.
    pub(crate) discovery: Discovery,
    /// The servers of etcd; `[etcd]`.
    pub(crate) etcd: Etcd,
    /// What is logged and how; `[log]`.
    pub(crate) log: Log,
    /// A line for each session; `[access_log]`.
    pub(crate) access_log: AccessLog,
    /// How sessions end; `[shutdown]`.
    pub(crate) shutdown: Shutdown,
    /// Where clients connect to, in the order of the file, at least one; `[[listener]]`.
    pub(crate) listeners: Vec<Listener>,
    /// Where proxies connect to, in the order of the file; `[[upstream]]`.
    pub(crate) upstreams: Vec<Upstream>,
    /// The text behind the settings.
    pub(crate) source: Source,
}

impl Config {
    /// Where addresses of endpoints come from, besides the file.
    pub(crate) fn sources(&self) -> BTreeSet<EndpointSource> {
        let sources = self.upstreams.iter().flat_map(Upstream::sources);
        sources.cloned().collect()
    }

    /// All settings as keys of the file, defaults included.
    #[must_use]
    pub(crate) fn effective(&self) -> Keys {
        let listeners = self.listeners.iter().map(|of| of.keys(&self.upstreams));
        let upstreams = self.upstreams.iter().map(Upstream::keys);
        self.globals()
            .tables("listener", listeners)
            .tables("upstream", upstreams)
    }

    /// Takes over the settings of `running` that a running process cannot change.
    pub(crate) fn keep_fixed(&mut self, running: &Self) {
        let max_sessions = self.runtime.max_sessions;
        self.runtime = Runtime {
            max_sessions,
            ..running.runtime.clone()
        };
        self.process = running.process.clone();
        self.control = running.control.clone();
        self.dashboard = running.dashboard.clone();
        self.sandbox = running.sandbox.clone();
    }

    /// The settings outside of the listeners and upstreams.
    #[must_use]
    pub(super) fn globals(&self) -> Keys {
        let Self {
            runtime,
            process,
            control,
            dashboard,
            sandbox,
            resolver,
            discovery,
            etcd,
            log,
            access_log,
            shutdown,
            listeners: _,
            upstreams: _,
            source: _,
        } = self;
        Keys::default()
            .table("runtime", runtime.keys())
            .table("process", process.keys())
            .table("control", control.keys())
            .table("dashboard", dashboard.keys())
            .table("sandbox", sandbox.keys())
            .table("resolver", resolver.keys())
            .table("discovery", discovery.keys())
            .table("etcd", etcd.keys())
            .table("log", log.keys())
            .table("access_log", access_log.keys())
            .table("shutdown", shutdown.keys())
    }
}
