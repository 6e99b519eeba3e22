//! The checked configuration, as the server reads it.

use super::listener::Listener;
use super::log::Log;
use super::process::Process;
use super::runtime::Runtime;
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
    /// What is logged and how; `[log]`.
    pub(crate) log: Log,
    /// How sessions end; `[shutdown]`.
    pub(crate) shutdown: Shutdown,
    /// Where clients connect to, in the order of the file, at least one; `[[listener]]`.
    pub(crate) listeners: Vec<Listener>,
    /// Where proxies connect to, in the order of the file; `[[upstream]]`.
    pub(crate) upstreams: Vec<Upstream>,
    /// The text behind the settings.
    pub(crate) source: Source,
}
