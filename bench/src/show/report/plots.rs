//! Which plots a report has, and what is in them. One run is drawn percentile by percentile,
//! several are drawn over each other, one colour each.

use hdrhistogram::Histogram;

use super::Run;
use super::axis::Axis;
use super::plot::{Dash, Line, Mark, Plot};
use crate::outcome::{Percentiles, Second, Step};
use crate::show::figures::Unit;
use crate::stats::{ABOVE_MIN, float};

/// Points of a line, at most: about what a screen can tell apart.
const POINTS_MAX: usize = 600;
/// Points between a percentile and the one that is half as far from 100: HdrHistogram's tools use
/// between 5 and 10.
const POINTS_A_HALVING: u32 = 8;

type Points = Vec<(f64, Option<f64>)>;
type Read = fn(&Percentiles) -> Option<u64>;

/// The percentiles of a plot over time.
const PERCENTILES: [(&str, Read); 4] = [
    ("p50", |shares| shares.p50),
    ("p90", |shares| shares.p90),
    ("p99", |shares| shares.p99),
    ("p99.9", |shares| shares.p99_9),
];

/// The plots of latency.
pub(crate) fn of_latency(runs: &[Run]) -> Vec<Plot> {
    let mut plots = vec![sweep(runs), distribution(runs)];
    plots.extend(over_time(runs));
    plots.push(lateness(runs));
    plots.into_iter().flatten().collect()
}

/// The plots of everything else over time.
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

/// A sweep's curve: latency by the rate that was asked for.
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
                // The median and the 99th percentile only, lest nothing be seen.
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
    let note =
        "By the rate that was asked for. Weaker beyond the last rate that kept the objective.";
    Some(Plot {
        id: "sweep",
        title: "Latency by rate".to_owned(),
        note: Some(note.to_owned()),
        x: Axis::from_zero(Unit::Rate, highest),
        y: latency_axis(&lines)?,
        marks,
        lines,
        wide: true,
    })
}

/// Latency by percentile, on HdrHistogram's axis.
fn distribution(runs: &[Run]) -> Option<Plot> {
    let mut lines = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let kinds = [
            (&run.intended, "from the intended time", Dash::Solid),
            (&run.service, "service time", service_dash(run)),
            (&run.connect, "connect", Dash::Dotted),
        ];
        for (place, (times, what, dash)) in kinds.into_iter().enumerate() {
            let Some(times) = times.as_ref().filter(|times| !times.is_empty()) else {
                continue;
            };
            let (name, color) = match runs.len() {
                1 => (what.to_owned(), place),
                _ => (format!("{}, {what}", run.name), number),
            };
            lines.extend(by_percentile(times, &name, color, dash));
        }
    }
    let note = format!(
        "Each step to the right is a nine more. Weaker where fewer than {ABOVE_MIN} samples lie \
         above: there the largest few are seen, not a percentile."
    );
    percentile_plot("percentiles", "Latency by percentile", note, lines, true)
}

/// How late messages were sent, by percentile.
fn lateness(runs: &[Run]) -> Option<Plot> {
    let mut lines = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        if let Some(times) = run.lateness.as_ref().filter(|times| !times.is_empty()) {
            lines.extend(by_percentile(times, &run.name, number, Dash::Solid));
        }
    }
    let note = "How long after its time the client sent each message: the client's own fault, and \
                part of the latency from the intended time.";
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
        wide,
    })
}

/// In a closed loop the service time is all there is.
fn service_dash(run: &Run) -> Dash {
    match run.intended.is_some() {
        true => Dash::Dashed,
        false => Dash::Solid,
    }
}

