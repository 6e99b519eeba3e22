//! Many worlds, on all cores, and their failures.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::panics::keep_panics;
use super::plan::Cut;
use super::records;
use super::run::{Outcome, run};
use super::violation::Violation;
use crate::sys::sim::{Fault, Marks};

/// One seed in this many runs twice; both traces must be equal (I12).
const TWICE: u64 = 128;
/// Failures after which a campaign gives up.
const FAILURES_MAX: usize = 5;
/// Interval of progress reports.
const PROGRESS: Duration = Duration::from_millis(200);
/// Maximum of runs to minimise a failure.
const SHRINK_RUNS: usize = 300;

/// The seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// Number of seeds.
    pub seeds: u64,
    /// Number of threads.
    pub threads: usize,
}

/// The results of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Connections that the clients have made.
    pub connections: u64,
    /// Faults that struck and marks that were passed.
    pub marks: Marks,
    /// Each failure: the seed, the violation, and the smallest plan with the same violation.
    pub failures: Vec<(u64, Violation, Cut)>,
}

/// Runs a campaign. `progress` regularly gets the numbers of seeds, connections and failures so
/// far, `failure` gets each failure once.
///
/// # Panics
/// When a thread cannot be started, or one panics.
pub fn campaign(
    what: &Campaign,
    mut progress: impl FnMut(u64, u64, usize),
    mut failure: impl FnMut(u64, &Violation, &Cut),
) -> Report {
    let count = Counts::default();
    let (sender, found) = channel();
    let mut report = Report::default();
    thread::scope(|scope| {
        let start = |_| {
            let (count, sender) = (&count, sender.clone());
            scope.spawn(move || work(what, count, &sender))
        };
        let workers: Vec<_> = (0..what.threads).map(start).collect();
        drop(sender);
        loop {
            match found.recv_timeout(PROGRESS) {
                Ok((seed, violation, cut)) => {
                    failure(seed, &violation, &cut);
                    report.failures.push((seed, violation, cut));
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let (seeds, connections) = (count.done.load(Relaxed), count.connections.load(Relaxed));
            progress(seeds, connections, report.failures.len());
        }
        for worker in workers {
            report
                .marks
                .add(&worker.join().expect("worlds keep their panics"));
        }
    });
    report.seeds = count.done.load(Relaxed);
    report.connections = count.connections.load(Relaxed);
    report
}

/// Counters shared by a campaign's threads.
#[derive(Debug, Default)]
struct Counts {
    next: AtomicU64,
    done: AtomicU64,
    connections: AtomicU64,
    failed: AtomicUsize,
}

fn work(what: &Campaign, count: &Counts, found: &Sender<(u64, Violation, Cut)>) -> Marks {
    keep_panics();
    let _records = records::collect();
    let mut marks = Marks::default();
    while count.failed.load(Relaxed) < FAILURES_MAX {
        let index = count.next.fetch_add(1, Relaxed);
        if index >= what.seeds {
            break;
        }
        let seed = what.from + index;
        let outcome = run(seed, &Cut::NOTHING, false);
        marks.add(&outcome.marks);
        count.done.fetch_add(1, Relaxed);
        count.connections.fetch_add(outcome.connections, Relaxed);
        let violation = outcome
            .violation
            .clone()
            .or_else(|| differs(seed, &outcome));
        if let Some(violation) = violation {
            count.failed.fetch_add(1, Relaxed);
            let cut = shrink(seed, &outcome);
            // The receiver lives until every thread has ended.
            drop(found.send((seed, violation, cut)));
        }
    }
    marks
}

/// I12, for some seeds.
fn differs(seed: u64, outcome: &Outcome) -> Option<Violation> {
    if !seed.is_multiple_of(TWICE) {
        return None;
    }
    let again = run(seed, &Cut::NOTHING, false);
    (again.trace != outcome.trace)
        .then(|| Violation::new("I12", "the same seed took another course"))
}

/// Finds a smaller cut of the seed's plan that breaks the same invariant.
fn shrink(seed: u64, outcome: &Outcome) -> Cut {
    let wanted = outcome.violation.as_ref().map_or("I12", |v| v.invariant);
    let mut cut = Cut::default();
    let mut runs = 0;
    let mut fails = |cut: &Cut| {
        runs += 1;
        let same = |violation: Violation| violation.invariant == wanted;
        runs <= SHRINK_RUNS && run(seed, cut, false).violation.is_some_and(same)
    };
    let mut clients = usize::try_from(outcome.connections).unwrap_or(usize::MAX);
    while clients > 1 {
        // The largest step first.
        let smaller = [clients / 2, clients * 3 / 4, clients - 1];
        let found = smaller.into_iter().find(|&clients| {
            let clients = Some(clients);
            fails(&Cut { clients, ..cut })
        });
        let Some(found) = found else { break };
        (clients, cut.clients) = (found, Some(found));
    }
    let faults: Vec<Fault> = outcome.faults.clone();
    for fault in faults {
        let mut without = cut;
        without.faults.add(fault);
        if fails(&without) {
            cut = without;
        }
    }
    cut
}

/// The violation, the cut that still shows the violation, the remaining faults, and the last events
/// in words.
pub type Failure = (Violation, Cut, Vec<Fault>, Vec<String>);

/// Runs one seed and describes the last events; `Ok` when every invariant held.
///
/// # Errors
/// See [`Failure`].
pub fn explain(seed: u64, cut: Option<Cut>) -> Result<Outcome, Failure> {
    keep_panics();
    let _records = records::collect();
    let outcome = run(seed, &cut.unwrap_or_default(), false);
    if outcome.violation.is_none() {
        return Ok(outcome);
    }
    let cut = cut.unwrap_or_else(|| shrink(seed, &outcome));
    let outcome = run(seed, &cut, true);
    match outcome.violation {
        Some(violation) => Err((violation, cut, outcome.faults, outcome.words)),
        None => Ok(outcome),
    }
}
