//! The rounds of one cell: every server once in each, in an order that turns, so that what drifts
//! hits all alike. Starts the servers, asks `measure` for each slice, keeps what failed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cells::{Cell, Work};
use crate::instance::{Instance, Place};
use crate::load;
use crate::measure::{self, Bench, Slice, Values};
use crate::results::{Measured, Round};
use crate::servers::{Server, Service};

/// A server that fails so often in a cell is left out of its other rounds.
const FAILURES_MAX: usize = 2;
/// Rounds that are made even if the time is up: fewer say nothing.
const ROUNDS_MIN: u32 = 2;
/// What the limit has to keep up to its knee.
const OBJECTIVE: &str = "p99<1ms";

/// What a cell is measured with.
#[derive(Debug)]
pub(crate) struct Rounds<'a> {
    pub(crate) place: &'a Place,
    pub(crate) slice: Slice,
    pub(crate) count: u32,
    /// No further round begins after it.
    pub(crate) until: Option<Instant>,
    /// Where the client's documents are kept, one for each cell and server.
    pub(crate) documents: PathBuf,
}

/// The order in which `count` servers have their turns in a round: every other round goes the other
/// way, so that nobody always follows the same one, and with each pair of them the beginning moves.
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    let begin = round / 2 * stride(count) % count.max(1);
    let mut order: Vec<usize> = (0..count).map(|at| (begin + at) % count).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// About five eighths of `count`, far from where the last rounds began, and without a divisor in
/// common with it, so that everyone begins in time.
fn stride(count: usize) -> usize {
    let divides_both = |stride: usize| {
        (2..=stride).find(|n| stride.is_multiple_of(*n) && count.is_multiple_of(*n))
    };
    let from = (count * 5 / 8).max(1);
    (from..)
        .find(|stride| divides_both(*stride).is_none())
        .unwrap_or(1)
}

