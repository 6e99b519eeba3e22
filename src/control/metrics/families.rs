//! All metrics, and those of the process. Labels are names of the configuration, lanes and words of
//! fixed lists, never of clients.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::registry::Unit;

use super::facts::MetricFacts;
use super::page::Page;
use crate::control::health::{Panicking, Watching};
use crate::stats::LaneStats;

/// A lane of a page.
#[derive(Debug)]
pub(in crate::control) struct LaneFacts {
    pub(in crate::control) index: usize,
    pub(in crate::control) stats: Arc<LaneStats>,
    pub(in crate::control) buffers_max: usize,
    pub(in crate::control) cpu_ns: u64,
}

/// The metrics of a page.
#[derive(Debug)]
pub(in crate::control) struct Families {
    pub(in crate::control) facts: MetricFacts,
    /// By index.
    pub(in crate::control) lanes: Vec<LaneFacts>,
    /// The endpoints with health checks.
    pub(in crate::control) watching: Vec<Watching>,
    /// The upstreams that may panic.
    pub(in crate::control) panicking: Vec<Panicking>,
    /// Of all listeners in the network namespace.
    pub(in crate::control) listen_overflows: Option<u64>,
    /// Of all connections in the network namespace.
    pub(in crate::control) retransmits: Option<u64>,
    /// Open in the process.
    pub(in crate::control) descriptors: Option<u64>,
    pub(in crate::control) descriptors_max: Option<u64>,
}

/// A row without a label.
fn alone(value: &u64) -> [([(&'static str, &'static str); 0], u64); 1] {
    [([], *value)]
}

impl Families {
    /// Writes the page's part of all families.
    pub(super) fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        self.process(page)?;
        self.listeners(page)?;
        self.listener_times(page)?;
        self.upstreams(page)?;
        self.endpoints(page)?;
        self.endpoint_times(page)?;
        self.checks(page)?;
        self.sources(page)?;
        self.lanes(page)?;
        self.lane_times(page)
    }

    fn access_log(&self, page: &mut Page<'_>) -> fmt::Result {
        let of = self.facts.access_log;
        let help = "Written lines of the access log";
        page.counter(
            ("corelane_access_log_lines", None),
            help,
            &[of.written],
            alone,
        )?;
        let help = "Lines of the access log that found no room, or no target";
        page.counter(
            ("corelane_access_log_dropped", None),
            help,
            &[of.dropped],
            alone,
        )
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let MetricFacts {
            started,
            sessions_live,
            sessions_max,
            generation,
            generation_age_s,
            generations_past,
            ..
        } = self.facts;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.info("corelane_build", "The program", &version)?;
        let started = started.duration_since(SystemTime::UNIX_EPOCH);
        let started = started.unwrap_or_default().as_secs();
        for (name, unit, help, value) in [
            (
                "corelane_start_time",
                Some(Unit::Seconds),
                "Time of the start, since 1970",
                started,
            ),
            (
                "corelane_sessions",
                None,
                "Live sessions",
                sessions_live as u64,
            ),
            (
                "corelane_sessions_max",
                None,
                "The limit on live sessions",
                sessions_max as u64,
            ),
            (
                "corelane_generation",
                None,
                "The number of the configuration in service; a reload with a change adds 1",
                generation.into(),
            ),
            (
                "corelane_generation_age",
                Some(Unit::Seconds),
                "Time since this configuration was put into service",
                generation_age_s,
            ),
            (
                "corelane_generations_past",
                None,
                "Earlier configurations that sessions still have",
                generations_past as u64,
            ),
        ] {
            page.gauge((name, unit), help, &[value], alone)?;
        }
        self.access_log(page)?;
        self.kernel(page)
    }

    /// What the kernel counts.
    fn kernel(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            ("corelane_descriptors", None),
            "Open descriptors; only of Linux 6.2 and later",
            self.descriptors.as_slice(),
            alone,
        )?;
        page.gauge(
            ("corelane_descriptors_max", None),
            "The limit on open descriptors",
            self.descriptors_max.as_slice(),
            alone,
        )?;
        page.counter(
            ("corelane_namespace_retransmits", None),
            "Segments that the kernel sent again, on any TCP connection of this network namespace",
            self.retransmits.as_slice(),
            alone,
        )?;
        page.counter(
            ("corelane_listen_overflows", None),
            "Connections that the kernel dropped since a backlog was full, at any listener of this \
             network namespace",
            self.listen_overflows.as_slice(),
            alone,
        )
    }
}
