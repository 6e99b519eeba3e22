//! The section of a duel: ratios of A and B, with a row for each figure, a dot for each round, and
//! the interval.

use super::axis::Axis;
use super::markup::{Markup, pixels};
use crate::outcome::{Duel, Metric};
use crate::text::figures::{Unit, ratio};

const WIDTH: f64 = 1120.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 10.0;
const ROW: f64 = 46.0;
const BOTTOM: f64 = 30.0;

/// The targets, the plot and the conclusions.
pub(crate) fn section(duel: &Duel) -> Markup {
    let mut section = Markup::default();
    let ([a, b], targets) = (duel.names(), &duel.targets);
    let text = format!(
        "{a} is {}, {b} is {}; {} rounds. Each dot is {a} divided by {b} in one round, the bar the \
         95 % interval of their median (bootstrap): where it spans 1×, no difference is shown.",
        targets[0].given,
        targets[1].given,
        duel.rounds.len()
    );
    section.element("p", &[], text);
    section.markup(&drawing(duel, &format!("{a} / {b}")));
    section.open("ul", &[("class", &"remarks")]);
    for metric in &duel.metrics {
        if let Some(words) = &metric.words {
            section.element("li", &[], words);
        }
    }
    section.close("ul");
    section
}

fn drawing(duel: &Duel, ratio: &str) -> Markup {
    let mut figure = Markup::default();
    let Some(axis) = axis(&duel.metrics) else {
        return figure;
    };
    let rows = u32::try_from(duel.metrics.len()).unwrap_or(u32::MAX);
    let bottom = TOP + ROW * f64::from(rows);
    let view = format!("0 0 {} {}", pixels(WIDTH), pixels(bottom + BOTTOM));
    figure.open("figure", &[("class", &"plot wide"), ("id", &"duel")]);
    figure.open(
        "svg",
        &[
            ("class", &"drawing"),
            ("viewBox", &view),
            ("role", &"img"),
            ("aria-label", &ratio),
        ],
    );
    for tick in axis.ticks() {
        let x = pixels(across(&axis, tick.value));
        let class = match tick.value == 1.0 {
            true => "rule",
            false => "grid",
        };
        let path = format!("M{x} {}V{}", pixels(TOP), pixels(bottom));
        figure.empty("path", &[("class", &class), ("d", &path)]);
        if let Some(name) = tick.name {
            text(
                &mut figure,
                "tick",
                (&x, &pixels(bottom + 19.0)),
                "middle",
                &name,
            );
        }
    }
    let mut middle = TOP + ROW / 2.0;
    for metric in &duel.metrics {
        row(&mut figure, &axis, metric, middle);
        middle += ROW;
    }
    figure.close("svg").close("figure");
    figure
}

fn row(figure: &mut Markup, axis: &Axis, metric: &Metric, middle: f64) {
    let y = pixels(middle);
    let (base, below) = (pixels(middle - 2.0), pixels(middle + 13.0));
    let (left, right) = (pixels(LEFT - 14.0), pixels(WIDTH - RIGHT + 14.0));
    text(figure, "name", (&left, &base), "end", metric.called());
    let direction = match metric.more_is_better {
        true => "more is better",
        false => "less is better",
    };
    text(figure, "tick", (&left, &below), "end", direction);
    for value in &metric.ratios {
        figure.empty(
            "circle",
            &[
                ("class", &"dot faint c1"),
                ("cx", &pixels(across(axis, *value))),
                ("cy", &y),
                ("r", &"4"),
            ],
        );
    }
    let words = match &metric.ratio {
        None => "too few rounds for an interval".to_owned(),
        Some(found) => {
            let (low, high) = (across(axis, found.low), across(axis, found.high));
            let path = format!("M{} {y}H{}", pixels(low), pixels(high));
            figure.empty("path", &[("class", &"interval c1"), ("d", &path)]);
            figure.empty(
                "circle",
                &[
                    ("class", &"dot c1"),
                    ("cx", &pixels(across(axis, found.median))),
                    ("cy", &y),
                    ("r", &"6"),
                ],
            );
            let [median, low, high] = [found.median, found.low, found.high].map(ratio);
            format!("{median} ({low} to {high})")
        }
    };
    text(figure, "name", (&right, &base), "start", &words);
    let told = match (&metric.better, &metric.ratio) {
        (Some(better), _) => format!("{better} is better"),
        (None, Some(_)) => "no difference is shown".to_owned(),
        (None, None) => String::new(),
    };
    text(figure, "tick", (&right, &below), "start", &told);
}

fn axis(metrics: &[Metric]) -> Option<Axis> {
    let values = || {
        let intervals = metrics.iter().filter_map(|metric| metric.ratio);
        let ends = intervals.flat_map(|interval| [interval.low, interval.high]);
        metrics
            .iter()
            .flat_map(|metric| metric.ratios.iter().copied())
            .chain(ends)
    };
    let low = values().reduce(f64::min)?.min(1.0);
    let high = values().reduce(f64::max)?.max(1.0);
    let margin = (high - low).max(0.02) * 0.06;
    Some(Axis::between(Unit::Ratio, low - margin, high + margin))
}

fn across(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)
}

fn text(figure: &mut Markup, class: &str, (x, y): (&str, &str), anchor: &str, what: &str) {
    let attributes = [
        ("class", &class as &dyn std::fmt::Display),
        ("x", &x),
        ("y", &y),
        ("text-anchor", &anchor),
    ];
    figure.element("text", &attributes, what);
}
