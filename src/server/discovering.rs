//! Discovery in the life of the process: reports of the control thread, and changed sets of
//! endpoints. Such a set gets into service as a reload does.
//!
//! Changes are put together for a moment, and at most one a second gets into service. The
//! switch of a reload comes first.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::discovered::Noted;
use super::discovery_state::{give, log};
use super::error::ServerError;
use super::reload::Next;
use super::signals::Request;
use super::supervision::{Event, Server};
use crate::config::{self, Config, EndpointSource, nearest_in_words};
use crate::control::{Order, Reloaded, Report, Wanted};
use crate::proxy::Upstream;
use crate::sys::{self, Time};

/// The least time between two changes.
const APART: Duration = Duration::from_secs(1);
/// How often the failures of connects are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The least time between two early looks at the sources of all upstreams.
const REFRESH_APART: Duration = Duration::from_secs(5);

impl Server {
    /// Follows the sources of the configuration in service from now on.
    pub(super) fn follow(&mut self) {
        let sources = self.reloads.config().sources();
        self.discovering.known.keep(&sources);
        self.order_to_follow(self.reloads.config());
    }

    /// Follows all known sources, as a configuration asks them.
    fn order_to_follow(&self, by: &Config) {
        let wanted = Wanted {
            sources: self.discovering.known.sources(),
            resolver: by.resolver.clone(),
            etcd: by.etcd.clone(),
        };
        if let Some(orders) = &self.orders {
            orders.send(Order::Follow(wanted));
        }
    }

    /// Waits for the first answers of all sources, no longer than `discovery.start_wait`, and gives
    /// the endpoints to the first configuration.
    ///
    /// # Errors
    /// [`ServerError::Stopped`] on a request to stop.
    pub(super) fn await_sources(&mut self, first: &mut Next) -> Result<(), ServerError> {
        self.follow();
        let end = sys::now() + self.reloads.config().discovery.start_wait;
        while !self.discovering.known.has_all() && sys::now() < end {
            self.await_report(end)?;
        }
        for (source, error) in self.discovering.known.unanswered() {
            let source = source.to_string();
            tracing::warn!(
                source,
                error,
                "no answer about endpoints yet: sessions that need one end with no_endpoint"
            );
        }
        let known = &self.discovering.known;
        first.give(|config| give(known, config));
        self.discovering.due = None;
        Ok(())
    }

    /// Notes a report of a source.
    pub(super) fn note_report(&mut self, report: Report) {
        let rules = self.reloads.config().discovery;
        let source = report.source.clone();
        let noted = self.discovering.known.note(report, &rules);
        log(&self.discovering.known, &source, &noted);
        if noted == Noted::Changed {
            self.discovering.change(sys::now());
        }
    }

    /// When discovery has something to do next.
    pub(super) fn next_discovery(&self) -> Option<Time> {
        if self.discovering.known.is_empty() {
            return None;
        }
        let rules = &self.reloads.config().discovery;
        let due = self.discovering.due.filter(|_| !self.reloads.is_busy());
        let ends = self.discovering.known.next(rules);
        due.into_iter()
            .chain(ends)
            .chain([self.discovering.look])
            .min()
    }

    /// Puts changed endpoints into service when due, and asks early after failures.
    pub(super) fn discover(&mut self) {
        if self.discovering.known.is_empty() {
            return;
        }
        let (now, rules) = (sys::now(), self.reloads.config().discovery);
        if self.discovering.known.look(now, &rules) {
            self.discovering.change(now);
        }
        if now >= self.discovering.look {
            self.discovering.look = now + LOOK_EVERY;
            self.refresh_after_failures(now);
        }
        if self.discovering.due.is_some_and(|due| now >= due) {
            self.discovering.due = None;
            self.discovering.not_before = now + APART;
            self.put_into_service();
        }
    }

    fn put_into_service(&mut self) {
        let mut config = self.reloads.config().clone();
        give(&self.discovering.known, &mut config);
        match self.reloads.prepare_found(config) {
            Ok(next) if next.is_changed() => self.switch(next),
            Ok(_) => {}
            Err(error) => {
                // No socket is opened: no reason for a failure is known.
                tracing::error!(%error, "the endpoints of discovery do not get into service");
            }
        }
    }

    /// Every lane has the found endpoints.
    pub(super) fn end_discovery(&self, result: &Reloaded) {
        for change in &result.lines {
            tracing::info!(generation = result.generation, "found: {change}");
        }
    }

    /// Whether a wanted reload still waits for the first answers of new sources.
    pub(super) fn awaits_sources(&mut self) -> bool {
        let now = sys::now();
        let Some(until) = self.discovering.awaits_until else {
            // Mistakes are told by the reload.
            let Some(config) = self.reloads.peek() else {
                return false;
            };
            if !self.discovering.known.add(&config.sources()) {
                return false;
            }
            self.discovering.awaits_until = Some(now + config.discovery.start_wait);
            self.order_to_follow(&config);
            return true;
        };
        let waits = now < until && !self.discovering.known.has_all();
        if !waits {
            self.discovering.awaits_until = None;
        }
        waits
    }

    /// Asks the sources of an upstream now; returns the number, or why there is no such upstream.
    pub(super) fn refresh(&self, upstream: &str) -> Result<usize, String> {
        let mut upstreams = self.reloads.config().upstreams.iter();
        let Some(found) = upstreams.clone().find(|of| of.name == upstream) else {
            let names: Vec<&str> = upstreams.by_ref().map(|of| of.name.as_str()).collect();
            let meant = nearest_in_words(upstream, &names);
            return Err(format!("there is no upstream {upstream:?}; {meant}"));
        };
        let sources: Vec<EndpointSource> = found.sources().cloned().collect();
        let count = sources.len();
        self.order_refresh(sources);
        Ok(count)
    }

    fn order_refresh(&self, sources: Vec<EndpointSource>) {
        if let Some(orders) = self.orders.as_ref().filter(|_| !sources.is_empty()) {
            orders.send(Order::Refresh(sources));
        }
    }

    /// Failing connects may mean an outdated set.
    fn refresh_after_failures(&mut self, now: Time) {
        let upstreams = &self.reloads.config().upstreams;
        let found = |upstream: &&Arc<Upstream>| {
            let mut own = upstreams.iter().filter(|of| of.name == **upstream.name());
            own.any(config::Upstream::has_sources)
        };
        let present = self.reloads.service.generation().upstreams().filter(found);
        let failures = present.flat_map(|of| of.endpoint_states(now).map(|state| state.failures));
        let failures = failures.sum();
        let before = mem::replace(&mut self.discovering.failures, failures);
        if failures > before && now >= self.discovering.refresh_from {
            self.discovering.refresh_from = now + REFRESH_APART;
            let sources = self.discovering.known.sources();
            self.order_refresh(sources.into_iter().collect());
        }
    }

    /// The next event, until `end`.
    fn await_report(&mut self, end: Time) -> Result<(), ServerError> {
        match self.next(Some(end))? {
            Some(Event::Request(Request::Stop(_))) => Err(ServerError::Stopped),
            Some(Event::Request(Request::Reload)) => {
                self.wanted.by_signal = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
