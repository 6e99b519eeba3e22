//! The counters of the process by name: they outlive configurations. Used when a generation begins
//! and by readers of the counters, never by a session.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::Time;
use crate::stats::PerLane;

/// How long counters are kept for readers after the last generation and the last session of a name
/// have ended: longer than the time between two scrapes, so that no count is lost. A name that
/// comes back within this time continues its counters, a later one begins at zero.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);

/// The counters of each name, on all lanes. Their number is bounded by the configurations of the
/// last [`KEPT_FOR`] and those of living sessions.
#[derive(Debug)]
pub(crate) struct KnownStats<K, B> {
    lanes: usize,
    named: BTreeMap<K, Kept<B>>,
}

#[derive(Debug)]
struct Kept<B> {
    stats: Arc<PerLane<B>>,
    /// When a look first found no owner of the counters.
    unused_since: Cell<Option<Time>>,
}

impl<K: Ord, B> KnownStats<K, B> {
    /// No name yet, on so many lanes.
    #[must_use]
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes,
            named: BTreeMap::new(),
        }
    }

    /// The counters of a name: the present counters, if there are any.
    pub(crate) fn find(&mut self, name: K) -> Arc<PerLane<B>> {
        let lanes = self.lanes;
        let kept = self.named.entry(name).or_insert_with(|| Kept {
            stats: Arc::new(PerLane::new(lanes)),
            unused_since: Cell::new(None),
        });
        kept.unused_since.set(None);
        Arc::clone(&kept.stats)
    }

    /// Forgets the counters whose time is over.
    pub(crate) fn forget_old(&mut self, now: Time) {
        self.named.retain(|_, kept| kept.is_readable(now));
    }

    /// All names and counters for a reader, sorted by name.
    pub(crate) fn iter(&self, now: Time) -> impl Iterator<Item = (&K, &Arc<PerLane<B>>)> {
        let readable = self
            .named
            .iter()
            .filter(move |(_, kept)| kept.is_readable(now));
        readable.map(|(name, kept)| (name, &kept.stats))
    }
}

impl<B> Kept<B> {
    /// Whether the counters have an owner, or had one a short time ago.
    fn is_readable(&self, now: Time) -> bool {
        if Arc::strong_count(&self.stats) > 1 {
            self.unused_since.set(None);
            return true;
        }
        let since = self.unused_since.get().unwrap_or(now);
        self.unused_since.set(Some(since));
        now.since(since) < KEPT_FOR
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KEPT_FOR, KnownStats};
    use crate::runtime::Time;
    use crate::stats::Counter;

    #[test]
    fn counters_without_an_owner_are_kept_for_a_while() {
        let mut known: KnownStats<&str, Counter> = KnownStats::new(1);
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let kept = KEPT_FOR.as_secs();
        let names = |known: &KnownStats<&'static str, Counter>, now| {
            known.iter(now).map(|(name, _)| *name).collect::<Vec<_>>()
        };
        let owned = known.find("b");
        known.find("a").of(0, Counter::default).add(7);
        assert_eq!(names(&known, at(5)), ["a", "b"]);
        assert_eq!(names(&known, at(4 + kept)), ["a", "b"]);
        // The name comes back in time, and leaves again.
        assert_eq!(known.find("a").sum(Counter::value), 7);
        assert_eq!(names(&known, at(5 + kept)), ["a", "b"]);
        assert_eq!(names(&known, at(5 + 2 * kept)), ["b"]);
        known.forget_old(at(5 + 2 * kept));
        assert_eq!(
            known.find("a").sum(Counter::value),
            0,
            "a later owner begins at zero"
        );
        drop(owned);
        assert_eq!(names(&known, at(6 + 2 * kept)), ["a", "b"]);
        assert_eq!(names(&known, at(6 + 3 * kept)), [""; 0]);
    }
}
