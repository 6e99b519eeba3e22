//! All checks of the process: a task for each endpoint, with one check at a time, and a bound on
//! all checks together.
//!
//! The control thread alone uses the state, and never over a wait. State is kept by the names of an
//! upstream and an endpoint, and outlives a configuration.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::judge::{Change, Judge, Rules, first_wait};
use super::log;
use super::outcome::{Kind, Outcome};
use super::probe::Probe;
use super::run::check;
use super::watch::Watch;
use crate::control::random::Random;
use crate::control::verdict::{HealthView, Verdict};
use crate::runtime::LogInterval;
use crate::stats::{HealthStats, micros};
use crate::sys;

/// The name of an upstream, and an address.
type Name = (Arc<str>, SocketAddr);

/// The checks of the process.
#[derive(Debug)]
pub(crate) struct Keeper {
    state: Mutex<HashMap<Name, Entry>>,
    /// Limits the sockets of checks.
    places: Semaphore,
    random: Mutex<Random>,
    local: LogInterval,
}

/// An endpoint and its verdict.
#[derive(Debug)]
struct Entry {
    watch: Arc<Watch>,
    judge: Judge,
    /// Of the last bad check, until the endpoint is up.
    reason: Option<String>,
    stats: Arc<HealthStats>,
    task: AbortHandle,
    /// The options of the checks have changed.
    changed: Arc<Notify>,
}

/// An endpoint for a page of metrics.
#[derive(Debug)]
pub(in crate::control) struct Watching {
    pub(in crate::control) upstream: Arc<str>,
    pub(in crate::control) address: SocketAddr,
    pub(in crate::control) verdict: Verdict,
    pub(in crate::control) stats: Arc<HealthStats>,
}

impl Keeper {
    /// No endpoint yet; at most `places` checks at a time.
    pub(in crate::control) fn new(places: usize) -> Self {
        Self {
            state: Mutex::default(),
            places: Semaphore::new(places),
            random: Mutex::default(),
            local: LogInterval::default(),
        }
    }

    /// Watches these endpoints from now on, and no further ones. Verdicts of endpoints that stay
    /// are kept.
    pub(in crate::control) fn watch(self: &Arc<Self>, watches: Vec<Watch>) {
        let mut before = self.with(std::mem::take);
        for watch in watches {
            let name = (Arc::clone(&watch.upstream), watch.address);
            let watch = Arc::new(watch);
            let entry = match before.remove(&name) {
                Some(entry) => entry.go_on(watch),
                None => self.begin(&name, watch),
            };
            self.with(|entries| entries.insert(name, entry));
        }
        for entry in before.into_values() {
            entry.task.abort();
            // Without a check nothing is known.
            entry.watch.endpoint.set(Verdict::Unknown);
        }
    }

    fn begin(self: &Arc<Self>, name: &Name, watch: Arc<Watch>) -> Entry {
        let changed = Arc::new(Notify::new());
        let task = tokio::spawn(keep_checking(
            Arc::clone(self),
            name.clone(),
            Arc::clone(&changed),
        ));
        Entry {
            watch,
            judge: Judge::new(sys::now()),
            reason: None,
            stats: Arc::new(HealthStats::new(&Kind::WORDS)),
            task: task.abort_handle(),
            changed,
        }
    }

    /// The verdict for an answer of the API.
    pub(in crate::control) fn view(&self, upstream: &str, address: SocketAddr) -> HealthView {
        let name = (Arc::from(upstream), address);
        self.with(|entries| {
            let Some(of) = entries.get(&name) else {
                return HealthView::default();
            };
            let since = sys::now().since(of.judge.since());
            HealthView {
                health: of.judge.verdict().word(),
                health_reason: of.reason.clone(),
                health_for_ms: Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            }
        })
    }

    /// All endpoints, for a page of metrics.
    pub(in crate::control) fn watching(&self) -> Vec<Watching> {
        let watching = |((upstream, address), of): (&Name, &Entry)| Watching {
            upstream: Arc::clone(upstream),
            address: *address,
            verdict: of.judge.verdict(),
            stats: Arc::clone(&of.stats),
        };
        let mut all: Vec<_> = self.with(|entries| entries.iter().map(watching).collect());
        all.sort_by(|one, next| (&one.upstream, one.address).cmp(&(&next.upstream, next.address)));
        all
    }

    /// Notes the result of a check; returns the time from its begin to the next. `None` if the
    /// endpoint is no longer watched.
    fn note(&self, name: &Name, outcome: &Outcome, took: Duration) -> Option<Duration> {
        let fraction = self.fraction();
        self.with(|entries| {
            let of = entries.get_mut(name)?;
            of.stats.checks.count(outcome.kind().index());
            let rules = Rules::of(&of.watch.health);
            let change = match outcome {
                Outcome::Local(error) => {
                    log::lacks(&self.local, &of.watch, error);
                    None
                }
                Outcome::Good => {
                    of.stats.duration.record(micros(took));
                    of.judge.note(true, &rules, sys::now())
                }
                Outcome::Bad(fault) => {
                    of.reason = Some(fault.reason.clone());
                    of.judge.note(false, &rules, sys::now())
                }
            };
            if let Some(change) = change {
                of.turn(change);
            }
            Some(of.judge.wait(&rules, fraction))
        })
    }

    fn fraction(&self) -> f64 {
        let mut random = self.random.try_lock().expect(ALONE);
        random.fraction()
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Name, Entry>) -> T) -> T {
        look(&mut self.state.try_lock().expect(ALONE))
    }

    fn watch_of(&self, name: &Name) -> Option<Arc<Watch>> {
        self.with(|entries| entries.get(name).map(|of| Arc::clone(&of.watch)))
    }
}

const ALONE: &str = "the control thread alone locks, and never over a wait";

impl Entry {
    /// The same endpoint in a further configuration.
    fn go_on(mut self, watch: Arc<Watch>) -> Self {
        if self.watch.health != watch.health {
            self.changed.notify_one();
        }
        self.watch = watch;
        self.watch.endpoint.set(self.judge.verdict());
        self
    }

    fn turn(&mut self, change: Change) {
        self.watch.endpoint.set(change.to);
        log::turned(&self.watch, change, self.reason.as_deref());
        if change.to == Verdict::Up {
            self.reason = None;
        }
    }
}

/// Checks an endpoint until it is no longer watched.
async fn keep_checking(keeper: Arc<Keeper>, name: Name, changed: Arc<Notify>) {
    let Some(watch) = keeper.watch_of(&name) else {
        return;
    };
    sleep(first_wait(&Rules::of(&watch.health), keeper.fraction())).await;
    loop {
        // Closed never: the keeper lives as long as the process.
        let Ok(_place) = keeper.places.acquire().await else {
            return;
        };
        let Some(watch) = keeper.watch_of(&name) else {
            return;
        };
        let Some(kind) = &watch.health.check else {
            return;
        };
        let begun = Instant::now();
        let checked = check(&watch, Probe::new(kind, watch.to())).await;
        let Some(wait) = keeper.note(&name, &checked.outcome, begun.elapsed()) else {
            return;
        };
        checked.leave().await;
        drop(_place);
        // Sooner, if a reload has changed the times.
        _ = timeout(wait.saturating_sub(begun.elapsed()), changed.notified()).await;
    }
}
