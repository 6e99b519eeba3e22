//! Plots over time: rate, bytes, CPU, memory, connections, errors.

use super::super::axis::Axis;
use super::super::plot::{Dash, Entry, Line, Mark, Plot};
use super::super::run::Run;
use super::points::{Gather, Points, each_run, highest, legend, points, rows, timed};
use crate::stats::float;
use crate::text::figures::Unit;

/// All plots over time, except latency.
pub(crate) fn of_amounts(runs: &[Run]) -> Vec<Plot> {
    [
        rate(runs),
        throughput(runs),
        cpu(runs),
        memory(runs),
        connections(runs),
        errors(runs),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Messages or connections over time; not for `bulk`.
fn rate(runs: &[Run]) -> Option<Plot> {
    if runs.iter().all(|run| run.outcome.verb == "bulk") {
        return None;
    }
    let lines = each_run(runs, |run| points(run, Gather::Mean, |row| Some(row.rate)));
    let axis = |lines: &[Line]| {
        let asked = runs.iter().filter_map(|run| run.outcome.shape.rate);
        let high = highest(asked.chain(lines.iter().flat_map(Line::values)))?;
        Some(Axis::from_zero(Unit::Rate, high))
    };
    let title = match runs.iter().all(|run| run.outcome.verb == "churn") {
        true => "Connections a second",
        false => "Messages a second",
    };
    let mut plot = timed("rate", title, runs, lines, axis)?;
    let mut asked: Vec<f64> = runs
        .iter()
        .filter_map(|run| run.outcome.shape.rate)
        .collect();
    asked.sort_by(f64::total_cmp);
    asked.dedup();
    let level = |rate: f64| Mark::Level(rate, format!("planned: {}", Unit::Rate.show(rate)));
    plot.marks.extend(asked.into_iter().map(level));
    Some(plot)
}

/// Bytes over time, for `bulk`.
fn throughput(runs: &[Run]) -> Option<Plot> {
    if !runs.iter().any(|run| run.outcome.verb == "bulk") {
        return None;
    }
    let sent = |run: &Run| points(run, Gather::Mean, |row| Some(row.sent_bytes_per_second));
    let received = |run: &Run| points(run, Gather::Mean, |row| Some(row.received_bytes_per_second));
    let kinds = [("sent", &sent as PointsOf<'_>), ("received", &received)];
    let lines = twice(runs, kinds);
    let y = from_zero(Unit::Throughput);
    let mut plot = timed("throughput", "Bytes a second", runs, lines, y)?;
    plot.legend = twice_legend(runs, kinds);
    Some(plot)
}

fn cpu(runs: &[Run]) -> Option<Plot> {
    let server = |run: &Run| points(run, Gather::Mean, |row| row.server_cores);
    let client = |run: &Run| points(run, Gather::Worst, |row| row.generator_cores);
    let kinds = [
        ("server", &server as PointsOf<'_>),
        ("client's busiest lane", &client),
    ];
    let lines = twice(runs, kinds);
    let mut plot = timed("cpu", "CPU, in cores", runs, lines, from_zero(Unit::Cores))?;
    plot.legend = twice_legend(runs, kinds);
    let note = "The client's without what it spins for want of anything to do.";
    plot.note = Some(joined(plot.note.as_deref(), note));
    Some(plot)
}

fn memory(runs: &[Run]) -> Option<Plot> {
    let lines = each_run(runs, |run| {
        points(run, Gather::Worst, |row| row.server_rss_bytes.map(float))
    });
    let mut plot = timed(
        "memory",
        "Server memory",
        runs,
        lines,
        from_zero(Unit::Memory),
    )?;
    let note = "Resident set; socket buffers are the kernel's and not in it.";
    plot.note = Some(joined(plot.note.as_deref(), note));
    Some(plot)
}

/// Connections over time, if their number changes.
fn connections(runs: &[Run]) -> Option<Plot> {
    let changes = |run: &Run| {
        let rows = rows(run);
        let mut pairs = rows.windows(2);
        pairs.any(|pair| pair[0].connections != pair[1].connections)
    };
    if !runs.iter().any(changes) {
        return None;
    }
    let lines = each_run(runs, |run| {
        points(run, Gather::Worst, |row| Some(f64::from(row.connections)))
    });
    timed(
        "connections",
        "Open connections",
        runs,
        lines,
        from_zero(Unit::Count),
    )
}

/// Errors over time, if any.
fn errors(runs: &[Run]) -> Option<Plot> {
    if runs.iter().all(|run| run.outcome.errors.total == 0) {
        return None;
    }
    let lines = each_run(runs, |run| {
        points(run, Gather::Worst, |row| Some(float(row.errors)))
    });
    timed(
        "errors",
        "Errors in each second",
        runs,
        lines,
        from_zero(Unit::Count),
    )
}

type PointsOf<'a> = &'a dyn Fn(&Run) -> Points;

/// Two lines for each run, the second dashed.
fn twice(runs: &[Run], kinds: [(&'static str, PointsOf<'_>); 2]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        for (place, (what, points)) in kinds.into_iter().enumerate() {
            let (name, color, dash) = match (runs.len(), place) {
                (1, place) => (what.to_owned(), place, Dash::Solid),
                (_, 0) => (format!("{}, {what}", run.name), number, Dash::Solid),
                (_, _) => (format!("{}, {what}", run.name), number, Dash::Dashed),
            };
            lines.push(Line {
                dash,
                ..Line::new(&name, color, points(run))
            });
        }
    }
    lines
}

/// A legend for several runs; the lines of a single run have their own names.
fn twice_legend(runs: &[Run], kinds: [(&'static str, PointsOf<'_>); 2]) -> Option<Vec<Entry>> {
    let dashes = [Dash::Solid, Dash::Dashed];
    let kinds = kinds
        .into_iter()
        .zip(dashes)
        .map(|((name, _), dash)| (name, dash));
    (runs.len() > 1).then(|| legend(runs, kinds))
}

fn from_zero(unit: Unit) -> impl Fn(&[Line]) -> Option<Axis> {
    move |lines| {
        let high = highest(lines.iter().flat_map(Line::values))?;
        Some(Axis::from_zero(unit, high))
    }
}

fn joined(before: Option<&str>, more: &str) -> String {
    match before {
        Some(before) => format!("{before} {more}"),
        None => more.to_owned(),
    }
}
