//! The metrics of the sources of endpoints.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use super::page::Page;
use crate::control::view::SourceView;

type Labels<'f> = [(&'f str, &'f str); 1];

impl Families {
    pub(super) fn sources(&self, page: &mut Page<'_>) -> fmt::Result {
        let sources = &self.facts.sources;
        page.gauge(
            ("corelane_source_endpoints", None),
            "Endpoints of the source that are in force",
            sources,
            |of| [(labels(of), of.endpoints as u64)],
        )?;
        page.gauge(
            ("corelane_source_answer_age", Some(Unit::Seconds)),
            "Time since the last answer of the source; no row before the first",
            sources,
            |of| of.answer_age_s.map(|age| (labels(of), age)),
        )?;
        page.gauge(
            ("corelane_source_failing", None),
            "1 if the last look at the source has failed, else 0",
            sources,
            |of| [(labels(of), u64::from(of.error.is_some()))],
        )?;
        page.counter(
            ("corelane_source_looks", None),
            "Looks at the source, by the result",
            sources,
            |of| {
                let row = |result: &'static str, count| ((labels(of), [("result", result)]), count);
                [row("answer", of.answers), row("failure", of.failures)]
            },
        )?;
        page.counter(
            ("corelane_source_changes", None),
            "Changes of the endpoints of the source",
            sources,
            |of| [(labels(of), of.changes)],
        )
    }
}

fn labels(of: &SourceView) -> Labels<'_> {
    [("source", &of.source)]
}
