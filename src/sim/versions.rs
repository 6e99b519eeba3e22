//! I10: a session sees a single configuration, and the right configuration.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::records::Record;
use super::version::Version;
use super::violation::Violation;
use super::world::{Applied, World};
use crate::sys::sim::{Closed, MICRO, Mark, with};

/// All configurations of a world, by server and number.
pub(super) struct Versions(HashMap<(usize, usize), Version>);

impl Versions {
    pub(super) fn of(world: &World) -> Self {
        let start = |server| [(server, 0)];
        let starts = (0..world.generations.len()).flat_map(start);
        let reloads = world
            .applied
            .iter()
            .map(|applied| (applied.server, applied.number));
        let all = starts.chain(reloads);
        let version = |key: (usize, usize)| (key, world.plan.version(key.0, key.1));
        Self(all.map(version).collect())
    }

    fn of_record(&self, record: &Record) -> Result<&Version, Violation> {
        let key = Version::of_listener(&record.listener);
        let unknown = || Violation::new("I10", format!("of no configuration: {record:?}"));
        self.0.get(&key).ok_or_else(unknown)
    }

    /// The session reached this endpoint.
    pub(super) fn reached(&self, record: &Record, endpoint: SocketAddr) -> Result<(), Violation> {
        if self.of_record(record)?.endpoints.contains(&endpoint) {
            return Ok(());
        }
        Err(Violation::new(
            "I10",
            format!("{record:?} went to {endpoint}"),
        ))
    }

    /// `end` is the end of the client's connection.
    pub(super) fn check(
        &self,
        world: &World,
        record: &Record,
        end: &Closed,
    ) -> Result<(), Violation> {
        let bad = |what: &str| Err(Violation::new("I10", format!("{what}: {record:?}")));
        let timeouts = self.of_record(record)?.timeouts;
        let limit = match (&*record.ended, timeouts) {
            ("lifetime", None) => return bad("its configuration has no lifetime"),
            ("lifetime", Some(timeouts)) => match timeouts.lifetime {
                None => return bad("its configuration has no lifetime"),
                limit => limit,
            },
            ("idle_timeout", Some(timeouts)) => Some(timeouts.idle),
            ("half_close_timeout", Some(timeouts)) => Some(timeouts.half_close),
            _ => None,
        };
        let lasted = (record.total_us + 1) * MICRO;
        if limit.is_some_and(|limit| lasted < limit) {
            return bad("ended before the timeout of its configuration");
        }
        if !record.listener.starts_with("echo") {
            world.check_outages(record, &self.of_record(record)?.endpoints)?;
        }
        let (server, number) = Version::of_listener(&record.listener);
        let is_later = |applied: &&Applied| applied.server == server && applied.number > number;
        for later in world.applied.iter().filter(is_later) {
            if record.at > later.at {
                with(|kernel| kernel.pass(Mark::EarlierGenerationEnded));
            }
            let stays = !record.listener.starts_with("echo") || world.always_has_echo();
            let switched = later.on_all_lanes;
            if stays && switched.is_some_and(|switched| end.accepted_at > switched) {
                return bad(&format!(
                    "accepted after reload {} was on all lanes",
                    later.number
                ));
            }
        }
        Ok(())
    }
}

impl World {
    /// Whether all configurations have the listener of echoes.
    pub(super) fn always_has_echo(&self) -> bool {
        let version = |applied: &Applied| self.plan.version(applied.server, applied.number);
        self.applied
            .iter()
            .map(version)
            .all(|version| version.has_echo)
    }

    /// I6, when no event is left: no session and no accept loop keeps an earlier configuration.
    pub(super) fn check_past(&self) -> Result<(), Violation> {
        let sessions = |lane: &super::generation::LaneState| lane.stats.sessions();
        for server in &self.generations {
            let live: u64 = server.lanes.iter().map(sessions).sum();
            let past = server.past();
            if live == 0 && past > 0 && !self.was_killed {
                let what = format!("{past} listeners of the past are kept without a session");
                return Err(Violation::new("I6", what));
            }
        }
        Ok(())
    }
}
