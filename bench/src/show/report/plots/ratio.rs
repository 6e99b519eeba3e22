//! The plot of a duel's ratio: A's latency divided by B's, by percentile.

use hdrhistogram::Histogram;

use super::super::axis::Axis;
use super::super::plot::{Line, Mark, Plot};
use super::super::run::Run;
use super::points::{Points, highest};
use crate::stats::{ABOVE_MIN, float};
use crate::text::figures::Unit;

/// Points for each halving of the distance to 100 %.
const POINTS_A_HALVING: u32 = 8;
/// The margin of the axis around the values, and around 1.
const MARGIN: f64 = 0.05;

/// A's latency divided by B's, for percentiles that both samples support; `None` without a duel.
pub(crate) fn of_ratio(sides: &[Run]) -> Option<Plot> {
    let [a, b] = sides else {
        return None;
    };
    let points = ratios(a.first()?, b.first()?);
    let values = || points.iter().filter_map(|(_, ratio)| *ratio);
    let low = values().reduce(f64::min)?.min(1.0 - MARGIN);
    let high = values().reduce(f64::max)?.max(1.0 + MARGIN);
    let one_of = highest(points.iter().map(|(one_of, _)| *one_of))?;
    let name = format!("{} / {}", a.name, b.name);
    Some(Plot {
        id: "ratio",
        title: format!("Latency of {name} by percentile"),
        note: Some(format!(
            "Above 1× {} is slower and {} is better, below 1× {} is better. Only percentiles with \
             at least {ABOVE_MIN} samples of each above. All slices together: the plot above \
             shows the differences between rounds.",
            a.name, b.name, a.name
        )),
        x: Axis::percentiles(one_of),
        y: Axis::between(Unit::Ratio, low - MARGIN * low, high + MARGIN * high),
        marks: vec![Mark::Level(1.0, "equal".to_owned())],
        lines: vec![Line::new(&name, 0, points)],
        legend: None,
        wide: true,
    })
}

fn ratios(a: &Histogram<u64>, b: &Histogram<u64>) -> Points {
    let supported_to = float(a.len().min(b.len())) / float(ABOVE_MIN);
    let steps = a.iter_quantiles(POINTS_A_HALVING);
    let quantiles = steps.map(|step| step.quantile_iterated_to());
    let point = |quantile: f64| {
        let [a, b] = [a, b].map(|times| float(times.value_at_quantile(quantile)));
        (1.0 / (1.0 - quantile), (b > 0.0).then(|| a / b))
    };
    let mut points: Points = quantiles
        .map(point)
        .take_while(|(one_of, _)| *one_of <= supported_to)
        .collect();
    points.dedup();
    points
}
