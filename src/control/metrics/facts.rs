//! The values of a page from the main thread: what the counters belong to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::control::view::{AccessLogView, SourceView};
use crate::stats::{EndpointStats, ListenerStats, PerLane};

/// An upstream and an address.
pub(crate) type EndpointName = (Arc<str>, SocketAddr);

/// The process, and all names with counters.
#[derive(Clone, Debug)]
pub(crate) struct MetricFacts {
    pub(crate) started: SystemTime,
    pub(crate) sessions_live: usize,
    pub(crate) sessions_max: usize,
    pub(crate) generation: u32,
    pub(crate) generation_age_s: u64,
    /// Earlier generations with sessions.
    pub(crate) generations_past: usize,
    pub(crate) access_log: AccessLogView,
    /// Listeners of the present and of earlier configurations.
    pub(crate) listeners: Vec<(Arc<str>, Arc<PerLane<ListenerStats>>)>,
    /// Endpoints of the present and of earlier configurations.
    pub(crate) endpoints: Vec<(EndpointName, Arc<PerLane<EndpointStats>>)>,
    /// Sources of endpoints of the present configuration.
    pub(crate) sources: Vec<SourceView>,
    /// Upstreams of the present configuration, with the sessions that wait for a place.
    pub(crate) queued: Vec<(Arc<str>, usize)>,
    /// Endpoints of the present configuration.
    pub(crate) health: Vec<EndpointHealth>,
}

/// The state of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EndpointHealth {
    pub(crate) upstream: Arc<str>,
    pub(crate) address: SocketAddr,
    /// "ready", "drain" or "maintenance", as an operator has set.
    pub(crate) admin_state: &'static str,
    /// Since a failed connect no connect has succeeded.
    pub(crate) is_failing: bool,
}
