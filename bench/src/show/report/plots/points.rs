//! Shared by the plots: points from rows, lines, axes, legends.

use super::super::axis::Axis;
use super::super::plot::{Dash, Entry, Line, Mark, Plot};
use super::super::run::Run;
use crate::outcome::Second;
use crate::stats::float;
use crate::text::figures::Unit;

/// The most points of a line: about the resolution of a screen.
pub(super) const POINTS_MAX: usize = 600;
/// A row shorter than this fraction of the longest row is not drawn.
pub(super) const PART_MIN: u64 = 4;

pub(super) type Points = Vec<(f64, Option<f64>)>;

/// Entries for the runs' colours, then for the strokes.
pub(super) fn legend(
    runs: &[Run],
    kinds: impl Iterator<Item = (&'static str, Dash)>,
) -> Vec<Entry> {
    let run = |(number, run): (usize, &Run)| Entry::color(&run.name, number);
    let runs = runs.iter().enumerate().map(run);
    runs.chain(kinds.map(|(name, dash)| Entry::dash(name, dash)))
        .collect()
}

/// A line for each run.
pub(super) fn each_run(runs: &[Run], points: impl Fn(&Run) -> Points) -> Vec<Line> {
    let line = |(number, run): (usize, &Run)| Line::new(&run.name, number, points(run));
    runs.iter().enumerate().map(line).collect()
}

/// A plot over time; `None` without a line.
pub(super) fn timed(
    id: &'static str,
    title: &str,
    runs: &[Run],
    lines: Vec<Line>,
    axis: impl Fn(&[Line]) -> Option<Axis>,
) -> Option<Plot> {
    let rows = || runs.iter().flat_map(rows);
    let first = rows().map(|row| whole(row.start_ns)).fold(0.0, f64::min);
    let last = highest(rows().map(end))?;
    let y = axis(&lines)?;
    let mut marks = Vec::new();
    if first < 0.0 {
        marks.push(Mark::Before(0.0, "not measured".to_owned()));
    }
    let longest = runs.iter().map(|run| run.outcome.series.len()).max();
    let gathered = longest.unwrap_or(0).div_ceil(POINTS_MAX);
    let note = (gathered > 1).then(|| {
        format!("A point is {gathered} rows: the worst of their latencies, the mean of rates.")
    });
    Some(Plot {
        id,
        title: title.to_owned(),
        note,
        x: Axis::between(Unit::Moment, first, last),
        y,
        marks,
        lines,
        legend: None,
        wide: false,
    })
}

/// How several rows become one point.
#[derive(Clone, Copy)]
pub(super) enum Gather {
    Mean,
    Worst,
}

/// The rows of sufficient length. Excludes the instant of the connects and a short last row, whose
/// rates mean little.
pub(super) fn rows(run: &Run) -> Vec<&Second> {
    let rows = &run.outcome.series;
    let longest = rows.iter().map(|row| row.length_ns).max().unwrap_or(0);
    let long = |row: &&Second| row.length_ns >= longest / PART_MIN;
    rows.iter().filter(long).collect()
}

/// One point a row, at the middle of the row; in a very long run one point for several rows.
pub(super) fn points(run: &Run, gather: Gather, read: impl Fn(&Second) -> Option<f64>) -> Points {
    let rows = rows(run);
    let size = rows.len().div_ceil(POINTS_MAX).max(1);
    let point = |rows: &[&Second]| {
        let (first, last) = (rows.first()?, rows.last()?);
        let values: Vec<f64> = rows.iter().filter_map(|row| read(row)).collect();
        let value = match gather {
            Gather::Worst => highest(values.iter().copied()),
            Gather::Mean if values.is_empty() => None,
            Gather::Mean => Some(values.iter().sum::<f64>() / float(values.len() as u64)),
        };
        Some((f64::midpoint(whole(first.start_ns), end(last)), value))
    };
    rows.chunks(size).filter_map(point).collect()
}

pub(super) fn latency_axis(lines: &[Line]) -> Option<Axis> {
    let values = || lines.iter().flat_map(Line::values);
    let lowest = values().fold(f64::INFINITY, f64::min);
    Some(Axis::log(Unit::Time, lowest.max(1.0), highest(values())?))
}

pub(super) fn highest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::max)
}

pub(super) fn end(row: &Second) -> f64 {
    whole(row.start_ns) + float(row.length_ns)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a pixel is far more than a nanosecond"
)]
pub(super) fn whole(nanos: i64) -> f64 {
    nanos as f64
}