impl Rounds<'_> {
    /// Measures a cell. A server that cannot be started or measured is told in the failures; an
    /// error is Ctrl-C alone.
    ///
    /// # Errors
    /// Interrupted.
    pub(crate) fn measure(
        &self,
        cell: &Cell,
        servers: &[&'static Server],
        measured: &mut Measured,
    ) -> io::Result<()> {
        let interrupt = &self.place.interrupt;
        let mut half_knee = None;
        if let Work::Latency { connections } = cell.work {
            half_knee = self.half_knee(connections, servers, measured)?;
        }
        let fresh = measure::needs_fresh_server(cell.work);
        let mut running = BTreeMap::new();
        for server in servers.iter().filter(|_| !fresh) {
            match self.start(cell, server) {
                Ok(instance) => _ = running.insert(server.name, instance),
                Err(error) => self.failed(server, &error, measured)?,
            }
        }
        for number in 0..self.count.min(cell.rounds_max) {
            let late = self.until.is_some_and(|until| Instant::now() >= until);
            if late && number >= ROUNDS_MIN {
                break;
            }
            let order = order(servers.len(), number as usize);
            let mut round = Round::default();
            for server in order.into_iter().map(|at| servers[at]) {
                interrupt.check()?;
                let failures = measured.failures.iter();
                if failures.filter(|(name, _)| name == server.name).count() >= FAILURES_MAX {
                    continue;
                }
                let values = match running.get(server.name) {
                    Some(instance) => self.slice(cell, instance, half_knee),
                    None if fresh => self
                        .start(cell, server)
                        .and_then(|instance| self.slice(cell, &instance, half_knee)),
                    None => continue,
                };
                match values {
                    Ok(values) => {
                        round.order.push(server.name.to_owned());
                        round.values.insert(server.name.to_owned(), values);
                    }
                    Err(error) => self.failed(server, &error, measured)?,
                }
            }
            measured.rounds.push(round);
        }
        Ok(())
    }

    fn start(&self, cell: &Cell, server: &'static Server) -> io::Result<Instance> {
        Instance::start(
            server,
            cell.service,
            measure::upstream(cell.work),
            self.place,
        )
    }

    fn slice(
        &self,
        cell: &Cell,
        instance: &Instance,
        half_knee: Option<f64>,
    ) -> io::Result<Values> {
        let folder = self.documents.join(cell.name);
        fs::create_dir_all(&folder)?;
        let keep = folder.join(format!("{}.json", instance.server.name));
        let (place, slice) = (self.place, self.slice);
        Bench {
            place,
            slice,
            half_knee,
            keep: &keep,
        }
        .measure(cell.work, instance)
    }

    /// Half of the highest rate at which one of the hand-written servers keeps the objective. Where
    /// the machine is too busy for the client to find it, half of what they do in a closed loop.
    fn half_knee(
        &self,
        connections: u32,
        servers: &[&'static Server],
        measured: &mut Measured,
    ) -> io::Result<Option<f64>> {
        let (mut knee, mut saturated): (Option<f64>, Option<f64>) = (None, None);
        for server in servers.iter().filter(|server| server.limit) {
            match self.knee(connections, server) {
                Ok((found, rate)) => {
                    let found_text = found.map_or("none".to_owned(), |rate| format!("{rate:.0}"));
                    measured.notes.push(format!(
                        "{}: knee ({OBJECTIVE}) {found_text}, closed loop {rate:.0} messages a \
                         second",
                        server.name
                    ));
                    knee = found.into_iter().chain(knee).reduce(f64::max);
                    saturated = saturated.into_iter().chain([rate]).reduce(f64::max);
                }
                Err(error) => self.failed(server, &error, measured)?,
            }
        }
        let half = knee.or(saturated).map(|rate| rate / 2.0);
        let of = match knee {
            Some(_) => "half of the knee",
            None => "half of the closed loop, since no knee was found",
        };
        let note = half.map(|rate| format!("rate of the rounds: {rate:.0} a second, {of}"));
        measured.notes.extend(note);
        Ok(half)
    }

    /// The knee, if one is found, and the rate of a closed loop.
    fn knee(&self, connections: u32, server: &'static Server) -> io::Result<(Option<f64>, f64)> {
        let behind = measure::upstream(Work::Latency { connections });
        let instance = Instance::start(server, Service::Echo, behind, self.place)?;
        let (address, connections) = (instance.address(), connections.to_string());
        let arguments = [
            "sweep",
            &address,
            "--connections",
            &connections,
            "--slo",
            OBJECTIVE,
            "--from",
            "4k",
            "--step",
            "500ms",
            "--warmup",
            "100ms",
            "--arrival",
            "poisson",
        ];
        let outcome = load::run(&arguments, self.place, None::<&Path>)?;
        let knee = outcome.sweep.and_then(|sweep| sweep.knee);
        let mut closed = vec!["run", &address, "--connections", &connections];
        closed.extend(["--warmup", "100ms", "--duration", "1s"]);
        let outcome = load::run(&closed, self.place, None::<&Path>)?;
        Ok((knee, outcome.totals.messages_per_second.unwrap_or(0.0)))
    }

    /// Keeps a failure, unless it is Ctrl-C.
    fn failed(
        &self,
        server: &Server,
        error: &io::Error,
        measured: &mut Measured,
    ) -> io::Result<()> {
        self.place.interrupt.check()?;
        eprintln!("  {}: {error}", server.name);
        measured
            .failures
            .push((server.name.to_owned(), error.to_string()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn each_round_has_every_server_once() {
        for count in 1..20 {
            for round in 0..40 {
                let mut order = order(count, round);
                order.sort_unstable();
                assert_eq!(order, (0..count).collect::<Vec<_>>(), "{count} {round}");
            }
        }
    }

    #[test]
    fn nobody_is_always_first_or_after_the_same_one() {
        for count in 3..20 {
            let orders: Vec<_> = (0..10).map(|round| order(count, round)).collect();
            for server in 0..count {
                let first = orders.iter().filter(|order| order[0] == server).count();
                assert!(
                    first <= 10 / count.min(5) + 1,
                    "{count}: {server} is first {first} times"
                );
                let mut before: Vec<_> = orders
                    .iter()
                    .filter_map(|order| {
                        let at = order.iter().position(|at| *at == server)?;
                        Some(order[at.checked_sub(1)?])
                    })
                    .collect();
                before.sort_unstable();
                before.dedup();
                assert!(
                    before.len() > 1,
                    "{count}: {server} always follows {before:?}"
                );
            }
        }
    }
}