/// Two lines: what the sample supports, and the rest of it.
fn by_percentile(times: &Histogram<u64>, name: &str, color: usize, dash: Dash) -> [Line; 2] {
    let count = float(times.len());
    let supported_to = count / float(ABOVE_MIN);
    let mut points: Points = Vec::new();
    for step in times.iter_quantiles(POINTS_A_HALVING) {
        // Of 100 samples the largest is one of 100, whatever part of 1 lies behind it.
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

/// One plot for one run, with a line for each percentile; for several runs the other way round.
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

fn rate(runs: &[Run]) -> Option<Plot> {
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
    let level = |rate: f64| Mark::Level(rate, format!("asked for: {}", Unit::Rate.show(rate)));
    plot.marks.extend(asked.into_iter().map(level));
    Some(plot)
}

/// Bytes over time, where they are the point.
fn throughput(runs: &[Run]) -> Option<Plot> {
    if !runs.iter().any(|run| run.outcome.verb == "bulk") {
        return None;
    }
    let sent = |run: &Run| points(run, Gather::Mean, |row| Some(row.sent_bytes_per_second));
    let received = |run: &Run| points(run, Gather::Mean, |row| Some(row.received_bytes_per_second));
    let lines = twice(runs, ("sent", &sent), ("received", &received));
    timed(
        "throughput",
        "Bytes a second",
        runs,
        lines,
        from_zero(Unit::Throughput),
    )
}

fn cpu(runs: &[Run]) -> Option<Plot> {
    let server = |run: &Run| points(run, Gather::Mean, |row| row.server_cores);
    let client = |run: &Run| points(run, Gather::Worst, |row| row.generator_cores);
    let lines = twice(
        runs,
        ("server", &server),
        ("client's busiest lane", &client),
    );
    let mut plot = timed("cpu", "CPU, in cores", runs, lines, from_zero(Unit::Cores))?;
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

/// Connections, where their number changes.
fn connections(runs: &[Run]) -> Option<Plot> {
    let changes = |run: &Run| {
        let mut rows = run.outcome.series.windows(2);
        rows.any(|pair| pair[0].connections != pair[1].connections)
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

/// Errors, where there are any.
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

fn each_run(runs: &[Run], points: impl Fn(&Run) -> Points) -> Vec<Line> {
    let line = |(number, run): (usize, &Run)| Line::new(&run.name, number, points(run));
    runs.iter().enumerate().map(line).collect()
}

type Named<'a> = (&'a str, &'a dyn Fn(&Run) -> Points);

/// Two lines for each run, the second dashed.
fn twice(runs: &[Run], first: Named<'_>, second: Named<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        for (place, (what, points)) in [first, second].into_iter().enumerate() {
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

/// A plot over the time of the runs; none if there is no line in it.
fn timed(
    id: &'static str,
    title: &str,
    runs: &[Run],
    lines: Vec<Line>,
    axis: impl Fn(&[Line]) -> Option<Axis>,
) -> Option<Plot> {
    let rows = || runs.iter().flat_map(|run| &run.outcome.series);
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
        wide: false,
    })
}

/// How several rows become one point.
#[derive(Clone, Copy)]
enum Gather {
    Mean,
    Worst,
}

/// One point a row, in its middle; of very many rows one for several.
fn points(run: &Run, gather: Gather, read: impl Fn(&Second) -> Option<f64>) -> Points {
    let rows = &run.outcome.series;
    let size = rows.len().div_ceil(POINTS_MAX).max(1);
    let point = |rows: &[Second]| {
        let (first, last) = (rows.first()?, rows.last()?);
        let values: Vec<f64> = rows.iter().filter_map(&read).collect();
        let value = match gather {
            Gather::Worst => highest(values.iter().copied()),
            Gather::Mean if values.is_empty() => None,
            Gather::Mean => Some(values.iter().sum::<f64>() / float(values.len() as u64)),
        };
        Some((f64::midpoint(whole(first.start_ns), end(last)), value))
    };
    rows.chunks(size).filter_map(point).collect()
}

fn latency_axis(lines: &[Line]) -> Option<Axis> {
    let values = || lines.iter().flat_map(Line::values);
    let lowest = values().fold(f64::INFINITY, f64::min);
    Some(Axis::log(Unit::Time, lowest.max(1.0), highest(values())?))
}

fn from_zero(unit: Unit) -> impl Fn(&[Line]) -> Option<Axis> {
    move |lines| {
        let high = highest(lines.iter().flat_map(Line::values))?;
        Some(Axis::from_zero(unit, high))
    }
}

fn highest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::max)
}

fn end(row: &Second) -> f64 {
    whole(row.start_ns) + float(row.length_ns)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a pixel is far more than a nanosecond"
)]
fn whole(nanos: i64) -> f64 {
    nanos as f64
}

fn joined(before: Option<&str>, more: &str) -> String {
    match before {
        Some(before) => format!("{before} {more}"),
        None => more.to_owned(),
    }
}
