//! All checks of the process: a task for each endpoint, with one check at a time, and a bound on
//! all checks together.
//!
//! The control thread alone uses the state, and never over a wait. State is kept by the names of an
//! upstream and an endpoint, and outlives a configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::entry::Entry;
use super::group::Group;
use super::judge::{Rules, first_wait};
use super::log;
use super::outcome::Outcome;
use super::probe::Probe;
use super::run::check;
use super::watch::Watch;
use crate::config::OnRemoved;
use crate::control::random::Random;
use crate::control::verdict::{HealthView, Verdict};
use crate::runtime::LogInterval;
use crate::stats::{HealthStats, micros};
use crate::sys;

/// The interval between looks at the failures of sessions and at the states of operators.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The name of an upstream, and an address.
type Name = (Arc<str>, SocketAddr);
type Groups = BTreeMap<Arc<str>, Group>;

/// Ends the sessions of an endpoint of an upstream, as a rule says, in the background. An abort of
/// the task leaves the rest of the sessions alone.
pub(in crate::control) type EndSessions =
    dyn Fn(&Arc<str>, SocketAddr, OnRemoved) -> Option<AbortHandle> + Send + Sync;

/// The checks of the process.
pub(crate) struct Keeper {
    end_sessions: Box<EndSessions>,
    state: Mutex<Groups>,
    /// Looks at the failures of sessions, while a group is looked at.
    looking: Mutex<Option<AbortHandle>>,
    /// Limits the sockets of checks.
    places: Semaphore,
    random: Mutex<Random>,
    local: LogInterval,
}

/// An endpoint for a page of metrics.
#[derive(Debug)]
pub(in crate::control) struct Watching {
    pub(in crate::control) upstream: Arc<str>,
    pub(in crate::control) address: SocketAddr,
    pub(in crate::control) verdict: Verdict,
    pub(in crate::control) stats: Arc<HealthStats>,
}

