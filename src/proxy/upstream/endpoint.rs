//! An endpoint of an upstream, shared by all lanes: its address, administrative state,
//! weight, sessions, failures and health. Chooses nothing and logs nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize};
use std::time::Duration;

use super::admin_state::{AdminState, SharedAdminState};
use super::balance;
use super::of_name::OfName;
use super::options::EndpointOptions;
use super::usable::SharedUsable;
use crate::proxy::end_reason::EndReason;
use crate::runtime::{Bug, LogInterval, Release, Time, seeded};
use crate::stats::{EndpointStats, PerLane};

/// One address of an upstream.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// A number made from the address.
    pub(super) id: u64,
    /// Limits log lines about its failures.
    pub(super) log: LogInterval,
    /// The counters of each lane.
    pub(super) stats: Arc<PerLane<EndpointStats>>,
    /// With the queue for a place here.
    of_name: Arc<OfName>,
    shared: Atomics,
}

/// The words of an endpoint that lanes write. Every session writes at its begin and at its end, so
/// no other data shares the cache line; 128 bytes, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Atomics {
    /// Sessions that hold a lease. Sessions that still connect count.
    live: AtomicUsize,
    /// The most sessions; `UNLIMITED` without a limit.
    most: AtomicUsize,
    /// Failures since the last answer.
    failures: AtomicU64,
    /// 0 while the endpoint answers. Else the time of the first failure since the last answer, in
    /// nanoseconds, times two, plus 1 if the log has a line about a failure since then.
    health: AtomicU64,
    /// Turns of the source addresses. A count for all endpoints would advance in step with the
    /// turns of the endpoints, and each endpoint would always get the same sources.
    source_turns: AtomicUsize,
    /// The next turn of round robin.
    turn: AtomicU64,
    /// Read by each choice, of which most write `live` at once.
    admin: SharedAdminState,
    /// The weight by the latest configuration or operator. Written by the main thread.
    weight: AtomicU16,
    /// The weight of the present configuration.
    configured_weight: AtomicU16,
    /// As the health checks say.
    usable: SharedUsable,
    /// Sessions that the endpoint has reset before its first byte, since the last first byte.
    early_resets: AtomicU64,
}

/// More sessions than there can be.
const UNLIMITED: usize = usize::MAX;

fn most(options: &EndpointOptions) -> usize {
    options.max_sessions.unwrap_or(UNLIMITED)
}

impl Release for Endpoint {
    fn release(&self) {
        self.remove_session();
    }
}

/// A time without an answer of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) lasted: Duration,
    pub(super) failures: u64,
    /// The log has a line about a failure.
    pub(super) was_logged: bool,
}

impl Endpoint {
    pub(super) fn new(
        options: &EndpointOptions,
        of_name: &Arc<OfName>,
        stats: Arc<PerLane<EndpointStats>>,
    ) -> Self {
        let (shared, address) = (Atomics::default(), options.address);
        shared.weight.store(options.weight, Relaxed);
        shared.configured_weight.store(options.weight, Relaxed);
        shared.most.store(most(options), Relaxed);
        Self {
            address,
            id: balance::key_of_address(address),
            log: LogInterval::default(),
            stats,
            of_name: Arc::clone(of_name),
            shared,
        }
    }

    /// The part of new sessions relative to the endpoints of the level, 0 to 65,536: the weight, in
    /// 256ths.
    pub(super) fn share(&self, now: Time) -> u32 {
        self.shared.usable.ramp(Self::share_of(self.weight()), now)
    }

    /// The share for a weight.
    pub(super) fn share_of(weight: u16) -> u32 {
        u32::from(weight) << 8
    }

    /// 0 to 256.
    pub(super) fn weight(&self) -> u16 {
        self.shared.weight.load(Relaxed)
    }

    pub(super) fn set_weight(&self, weight: u16) {
        self.shared.weight.store(weight, Relaxed);
    }

    /// A configuration with this weight begins. A weight by an operator stays until the weight in
    /// the configuration changes.
    pub(super) fn configure(&self, options: &EndpointOptions) {
        let weight = options.weight;
        self.shared.most.store(most(options), Relaxed);
        if self.shared.configured_weight.swap(weight, Relaxed) != weight {
            self.shared.weight.store(weight, Relaxed);
        }
    }

    /// The next turn of round robin.
    pub(super) fn turn(&self) -> u64 {
        self.shared.turn.load(Relaxed)
    }

    /// Takes the turn with the time `seen` by a choice; `false` if a lane was faster.
    pub(super) fn take_turn(&self, seen: u64, next: u64) -> bool {
        let turn = &self.shared.turn;
        turn.compare_exchange(seen, next, Relaxed, Relaxed).is_ok()
    }

    /// The counters of a lane, for the lane itself.
    pub(super) fn stats_of(&self, lane: usize) -> &EndpointStats {
        let new = || EndpointStats::new(&EndReason::WORDS, &EndReason::CAUSE_WORDS);
        self.stats.of(lane, new)
    }

    pub(super) fn admin_state(&self) -> AdminState {
        self.shared.admin.get()
    }

    pub(super) fn set_admin_state(&self, state: AdminState) {
        self.shared.admin.set(state);
    }

    /// Forgets the settings by an operator.
    pub(super) fn forget_operator(&self) {
        let Atomics {
            admin,
            weight,
            configured_weight,
            ..
        } = &self.shared;
        admin.set(AdminState::Ready);
        weight.store(configured_weight.load(Relaxed), Relaxed);
        self.set_usable(true);
    }

