//! An operator and health checks take endpoints out of service at random moments, and back: no
//! session begins and ends on an endpoint that was out all the time.

use std::net::SocketAddr;

use super::outage::{Cause, Outage};
use super::records::Record;
use super::run::STATE;
use super::violation::Violation;
use super::world::World;
use crate::sys::sim::{Fault, MICRO, Mark, with};

impl World {
    /// Makes the planned change that is due, in the server that accepts.
    pub(super) fn change_state(&mut self) {
        let change = self.changes.0.remove(0);
        self.await_change();
        let Some(server) = self.generations.iter().rposition(|g| !g.is_stopping) else {
            return;
        };
        let endpoints = self.plan.version(server, self.number_of(server)).endpoints;
        let endpoint = endpoints[change.endpoint];
        self.generations[server].change_endpoint(endpoint, change.to);
        let (now, cause) = (with(|kernel| kernel.now), change.to.cause());
        let is_same = |outage: &&mut Outage| {
            (outage.endpoint, outage.cause, outage.until) == (endpoint, cause, None)
        };
        let lasting = self.outages.iter_mut().find(is_same);
        match (change.to.lets_in(), lasting) {
            (true, Some(outage)) => outage.until = Some(now),
            (true, None) | (false, Some(_)) => {}
            (false, None) => {
                let fault = match cause {
                    Cause::Operator => Fault::EndpointsOut,
                    Cause::Health => Fault::VerdictsFlap,
                };
                with(|kernel| kernel.marks.strike(fault));
                self.outages.push(Outage {
                    server,
                    endpoint,
                    cause,
                    from: now,
                    until: None,
                });
            }
        }
    }

    /// Wakes the operator for the next change.
    pub(super) fn await_change(&self) {
        if let Some(after) = self.changes.next() {
            with(|kernel| kernel.wake_actor(STATE, after.saturating_sub(kernel.now)));
        }
    }

    /// The number of the configuration that a server has in service.
    fn number_of(&self, server: usize) -> usize {
        let mut applied = self.applied.iter().rev();
        let last = applied.find(|applied| applied.server == server);
        last.map_or(0, |applied| applied.number)
    }

    /// A reload forgets the states of endpoints that the configuration no longer has.
    pub(super) fn forget_outages(&mut self, server: usize, endpoints: &[SocketAddr]) {
        let now = with(|kernel| kernel.now);
        let lasting = self.outages.iter_mut().filter(|o| o.until.is_none());
        lasting
            .filter(|outage| outage.server == server && !endpoints.contains(&outage.endpoint))
            .for_each(|outage| outage.until = Some(now));
    }

    /// I9: no session chooses an endpoint that is out of service all the time, and a session lacks
    /// an endpoint only if each was out at some time.
    pub(super) fn check_outages(
        &self,
        record: &Record,
        endpoints: &[SocketAddr],
    ) -> Result<(), Violation> {
        // The record rounds the time down.
        let began = record.at.saturating_sub((record.total_us + 1) * MICRO);
        let of = |endpoint| self.outages.iter().filter(move |o| o.endpoint == endpoint);
        let is_over = |outage: &Outage| outage.until.is_some_and(|until| until <= record.at);
        let chosen = record.endpoint.into_iter().flat_map(of);
        if let Some(outage) = chosen.into_iter().find(|o| o.from < began && !is_over(o)) {
            let what = format!("a session in {outage:?} of its endpoint: {record:?}");
            return Err(Violation::new("I9", what));
        }
        if record.ended != "no_endpoint" {
            return Ok(());
        }
        let was_out = |&endpoint: &SocketAddr| {
            let before = |until: u64| until + MICRO < began;
            of(endpoint).any(|o| o.from <= record.at && !o.until.is_some_and(before))
        };
        with(|kernel| kernel.pass(Mark::EndedNoEndpoint));
        match endpoints.iter().all(was_out) {
            true => Ok(()),
            false => {
                let what = format!("an endpoint was ready: {record:?}, {:?}", self.outages);
                Err(Violation::new("I9", what))
            }
        }
    }
}
