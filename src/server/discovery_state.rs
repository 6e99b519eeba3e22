//! The state of discovery on the main thread: the last answers, and the times of the next steps.
//! `discovering` takes the steps.

use std::time::Duration;

use super::discovered::{Discovered, Noted};
use crate::config::{Config, EndpointSource};
use crate::sys::{self, OwnAddresses, Time};

/// How long changes are put together: the answers of two families, or of several names.
const BATCH: Duration = Duration::from_millis(100);

/// The state of discovery on the main thread.
#[derive(Debug, Default)]
pub(super) struct Discovering {
    pub(super) known: Discovered,
    /// When changed endpoints get into service.
    pub(super) due: Option<Time>,
    /// No earlier than this.
    pub(super) not_before: Time,
    /// Until when a reload waits for the first answers of new sources.
    pub(super) awaits_until: Option<Time>,
    /// When to look at the failures of connects, and the number at the last look.
    pub(super) look: Time,
    pub(super) failures: u64,
    /// When the sources may be asked early again.
    pub(super) refresh_from: Time,
}

impl Discovering {
    /// Endpoints have changed.
    pub(super) fn change(&mut self, now: Time) {
        let due = (now + BATCH).max(self.not_before);
        self.due.get_or_insert(due);
    }
}

/// Gives found endpoints to a configuration, without endpoints that lead back to a listener.
pub(super) fn give(known: &Discovered, config: &mut Config) {
    known.give(config);
    if known.is_empty() {
        return;
    }
    let own = OwnAddresses::look();
    for (upstream, endpoint) in config.cut_loops(|ip| own.has(ip)) {
        tracing::warn!(
            upstream,
            %endpoint,
            "a found endpoint is left out: connections would come back to a listener in a loop"
        );
    }
}

pub(super) fn log(known: &Discovered, source: &EndpointSource, noted: &Noted) {
    let view = known.view(source, sys::now());
    let (source, endpoints) = (&view.source, view.endpoints);
    let answer_age_s = view.answer_age_s;
    match noted {
        Noted::Same => {}
        // The log has a line for each upstream.
        Noted::Changed => tracing::debug!(source, endpoints, "a source has other endpoints"),
        Noted::AnswersAgain => tracing::info!(source, endpoints, "a source answers again"),
        Noted::Fails(error) => tracing::warn!(
            source,
            error,
            endpoints,
            answer_age_s,
            "no answer about endpoints: the last ones stay"
        ),
        Noted::Empty => tracing::warn!(
            source,
            endpoints,
            "a source has no endpoint any more: the last ones stay for discovery.empty_after"
        ),
    }
}
