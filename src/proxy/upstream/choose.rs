//! The choice of an endpoint by a session: the methods of `balance` on the live state of the
//! endpoints. The choice counts the session at once: no two lanes take the same place.

use super::balance::{self, Balance, Level};
use super::claim::Claim;
use super::level::LevelOf;
use super::shared::Upstream;
use crate::runtime::{Handle, PeerAddress, Time};

/// A session that wants an endpoint.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Seeker<'a> {
    pub(in crate::proxy) lane: &'a Handle,
    pub(in crate::proxy) client: PeerAddress,
    /// The indices of endpoints already tried.
    pub(in crate::proxy) tried: &'a [usize],
}

/// A level in the view of a session.
struct Seen<'a> {
    upstream: &'a Upstream,
    level: &'a LevelOf,
    tried: &'a [usize],
    now: Time,
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
        match self.tried.contains(&index) {
            true => 0,
            false => self.upstream.share(index, self.now),
        }
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
    /// the first level with such an endpoint. `None` without such an endpoint.
    pub(in crate::proxy) fn choose(&self, seeker: &Seeker<'_>) -> Option<Claim> {
        let now = seeker.lane.now();
        self.levels.iter().find_map(|level| {
            let seen = Seen {
                upstream: self,
                level,
                tried: seeker.tried,
                now,
            };
            self.choose_in(&seen, seeker)
        })
    }

    fn choose_in(&self, seen: &Seen<'_>, seeker: &Seeker<'_>) -> Option<Claim> {
        let draw = || seeker.lane.random();
        let key = || match seeker.client.inet().map(|client| client.ip()) {
            Some(ip) => balance::client_key(ip, self.options.hash_prefix),
            // Clients of a unix socket have no address.
            None => draw(),
        };
        let at = match self.options.balance {
            Balance::RoundRobin => return self.take_turn(seen),
            Balance::LeastSessions => return self.take_least(seen, draw),
            Balance::TwoChoices => balance::two_choices(seen, draw),
            Balance::First => balance::first(seen),
            Balance::Random => balance::random(seen, draw),
            Balance::Hash => balance::hash(seen, key()),
            Balance::Maglev => seen.level.find(seen, key()),
        };
        let index = seen.index(at?);
        self.endpoints[index].add_session();
        Some(Claim::of_counted(index, &self.endpoints[index]))
    }

    /// The endpoint with the earliest turn. Two lanes never take the same turn.
    fn take_turn(&self, seen: &Seen<'_>) -> Option<Claim> {
        loop {
            let turn = balance::round_robin(seen, self.turns.now())?;
            let index = seen.index(turn.at);
            let endpoint = &self.endpoints[index];
            if endpoint.take_turn(turn.seen, turn.next) {
                self.turns.advance(turn.time);
                endpoint.add_session();
                return Some(Claim::of_counted(index, endpoint));
            }
        }
    }

    /// The endpoint with the fewest sessions, if no lane has changed this number since the look.
    fn take_least(&self, seen: &Seen<'_>, draw: impl Fn() -> u64) -> Option<Claim> {
        loop {
            let (at, load) = balance::least_sessions(seen, &draw)?;
            let index = seen.index(at);
            if self.endpoints[index].add_session_to(load) {
                return Some(Claim::of_counted(index, &self.endpoints[index]));
            }
        }
    }
}
