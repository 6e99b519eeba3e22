//! Plots of latency: the curve of a sweep, by percentile, over time, and send lateness.

use hdrhistogram::Histogram;

use super::super::axis::Axis;
use super::super::plot::{Dash, Line, Mark, Plot};
use super::super::run::Run;
use super::points::{Gather, Points, each_run, highest, latency_axis, legend, points, timed};
use crate::outcome::{Percentiles, Step};
use crate::stats::{ABOVE_MIN, float};
use crate::text::figures::Unit;

/// Points for each halving of the distance to 100 %: HdrHistogram's tools use 5 to 10.
const POINTS_A_HALVING: u32 = 8;

/// The fewest connects for a distribution. With fewer there is no 90th percentile, and most loads
/// open all connections at once.
const CONNECTS_MIN: u64 = 10 * ABOVE_MIN;

type Read = fn(&Percentiles) -> Option<u64>;

/// The percentiles in a plot over time.
const PERCENTILES: [(&str, Read); 4] = [
    ("p50", |shares| shares.p50),
    ("p90", |shares| shares.p90),
    ("p99", |shares| shares.p99),
    ("p99.9", |shares| shares.p99_9),
];

/// All plots of latency.
pub(crate) fn of_latency(runs: &[Run]) -> Vec<Plot> {
    let mut plots = vec![sweep(runs), distribution(runs)];
    plots.extend(over_time(runs));
    plots.push(lateness(runs));
    plots.into_iter().flatten().collect()
}

/// Latency by rate, for a sweep.
fn sweep(runs: &[Run]) -> Option<Plot> {
    let mut lines = Vec::new();
    let mut marks = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let Some(sweep) = &run.outcome.sweep else {
            continue;
        };
        let mut steps: Vec<&Step> = sweep.steps.iter().collect();
        steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let kept = steps.iter().take_while(|step| step.kept).count();
        for (line, (percentile, read)) in PERCENTILES.iter().enumerate() {
            let points: Points = steps
                .iter()
                .map(|step| (step.rate, read(&step.latency).map(float)))
                .collect();
            let (name, color, dash) = match runs.len() {
                1 => ((*percentile).to_owned(), line, Dash::Solid),
                // Median and 99th percentile only: more lines would be illegible.
                _ if *percentile == "p50" => (format!("{} p50", run.name), number, Dash::Dotted),
                _ if *percentile == "p99" => (format!("{} p99", run.name), number, Dash::Solid),
                _ => continue,
            };
            let line = |points: &[(f64, Option<f64>)], faint| Line {
                dash,
                dots: true,
                faint,
                ..Line::new(&name, color, points.to_vec())
            };
            lines.push(line(&points[..kept], false));
            lines.push(line(&points[kept.saturating_sub(1)..], true));
        }
        if let Some(knee) = sweep.knee {
            let name = match runs.len() {
                1 => "the knee".to_owned(),
                _ => run.name.clone(),
            };
            marks.push(Mark::At(knee, format!("{name}: {}", Unit::Rate.show(knee))));
        }
    }
    let highest = highest(
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(x, _)| *x)),
    )?;
    let note = "By the planned rate. Faint above the last rate that met the objective.";
    Some(Plot {
        id: "sweep",
        title: "Latency by rate".to_owned(),
        note: Some(note.to_owned()),
        x: Axis::from_zero(Unit::Rate, highest),
        y: latency_axis(&lines)?,
        marks,
        lines,
        legend: None,
        wide: true,
    })
}

