//! An endpoint that is watched: its verdict from checks and from sessions, published on change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::ejection::{Ejector, Seen, Turn};
use super::judge::{Change, Judge};
use super::log;
use super::outcome::Kind;
use super::watch::Watch;
use crate::config::Ejection;
use crate::control::verdict::Verdict;
use crate::stats::HealthStats;
use crate::sys::Time;

/// An endpoint and its verdict.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) watch: Arc<Watch>,
    pub(super) judge: Judge,
    pub(super) ejector: Ejector,
    /// By an operator, in place of the checks and of the sessions.
    forced: Option<Verdict>,
    /// Of the last bad check or of the ejection, until the endpoint is usable.
    pub(super) reason: Option<String>,
    /// The time of the last change.
    pub(super) since: Time,
    /// The verdict of the last look.
    verdict: Verdict,
    /// What the lanes know.
    published: bool,
    pub(super) stats: Arc<HealthStats>,
    /// The task of the checks.
    pub(super) task: Option<AbortHandle>,
    /// The end of sessions since the endpoint went down.
    pub(super) ending: Option<AbortHandle>,
    /// The options of the checks have changed.
    pub(super) changed: Arc<Notify>,
}

impl Entry {
    pub(super) fn new(watch: Arc<Watch>, now: Time) -> Self {
        Self {
            watch,
            judge: Judge::new(),
            ejector: Ejector::default(),
            forced: None,
            reason: None,
            since: now,
            verdict: Verdict::Unknown,
            published: true,
            stats: Arc::new(HealthStats::new(&Kind::WORDS)),
            task: None,
            ending: None,
            changed: Arc::default(),
        }
    }

    /// The verdict of an operator, of the checks, or of the sessions, in this order.
    pub(super) fn verdict(&self) -> Verdict {
        if let Some(forced) = self.forced {
            return forced;
        }
        match self.judge.verdict() {
            Verdict::Down => Verdict::Down,
            _ if self.ejector.is_out() => Verdict::Ejected,
            verdict => verdict,
        }
    }

    /// An operator overrules the checks, or obeys these again.
    pub(super) fn force(&mut self, verdict: Option<Verdict>) {
        self.forced = verdict;
    }

    /// Why the endpoint has its verdict, if there is something to say.
    pub(super) fn reason(&self) -> Option<String> {
        let forced = self
            .forced
            .map(|of| format!("an operator has set {}", of.word()));
        forced.or_else(|| self.reason.clone())
    }

    /// A check is good: a fault that has changed nothing is over.
    pub(super) fn forget_fault(&mut self) {
        if self.verdict().is_usable() {
            self.reason = None;
        }
    }

    /// The same endpoint in a further configuration.
    pub(super) fn go_on(&mut self, watch: Arc<Watch>) {
        if self.watch.health != watch.health {
            self.changed.notify_one();
        }
        if watch.health.check.is_none() {
            // Without a check nothing is known.
            self.judge = Judge::new();
            self.stop_checks();
        }
        if watch.health.rules.eject.is_none() {
            self.ejector = Ejector::default();
        }
        self.watch = watch;
        self.watch.endpoint.set_usable(self.published);
    }

    /// Nothing is known of the endpoint any more.
    pub(super) fn forget(mut self) {
        self.stop_checks();
        self.stop_ending();
        self.watch.endpoint.set_usable(true);
    }

    /// Looks at the failures of sessions; returns whether the endpoint was ejected or is back.
    pub(super) fn look(&mut self, rules: &Ejection, now: Time, has_room: bool) -> bool {
        let Seen { connects, resets } = self.watch.endpoint.seen();
        let seen = Seen { connects, resets };
        match self.ejector.look(seen, rules, now, || has_room) {
            None => return false,
            Some(Turn::Back) => {}
            Some(Turn::Out(time)) => {
                let what = match connects >= resets {
                    true => format!("{connects} connects in a row failed"),
                    false => format!("{resets} sessions in a row were reset before a byte"),
                };
                self.reason = Some(format!("{what}; out for {time:?}"));
                self.stats.ejections.add(1);
            }
        }
        true
    }

    /// Notes the verdict as it is now, and logs a change. Returns whether the endpoint went down.
    pub(super) fn turn(&mut self, change: Option<Change>, now: Time) -> bool {
        let (before, verdict) = (self.verdict, self.verdict());
        if before == verdict {
            return false;
        }
        let lasted = now.since(self.since);
        (self.verdict, self.since) = (verdict, now);
        let checks = change.map(|change| change.checks);
        let reason = self.reason();
        log::turned(&self.watch, verdict, reason.as_deref(), checks, lasted);
        if verdict.is_usable() {
            if self.forced.is_none() {
                self.reason = None;
            }
            self.stop_ending();
            let slow_start = self.watch.health.rules.slow_start;
            if let Some(over) = slow_start.filter(|_| !before.is_usable()) {
                self.watch.endpoint.start_slowly(over);
            }
        }
        verdict == Verdict::Down
    }

    /// Publishes whether sessions may choose the endpoint: by its verdict, or by a panic.
    pub(super) fn publish(&mut self, in_panic: bool) {
        let is_usable = in_panic || self.verdict().is_usable();
        if is_usable != self.published {
            self.published = is_usable;
            self.watch.endpoint.set_usable(is_usable);
        }
    }

    fn stop_checks(&mut self) {
        self.task.take().iter().for_each(AbortHandle::abort);
    }

    fn stop_ending(&mut self) {
        self.ending.take().iter().for_each(AbortHandle::abort);
    }

    /// The time since the last change.
    pub(super) fn lasts(&self, now: Time) -> Duration {
        now.since(self.since)
    }
}
