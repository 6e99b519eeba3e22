//! The metrics of health checks.

use std::fmt;

use super::families::Families;
use super::of_endpoints::{EndpointLabels, of_endpoint};
use super::page::{Page, Scale};
use crate::control::health::Watching;
use crate::stats::Distribution;

impl Families {
    pub(super) fn checks(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            ("corelane_endpoint_health", None),
            "1 for the verdict of the health checks",
            &self.watching,
            |of| [((labels(of), [("state", of.verdict.word())]), 1)],
        )?;
        page.counter(
            ("corelane_health_checks", None),
            "Health checks, by the result",
            &self.watching,
            |of| {
                let counts = of.stats.checks.iter();
                counts.map(|(result, count)| ((labels(of), [("result", result)]), count))
            },
        )?;
        page.counter(
            ("corelane_endpoint_ejections", None),
            "Ejections of the endpoint by failures of its sessions",
            &self.watching,
            |of| [(labels(of), of.stats.ejections.value())],
        )?;
        page.gauge(
            ("corelane_upstream_panic", None),
            "1 while sessions choose among all endpoints since too few are usable, else 0",
            &self.panicking,
            |of| [([("upstream", &*of.upstream)], u64::from(of.is_in_panic))],
        )?;
        page.counter(
            ("corelane_upstream_panics", None),
            "Times that the upstream began to panic",
            &self.panicking,
            |of| [([("upstream", &*of.upstream)], of.panics)],
        )?;
        page.histogram(
            ("corelane_health_check", Scale::WAIT),
            "Time of a good health check",
            &self.watching,
            |of| {
                let times = std::iter::once(&of.stats.duration);
                (labels(of), Distribution::of(times))
            },
        )
    }
}

fn labels(of: &Watching) -> EndpointLabels<'_> {
    of_endpoint(&of.upstream, of.address)
}