/// Latency by percentile, on HdrHistogram's axis.
fn distribution(runs: &[Run]) -> Option<Plot> {
    let mut lines = Vec::new();
    let open = runs.iter().any(|run| run.intended.is_some());
    let service = match open {
        true => Dash::Dashed,
        false => Dash::Solid,
    };
    for (number, run) in runs.iter().enumerate() {
        let kinds = [
            (&run.intended, "from the due time", Dash::Solid),
            (&run.service, "service time", service),
            (&run.connect, "connect", Dash::Dotted),
        ];
        let kinds = kinds.into_iter().filter_map(|(times, what, dash)| {
            let least = match dash {
                Dash::Dotted => CONNECTS_MIN,
                _ => 1,
            };
            let times = times.as_ref().filter(|times| times.len() >= least)?;
            Some((times, what, dash))
        });
        for (place, (times, what, dash)) in kinds.enumerate() {
            let (name, color) = match runs.len() {
                1 => (what.to_owned(), place),
                _ => (format!("{}, {what}", run.name), number),
            };
            lines.extend(by_percentile(times, &name, color, dash));
        }
    }
    let note = format!(
        "Each step to the right is one more nine. Faint where fewer than {ABOVE_MIN} samples lie \
         above: these are single outliers rather than percentiles."
    );
    let mut plot = percentile_plot("percentiles", "Latency by percentile", note, lines, true)?;
    if runs.len() > 1 {
        let intended = open.then_some(("from the due time", Dash::Solid));
        let connect = plot.lines.iter().any(|line| line.dash == Dash::Dotted);
        let connect = connect.then_some(("connect", Dash::Dotted));
        let kinds = [intended, Some(("service time", service)), connect];
        plot.legend = Some(legend(runs, kinds.into_iter().flatten()));
    }
    Some(plot)
}

/// Send lateness by percentile.
fn lateness(runs: &[Run]) -> Option<Plot> {
    let mut lines = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        if let Some(times) = run.lateness.as_ref().filter(|times| !times.is_empty()) {
            lines.extend(by_percentile(times, &run.name, number, Dash::Solid));
        }
    }
    let note = "How long after the due time the client sent each message: a delay of the client, \
                and part of the latency from the due time.";
    percentile_plot(
        "lateness",
        "Send lateness by percentile",
        note.to_owned(),
        lines,
        false,
    )
}

fn percentile_plot(
    id: &'static str,
    title: &str,
    note: String,
    lines: Vec<Line>,
    wide: bool,
) -> Option<Plot> {
    let one_of = highest(
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(x, _)| *x)),
    )?;
    Some(Plot {
        id,
        title: title.to_owned(),
        note: Some(note),
        x: Axis::percentiles(one_of),
        y: latency_axis(&lines)?,
        marks: Vec::new(),
        lines,
        legend: None,
        wide,
    })
}

/// Two lines: the supported percentiles, and the rest of the sample.
fn by_percentile(times: &Histogram<u64>, name: &str, color: usize, dash: Dash) -> [Line; 2] {
    let count = float(times.len());
    let supported_to = count / float(ABOVE_MIN);
    let mut points: Points = Vec::new();
    for step in times.iter_quantiles(POINTS_A_HALVING) {
        // The largest of 100 samples is drawn as one in 100.
        let one_of = (1.0 / (1.0 - step.quantile_iterated_to())).min(count);
        points.push((one_of, Some(float(step.value_iterated_to()))));
    }
    points.dedup();
    let supported = points
        .iter()
        .take_while(|(one_of, _)| *one_of <= supported_to)
        .count();
    let line = |points: &[(f64, Option<f64>)], faint| Line {
        dash,
        faint,
        ..Line::new(name, color, points.to_vec())
    };
    [
        line(&points[..supported], false),
        line(&points[supported.saturating_sub(1)..], true),
    ]
}

/// One run: one plot with a line for each percentile. Several runs: a plot for each percentile with
/// a line for each run.
fn over_time(runs: &[Run]) -> Vec<Option<Plot>> {
    let rows = |run: &Run, read: Read| {
        points(run, Gather::Worst, |second| {
            read(&second.latency).map(float)
        })
    };
    match runs {
        [run] => {
            let lines = PERCENTILES.iter().enumerate();
            let lines = lines.map(|(n, (name, read))| Line::new(name, n, rows(run, *read)));
            vec![timed(
                "latency",
                "Latency over time",
                runs,
                lines.collect(),
                latency_axis,
            )]
        }
        _ => {
            let ids = ["latency-p50", "latency-p90", "latency-p99", "latency-p999"];
            let plots = ids.into_iter().zip(PERCENTILES);
            plots
                .filter(|(_, (name, _))| *name != "p90")
                .map(|(id, (name, read))| {
                    let lines = each_run(runs, |run| rows(run, read));
                    let title = format!("{name} over time");
                    timed(id, &title, runs, lines, latency_axis)
                })
                .collect()
        }
    }
}
