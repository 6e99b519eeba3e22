//! I9 for the most sessions of endpoints, and for the queue.

use super::records::Record;
use super::version::DEAD;
use super::violation::Violation;
use super::world::World;
use crate::sys::sim::{Fault, MICRO, MILLI, with};

/// Turns come late by 20 ms at most, and a session may be chosen for before its begin.
const MARGIN: u64 = 50 * MILLI;

impl World {
    /// I9: no endpoint has more sessions than allowed, by the count and by its connections.
    pub(super) fn check_places(&self, server: usize) -> Result<(), Violation> {
        let Some(places) = self.plan.places(server) else {
            return Ok(());
        };
        let Some(upstream) = self.generations[server].upstream() else {
            return Ok(());
        };
        let endpoints = upstream.endpoint_states(crate::sys::now());
        for endpoint in endpoints {
            let (sessions, to) = (endpoint.sessions, endpoint.address);
            // Connects to an address without a listener reach no server with a limit.
            let connections = match to == DEAD {
                true => 0,
                false => with(|kernel| kernel.connections_to(to)),
            };
            if sessions > places || connections > places {
                let what =
                    format!("{sessions} sessions, {connections} connections of {places}: {to}");
                return Err(Violation::new("I9", what));
            }
            if sessions == places {
                with(|kernel| kernel.marks.strike(Fault::FewPlaces));
            }
        }
        Ok(())
    }

    /// I9, before time advances: no session waits in the queue uncalled while there is room.
    pub(super) fn check_called(&self) -> Result<(), Violation> {
        // Room in a later configuration is not for a session of an earlier one.
        let alone = self.generations.iter().filter(|g| g.past() == 0);
        let upstreams = alone.filter_map(|g| g.upstream());
        let mut upstreams = upstreams.filter(|upstream| upstream.has_forgotten());
        if let Some(upstream) = upstreams.next() {
            let what = {
                let live: Vec<usize> = upstream.live_sessions().collect();
                format!("a session waits with room: {live:?}")
            };
            return Err(Violation::new("I9", what));
        }
        Ok(())
    }

    /// I9: a session that waited in vain was passed by no later session of its configuration.
    pub(super) fn check_queue(&self, records: &[Record]) -> Result<(), Violation> {
        if self.plan.faults.has(Fault::Frozen) {
            // A session may begin long after its choice.
            return Ok(());
        }
        let began = |of: &Record| of.at.saturating_sub(of.total_us * MICRO);
        for waited in records.iter().filter(|of| of.ended == "queue_timeout") {
            let passed = |later: &&Record| {
                let Some(connect_us) = later.connect_us else {
                    return false;
                };
                later.listener == waited.listener
                    && began(later) > began(waited) + MARGIN
                    && began(later) + connect_us * MICRO + MARGIN < waited.at
            };
            if let Some(later) = records.iter().find(passed) {
                let what = format!("{later:?} passed {waited:?}");
                return Err(Violation::new("I9", what));
            }
        }
        Ok(())
    }
}
