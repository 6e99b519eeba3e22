//! Samples a running load: makes a row of the series once a second and passes it to the observers.
//! Called by `engine`.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use corelane::sys::{self, Time};

use super::progress::{Flow, Observer, Phase, Snapshot};
use super::series::Series;
use crate::load::control::Window;
use crate::load::lane_event::Started;
use crate::load::recorder::{Interval, Recorder};
use crate::load::work::{Length, Work};
use crate::outcome::{Packed, Percentiles, Second};
use crate::plan::build::Plan;
use crate::procfs::server_process::Cost;
use crate::stats::float;

/// The rows so far, and the current row.
#[derive(Debug)]
pub(crate) struct Sampler {
    phases: Phases,
    flow: Flow,
    part: Option<String>,
    connections: u32,
    ends_by_time: bool,
    window: Option<Window>,
    series: Series,
    /// The lanes' counts in the current row.
    current: Interval,
    begin: Time,
    end: Time,
    /// Lanes whose counts are outstanding.
    pending: u32,
    messages: u64,
    errors: u64,
    costs: Costs,
}

/// The current phase, and the time spent in each phase within the row. A row of a short load has
/// several phases.
#[derive(Debug)]
struct Phases {
    now: Phase,
    since: Time,
    spent: Vec<(Phase, Duration)>,
}

impl Phases {
    fn new(now: Time) -> Self {
        Self {
            now: Phase::Connecting,
            since: now,
            spent: Vec::new(),
        }
    }

    /// Changes to `phase` at `now`.
    fn enter(&mut self, phase: Phase, now: Time) {
        let spent = (self.now, now.since(self.since));
        self.spent.push(spent);
        (self.now, self.since) = (phase, now);
    }

    /// Ends a row at `now`. Returns the phase that took most of the row.
    fn end_row(&mut self, now: Time) -> Phase {
        self.enter(self.now, now);
        let spent = std::mem::take(&mut self.spent).into_iter();
        let longest = spent.max_by_key(|(_, time)| *time);
        longest.map_or(self.now, |(phase, _)| phase)
    }
}

/// CPU use up to the last row, and in the current row.
#[derive(Debug, Default)]
struct Costs {
    /// CPU time and spinning of each lane.
    lanes: Vec<Option<(Duration, u64)>>,
    server: Option<Cost>,
    generator_cores: Option<f64>,
    server_cores: Option<f64>,
}

impl Sampler {
    pub(crate) fn new(plan: &Plan, part: Option<String>, now: Time) -> Self {
        Self {
            phases: Phases::new(now),
            flow: match plan.load.work {
                Work::Bulk(_) => Flow::Bytes,
                Work::Exchange | Work::Churn(_) => Flow::Messages,
            },
            part,
            connections: plan.load.connections,
            ends_by_time: matches!(plan.load.length, Length::For(_)),
            window: None,
            series: Series::new(),
            current: Interval::new(),
            begin: now,
            end: now,
            pending: 0,
            messages: 0,
            errors: 0,
            costs: Costs::default(),
        }
    }