    /// Whether the health checks let sessions choose the endpoint.
    pub(super) fn is_usable(&self) -> bool {
        self.shared.usable.get()
    }

    pub(super) fn early_resets(&self) -> u64 {
        self.shared.early_resets.load(Relaxed)
    }

    pub(super) fn note_early_reset(&self) {
        self.shared.early_resets.fetch_add(1, Relaxed);
    }

    /// While no session is reset early, the cost is a load.
    pub(super) fn note_first_byte(&self) {
        let early_resets = &self.shared.early_resets;
        if early_resets.load(Relaxed) != 0 {
            early_resets.store(0, Relaxed);
        }
    }

    pub(super) fn start_slowly(&self, now: Time, over: Duration) {
        self.shared.usable.start_slowly(now, over);
    }

    pub(super) fn set_usable(&self, is_usable: bool) {
        self.shared.usable.set(is_usable);
    }

    pub(super) fn live_sessions(&self) -> usize {
        self.shared.live.load(Relaxed)
    }

    /// Failures since the last answer.
    pub(super) fn failures(&self) -> u64 {
        self.shared.failures.load(Relaxed)
    }

    /// The time since the first failure behind the last answer; `None` while the endpoint answers.
    pub(super) fn failing(&self, now: Time) -> Option<Duration> {
        let health = self.shared.health.load(Relaxed);
        (health != 0).then(|| now.since(Time::from_nanos(health >> 1)))
    }

    /// Counts one session more, for a [`Claim`](super::Claim), if the limit has room for one.
    pub(super) fn add_session(&self) -> bool {
        let (live, most) = (&self.shared.live, self.most());
        if most == UNLIMITED {
            live.fetch_add(1, Relaxed);
            return true;
        }
        let room = |live: usize| (live < most).then_some(live + 1);
        live.fetch_update(Relaxed, Relaxed, room).is_ok()
    }

    /// As [`Self::add_session`], if there are still so many sessions.
    pub(super) fn add_session_to(&self, load: usize) -> bool {
        let live = &self.shared.live;
        load < self.most()
            && live
                .compare_exchange(load, load + 1, Relaxed, Relaxed)
                .is_ok()
    }

    fn most(&self) -> usize {
        let most = self.shared.most.load(Relaxed);
        most.saturating_add(usize::from(seeded(Bug::PlaceRaced)))
    }

    /// The most sessions; `None` without a limit.
    pub(super) fn limit(&self) -> Option<usize> {
        Some(self.most()).filter(|most| *most != UNLIMITED)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.most() != UNLIMITED
    }

    /// Sessions that may still come.
    pub(super) fn room(&self) -> usize {
        self.most().saturating_sub(self.live_sessions())
    }

    /// Whether new sessions may choose the endpoint, by the operator and by the checks.
    pub(super) fn is_open(&self) -> bool {
        self.admin_state() == AdminState::Ready && self.is_usable() && self.weight() > 0
    }

    /// Counts one session less: of a dropped claim, or of a released lease.
    pub(super) fn remove_session(&self) {
        let before = self.shared.live.fetch_sub(1, AcqRel);
        debug_assert!(before > 0, "a lease released twice");
        if self.is_limited() {
            let room = || if self.is_open() { self.room() } else { 0 };
            self.of_name.queue.call_for_new_room(room);
        }
    }

    /// The next turn of its source addresses.
    pub(super) fn take_source_turn(&self) -> usize {
        self.shared.source_turns.fetch_add(1, Relaxed)
    }

    /// A connect has failed through no fault of this machine. `is_logged`: the log has a line.
    pub(super) fn set_failed(&self, now: Time, is_logged: bool) {
        let Atomics {
            failures, health, ..
        } = &self.shared;
        failures.fetch_add(1, Relaxed);
        let begun = now.as_nanos().max(1) << 1;
        let logged = u64::from(is_logged);
        let first = health.compare_exchange(0, begun | logged, Relaxed, Relaxed);
        if first.is_err() {
            health.fetch_or(logged, Relaxed);
        }
    }

    /// A connect has succeeded. Returns the outage that ends here, if any. While all connects
    /// succeed, the cost is a load.
    pub(super) fn set_answered(&self, now: Time) -> Option<Outage> {
        let Atomics {
            failures, health, ..
        } = &self.shared;
        if health.load(Relaxed) == 0 {
            return None;
        }
        let since = health.swap(0, Relaxed);
        let failures = failures.swap(0, Relaxed);
        // 0 if another lane has ended the outage.
        (since != 0).then(|| Outage {
            lasted: now.since(Time::from_nanos(since >> 1)),
            failures,
            was_logged: since & 1 == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Endpoint, EndpointOptions, Outage};
    use crate::runtime::Time;
    use crate::stats::PerLane;

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_next_answer() {
        let stats = Arc::new(PerLane::new(1));
        let options = EndpointOptions::plain("127.0.0.1:1".parse().unwrap());
        let endpoint = Endpoint::new(&options, &Arc::default(), stats);
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        assert_eq!(endpoint.set_answered(at(1)), None);
        endpoint.set_failed(at(2), false);
        endpoint.set_failed(at(3), true);
        endpoint.set_failed(at(4), false);
        let outage = Outage {
            lasted: Duration::from_secs(5),
            failures: 3,
            was_logged: true,
        };
        assert_eq!(endpoint.set_answered(at(7)), Some(outage));
        assert_eq!(endpoint.set_answered(at(8)), None);
        endpoint.set_failed(at(9), false);
        let outage = endpoint.set_answered(at(9)).unwrap();
        assert!(!outage.was_logged && outage.failures == 1, "{outage:?}");
    }
}