/// An upstream for a page of metrics.
#[derive(Debug)]
pub(in crate::control) struct Panicking {
    pub(in crate::control) upstream: Arc<str>,
    pub(in crate::control) is_in_panic: bool,
    pub(in crate::control) panics: u64,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Keeper {
    /// No endpoint yet; at most `places` checks at a time.
    pub(in crate::control) fn new(end_sessions: Box<EndSessions>, places: usize) -> Self {
        Self {
            end_sessions,
            state: Mutex::default(),
            looking: Mutex::default(),
            places: Semaphore::new(places),
            random: Mutex::default(),
            local: LogInterval::default(),
        }
    }

    /// Watches these endpoints from now on, and no further ones. Verdicts of endpoints that stay
    /// are kept.
    pub(in crate::control) fn watch(self: &Arc<Self>, watches: Vec<Watch>) {
        let now = sys::now();
        let mut before = self.with(std::mem::take);
        let mut groups = Groups::new();
        for watch in watches {
            let watch = Arc::new(watch);
            let name = Arc::clone(&watch.upstream);
            let known = before.get_mut(&name);
            let known = known.and_then(|group| group.entries.remove(&watch.address));
            let mut entry = match known {
                Some(mut entry) => {
                    entry.go_on(Arc::clone(&watch));
                    entry
                }
                None => Entry::new(Arc::clone(&watch), now),
            };
            if watch.health.check.is_some() && entry.task.is_none() {
                entry.task = Some(self.begin(&watch, &entry.changed));
            }
            let new = || Group::new(Arc::clone(&name), Arc::clone(&watch.health));
            let group = groups.entry(Arc::clone(&name)).or_insert_with(new);
            entry.turn(None, now);
            group.entries.insert(watch.address, entry);
        }
        for (name, group) in before {
            if let Some(present) = groups.get_mut(&name) {
                (present.panic, present.panics) = (group.panic, group.panics);
            }
            group.entries.into_values().for_each(Entry::forget);
        }
        groups.values_mut().for_each(|group| group.weigh());
        let is_looked_at = groups.values().any(Group::is_looked_at);
        self.with(|state| *state = groups);
        self.look_if(is_looked_at);
    }

    fn begin(self: &Arc<Self>, watch: &Watch, changed: &Arc<Notify>) -> AbortHandle {
        let name = (Arc::clone(&watch.upstream), watch.address);
        let task = keep_checking(Arc::clone(self), name, Arc::clone(changed));
        tokio::spawn(task).abort_handle()
    }

    /// Starts or ends the looks at failures of sessions.
    fn look_if(self: &Arc<Self>, is_looked_at: bool) {
        let mut looking = self.looking.try_lock().expect(ALONE);
        match (looking.is_some(), is_looked_at) {
            (false, true) => {
                let task = tokio::spawn(keep_looking(Arc::clone(self)));
                *looking = Some(task.abort_handle());
            }
            (true, false) => looking.take().iter().for_each(AbortHandle::abort),
            (false, false) | (true, true) => {}
        }
    }

    /// Overrules the checks with this verdict, or obeys the checks again. Returns whether the
    /// endpoint is watched.
    pub(in crate::control) fn force(
        &self,
        upstream: &str,
        address: SocketAddr,
        verdict: Option<Verdict>,
    ) -> bool {
        let now = sys::now();
        self.with(|groups| {
            let Some(group) = groups.get_mut(upstream) else {
                return false;
            };
            let Some(of) = group.entries.get_mut(&address) else {
                return false;
            };
            of.force(verdict);
            if of.turn(None, now) {
                of.ending = self.end_sessions_of(&of.watch);
            }
            group.weigh();
            true
        })
    }

    /// The verdict for an answer of the API.
    pub(in crate::control) fn view(&self, upstream: &str, address: SocketAddr) -> HealthView {
        self.with(|groups| {
            let group = groups.get(upstream);
            let Some(of) = group.and_then(|group| group.entries.get(&address)) else {
                return HealthView::default();
            };
            let lasts = of.lasts(sys::now()).as_millis();
            HealthView {
                health: of.verdict().word(),
                health_reason: of.reason(),
                health_for_ms: Some(u64::try_from(lasts).unwrap_or(u64::MAX)),
            }
        })
    }

    /// All endpoints, for a page of metrics.
    pub(in crate::control) fn watching(&self) -> Vec<Watching> {
        let watching = |group: &Group| {
            let name = Arc::clone(&group.name);
            let entries = group.entries.iter();
            let of = |(address, of): (&SocketAddr, &Entry)| Watching {
                upstream: Arc::clone(&name),
                address: *address,
                verdict: of.verdict(),
                stats: Arc::clone(&of.stats),
            };
            entries.map(of).collect::<Vec<_>>()
        };
        self.with(|groups| groups.values().flat_map(watching).collect())
    }

    /// All upstreams that may panic, for a page of metrics.
    pub(in crate::control) fn panicking(&self) -> Vec<Panicking> {
        self.with(|groups| {
            let groups = groups.values();
            let may = groups.filter(|of| of.health.rules.panic_below.is_some());
            let of = |group: &Group| Panicking {
                upstream: Arc::clone(&group.name),
                is_in_panic: group.panic.is_some(),
                panics: group.panics,
            };
            may.map(of).collect()
        })
    }

    /// Notes the result of a check; returns the time from its begin to the next. `None` if the
    /// endpoint is no longer watched.
    fn note(&self, name: &Name, outcome: &Outcome, took: Duration) -> Option<Duration> {
        let (fraction, now) = (self.fraction(), sys::now());
        self.with(|groups| {
            let group = groups.get_mut(&name.0)?;
            let of = group.entries.get_mut(&name.1)?;
            of.stats.checks.count(outcome.kind().index());
            let rules = Rules::of(&of.watch.health);
            let change = match outcome {
                Outcome::Local(error) => {
                    log::lacks(&self.local, &of.watch, error);
                    None
                }
                Outcome::Good => {
                    of.stats.duration.record(micros(took));
                    of.forget_fault();
                    of.judge.note(true, &rules)
                }
                Outcome::Bad(fault) => {
                    of.reason = Some(fault.reason.clone());
                    of.judge.note(false, &rules)
                }
            };
            let wait = of.judge.wait(&rules, fraction);
            if change.is_some() {
                if of.turn(change, now) {
                    of.ending = self.end_sessions_of(&of.watch);
                }
                group.weigh();
            }
            Some(wait)
        })
    }

    fn end_sessions_of(&self, watch: &Watch) -> Option<AbortHandle> {
        (self.end_sessions)(&watch.upstream, watch.address, watch.health.rules.on_down)
    }

    fn fraction(&self) -> f64 {
        let mut random = self.random.try_lock().expect(ALONE);
        random.fraction()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Groups) -> T) -> T {
        look(&mut self.state.try_lock().expect(ALONE))
    }

    fn watch_of(&self, (upstream, address): &Name) -> Option<Arc<Watch>> {
        self.with(|groups| {
            let of = groups.get(upstream)?.entries.get(address)?;
            Some(Arc::clone(&of.watch))
        })
    }
}

const ALONE: &str = "the control thread alone locks, and never over a wait";

/// Checks an endpoint until it is no longer watched.
async fn keep_checking(keeper: Arc<Keeper>, name: Name, changed: Arc<Notify>) {
    let Some(watch) = keeper.watch_of(&name) else {
        return;
    };
    sleep(first_wait(&Rules::of(&watch.health), keeper.fraction())).await;
    loop {
        // Closed never: the keeper lives as long as the process.
        let Ok(place) = keeper.places.acquire().await else {
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
        drop(place);
        // Sooner, if a reload has changed the times.
        _ = timeout(wait.saturating_sub(begun.elapsed()), changed.notified()).await;
    }
}

/// Looks at the failures of sessions and at the states of operators.
#[expect(clippy::infinite_loop, reason = "aborted when no group is looked at")]
async fn keep_looking(keeper: Arc<Keeper>) {
    loop {
        sleep(LOOK_EVERY).await;
        let now = sys::now();
        keeper.with(|groups| {
            let looked_at = groups.values_mut().filter(|group| group.is_looked_at());
            looked_at.for_each(|group| group.look(now));
        });
    }
}