    /// Changes the phase.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phases.enter(phase, sys::now());
    }

    /// Starts the measured time.
    pub(crate) fn measuring(&mut self, window: Window) {
        self.enter(Phase::Measuring);
        self.window = Some(window);
    }

    /// Whether counts of lanes for the previous row are outstanding.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending > 0
    }

    /// Ends a row. `alive` lanes will send their counts.
    pub(crate) fn end_row(
        &mut self,
        now: Time,
        alive: u32,
        lanes: &[Started],
        server: Option<Cost>,
    ) {
        self.pending = alive;
        self.end = now;
        let length = now.since(self.begin);
        self.costs.look(length, lanes, server);
    }

    /// Adds a lane's counts.
    pub(crate) fn add(&mut self, interval: &Interval, observers: &mut [Box<dyn Observer>]) {
        self.current.add(interval);
        self.answered(observers);
    }

    /// Adds the last counts of an ended lane. `owes` is whether its counts for the row were
    /// outstanding.
    pub(crate) fn add_last(
        &mut self,
        recorder: &Recorder,
        owes: bool,
        observers: &mut [Box<dyn Observer>],
    ) {
        self.current.add(&recorder.interval);
        if owes {
            self.answered(observers);
        }
    }

    /// Returns all rows, with times relative to `start`.
    pub(crate) fn finish(
        mut self,
        start: Time,
        observers: &mut [Box<dyn Observer>],
    ) -> Vec<Second> {
        let now = sys::now();
        let left = &self.current;
        if left.messages + left.sent_bytes + left.received_bytes + left.errors > 0 {
            self.end = now;
            self.costs.look(now.since(self.begin), &[], None);
            let phase = self.phases.end_row(now);
            let row = self.row();
            // The only row of a load shorter than a row, or else the rest of the last one.
            if phase == Phase::Measuring {
                self.notify(phase, &row, observers);
            }
            self.series.push(row);
        }
        let mut rows = self.series.rows();
        for row in &mut rows {
            row.start_ns -= signed(start);
        }
        rows
    }

    fn answered(&mut self, observers: &mut [Box<dyn Observer>]) {
        if self.pending == 0 {
            return;
        }
        self.pending -= 1;
        if self.pending > 0 {
            return;
        }
        let phase = self.phases.end_row(self.end);
        let row = self.row();
        self.notify(phase, &row, observers);
        self.series.push(row);
    }

    fn notify(&self, phase: Phase, row: &Second, observers: &mut [Box<dyn Observer>]) {
        let snapshot = Snapshot {
            phase,
            flow: self.flow,
            part: self.part.clone(),
            connections: self.connections,
            second: row.clone(),
            messages: self.messages,
            errors: self.errors,
            left_ns: self.left_ns(),
        };
        for observer in observers {
            observer.second(&snapshot);
        }
    }

    fn row(&mut self) -> Second {
        let length = self.end.since(self.begin);
        let per_second = |amount: u64| match length.is_zero() {
            true => 0.0,
            false => float(amount) / length.as_secs_f64(),
        };
        let counts = std::mem::replace(&mut self.current, Interval::new());
        self.messages += counts.measured;
        self.errors += counts.errors;
        let row = Second {
            start_ns: signed(self.begin),
            length_ns: nanos(length),
            rate: per_second(counts.messages),
            sent_bytes_per_second: per_second(counts.sent_bytes),
            received_bytes_per_second: per_second(counts.received_bytes),
            latency: Percentiles::new(&counts.latency),
            histogram: (!counts.latency.is_empty()).then(|| Packed::new(&counts.latency)),
            errors: counts.errors,
            connections: counts.open,
            generator_cores: self.costs.generator_cores,
            server_cores: self.costs.server_cores,
            server_rss_bytes: self.costs.server.map(|cost| cost.rss_bytes),
        };
        self.begin = self.end;
        row
    }

    /// The rest of the measured time.
    fn left_ns(&self) -> Option<u64> {
        let window = self.window.filter(|_| self.ends_by_time)?;
        Some(nanos(window.end.since(self.end)))
    }
}

impl Costs {
    fn look(&mut self, length: Duration, lanes: &[Started], server: Option<Cost>) {
        let read = |lane: &Started| Some((lane.clock.spent()?.cpu, lane.spun.load(Relaxed)));
        let now: Vec<_> = lanes.iter().map(read).collect();
        let share = |used: Duration| match length.is_zero() {
            true => None,
            false => Some(used.as_secs_f64() / length.as_secs_f64()),
        };
        let pairs = now.iter().zip(&self.lanes);
        self.generator_cores = pairs
            .filter_map(|(now, before)| {
                let ((cpu, spun), (cpu_before, spun_before)) = now.zip(*before)?;
                let spun = Duration::from_nanos(spun.saturating_sub(spun_before));
                share(cpu.saturating_sub(cpu_before).saturating_sub(spun))
            })
            .reduce(f64::max);
        self.server_cores = server
            .zip(self.server)
            .and_then(|(now, before)| share(now.cpu.saturating_sub(before.cpu)));
        self.lanes = now;
        self.server = server;
    }
}

fn signed(time: Time) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use corelane::sys::Time;

    use super::Phases;
    use crate::measure::progress::Phase;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_row_has_the_phase_that_took_most_of_it() {
        // A slice of a duel: a fast connect, a short warm-up, a measured second.
        let mut phases = Phases::new(at(0));
        phases.enter(Phase::Warmup, at(2));
        assert_eq!(phases.end_row(at(200)), Phase::Warmup);
        phases.enter(Phase::Measuring, at(201));
        assert_eq!(phases.end_row(at(1200)), Phase::Measuring);
        phases.enter(Phase::Finishing, at(1201));
        assert_eq!(phases.end_row(at(1202)), Phase::Finishing);
        // A phase longer than a row.
        assert_eq!(phases.end_row(at(2202)), Phase::Finishing);
    }
}
