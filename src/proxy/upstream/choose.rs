//! The choice of an endpoint by a session: the methods of `balance` on the live state of the
//! endpoints. The choice counts the session at once: no two lanes take the same place.

use std::cell::Cell;

use super::balance::{self, Balance, Level};
use super::claim::Claim;
use super::level::LevelOf;
use super::shared::Upstream;
use crate::runtime::{Bug, Handle, PeerAddress, Time, seeded};

/// A session that wants an endpoint.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Seeker<'a> {
    pub(in crate::proxy) lane: &'a Handle,
    pub(in crate::proxy) client: PeerAddress,
    /// The indices of endpoints already tried.
    pub(in crate::proxy) tried: &'a [usize],
    /// The session does not wait behind the sessions of the queue.
    pub(in crate::proxy) is_called: bool,
}

/// The result of a choice.
#[derive(Debug)]
pub(in crate::proxy) enum Choice {
    Claimed(Claim),
    /// The usable endpoints have no room, or sessions wait for room.
    Full,
    /// No endpoint is usable.
    Nothing,
}

/// A level in the view of a session.
struct Seen<'a> {
    upstream: &'a Upstream,
    level: &'a LevelOf,
    tried: &'a [usize],
    now: Time,
    /// A usable endpoint has no room.
    is_full: Cell<bool>,
}

impl Seen<'_> {
    fn index(&self, at: usize) -> usize {
        self.level.index(at)
    }
}

impl Level for Seen<'_> {
    fn count(&self) -> usize {
        self.level.count()
    }

    fn share(&self, at: usize) -> u32 {
        let index = self.index(at);
        if self.tried.contains(&index) {
            return 0;
        }
        let share = self.upstream.share(index, self.now);
        if share > 0 && self.upstream.endpoints[index].room() == 0 {
            self.is_full.set(true);
            return 0;
        }
        share
    }

    fn load(&self, at: usize) -> usize {
        self.upstream.endpoints[self.index(at)].live_sessions()
    }

    fn turn(&self, at: usize) -> u64 {
        self.upstream.endpoints[self.index(at)].turn()
    }

    fn id(&self, at: usize) -> u64 {
        self.upstream.endpoints[self.index(at)].id
    }

    fn largest_share(&self) -> u32 {
        self.level.largest_share()
    }
}

impl Upstream {
    /// Chooses an endpoint and counts the session there: a usable endpoint, not tried before, on
    /// the first level with such an endpoint. A level without room is not passed over.
    pub(in crate::proxy) fn choose(&self, seeker: &Seeker<'_>) -> Choice {
        let must_wait = self.is_limited && !seeker.is_called && self.queued() > 0;
        for level in &self.levels {
            let seen = Seen {
                upstream: self,
                level,
                tried: seeker.tried,
                now: seeker.lane.now(),
                is_full: Cell::new(false),
            };
            if must_wait && !seeded(Bug::QueueJumped) {
                if balance::first(&seen).is_some() || seen.is_full.get() {
                    return Choice::Full;
                }
                continue;
            }
            if let Some(claim) = self.choose_in(&seen, seeker) {
                return Choice::Claimed(claim);
            }
            if seen.is_full.get() {
                return Choice::Full;
            }
        }
        Choice::Nothing
    }

    fn choose_in(&self, seen: &Seen<'_>, seeker: &Seeker<'_>) -> Option<Claim> {
        loop {
            let claim = self.claim_in(seen, seeker)?;
            if claim.is_some() {
                return claim;
            }
        }
    }

    /// An endpoint of the level; `Some(None)` if a lane was faster.
    fn claim_in(&self, seen: &Seen<'_>, seeker: &Seeker<'_>) -> Option<Option<Claim>> {
        let draw = || seeker.lane.random();
        let key = || match seeker.client.inet().map(|client| client.ip()) {
            Some(ip) => balance::client_key(ip, self.options.hash_prefix),
            // Clients of a unix socket have no address.
            None => draw(),
        };
        let at = match self.options.balance {
            Balance::RoundRobin => self.take_turn(seen),
            Balance::LeastSessions => {
                let (at, load) = balance::least_sessions(seen, draw)?;
                let index = seen.index(at);
                let is_added = self.endpoints[index].add_session_to(load);
                return Some(is_added.then(|| self.claimed(index)));
            }
            Balance::TwoChoices => balance::two_choices(seen, draw),
            Balance::First => balance::first(seen),
            Balance::Random => balance::random(seen, draw),
            Balance::Hash => balance::hash(seen, key()),
            Balance::Maglev => seen.level.find(seen, key()),
        };
        let index = seen.index(at?);
        let is_added = self.endpoints[index].add_session();
        Some(is_added.then(|| self.claimed(index)))
    }

    fn claimed(&self, index: usize) -> Claim {
        Claim::of_counted(index, &self.endpoints[index])
    }

    /// The place of the endpoint with the earliest turn. Two lanes never take the same turn.
    fn take_turn(&self, seen: &Seen<'_>) -> Option<usize> {
        loop {
            let turn = balance::round_robin(seen, self.of_name.turns.now())?;
            if self.endpoints[seen.index(turn.at)].take_turn(turn.seen, turn.next) {
                self.of_name.turns.advance(turn.time);
                return Some(turn.at);
            }
        }
    }
}
