//! The tables of a report: verdicts, results, steps of a sweep, errors, conditions.

use super::markup::Markup;
use super::plot::COLORS;
use super::run::Run;
use crate::outcome::{Outcome, Step, Sweep};
use crate::show::conditions::{self, Bearing, Condition};
use crate::show::results::{self, Figure, Group};
use crate::stats::float;
use crate::text::figures::{Unit, grouped, maybe};

/// The verdict and the thresholds of each run.
pub(crate) fn verdicts(runs: &[Run]) -> Markup {
    let mut all = Markup::default();
    all.open("div", &[("class", &"runs")]);
    for (number, run) in runs.iter().enumerate() {
        let outcome = &run.outcome;
        all.open("article", &[]);
        all.open("h3", &[]);
        // In a duel the colours belong to the targets.
        if runs.iter().all(|run| run.sides.is_empty()) {
            swatch(number, &mut all);
        }
        all.text(&run.name);
        badge(outcome, &mut all);
        all.close("h3");
        all.element("code", &[], conditions::command(outcome));
        let begun = conditions::utc(outcome.started_unix_ms);
        all.element("p", &[("class", &"quiet")], format!("begun {begun}"));
        remarks(outcome, &mut all);
        all.close("article");
    }
    all.close("div");
    all
}

fn badge(outcome: &Outcome, to: &mut Markup) {
    let badge = |to: &mut Markup, class: &'static str, text: &str| {
        let class = format!("badge {class}");
        to.element("span", &[("class", &class)], text);
    };
    match outcome.verdict.valid {
        true => badge(to, "good", "valid"),
        false => badge(to, "bad", "INVALID"),
    }
    if outcome.interrupted {
        badge(to, "warn", "interrupted");
    }
    if outcome.errors.total > 0 {
        let errors = grouped(outcome.errors.total);
        badge(to, "bad", &format!("{errors} errors"));
    }
    let failed = outcome.thresholds.iter().filter(|one| one.failed).count();
    match (outcome.thresholds.len(), failed) {
        (0, _) => {}
        (_, 0) => badge(to, "good", "thresholds met"),
        (all, failed) => badge(to, "bad", &format!("{failed} of {all} thresholds failed")),
    }
}

fn remarks(outcome: &Outcome, to: &mut Markup) {
    to.open("ul", &[("class", &"remarks")]);
    for reason in &outcome.verdict.reasons {
        to.element("li", &[("class", &"bad")], &reason.message);
    }
    for judged in &outcome.thresholds {
        let (class, word) = match judged.failed {
            true => ("bad", "failed"),
            false => ("good", "passed"),
        };
        let measured = threshold_figure(&judged.condition, judged.measured);
        let text = format!("fail if {}: {word}, measured {measured}", judged.condition);
        to.element("li", &[("class", &class)], text);
    }
    for note in &outcome.verdict.notes {
        to.element("li", &[], note);
    }
    to.close("ul");
}

/// The measured value of a threshold, in the unit of its bound.
fn threshold_figure(condition: &str, measured: Option<f64>) -> String {
    let is_time = condition
        .split(['<', '>', '='])
        .next_back()
        .is_some_and(|bound| bound.trim().ends_with('s') && !bound.contains('/'));
    let is_percent = condition.trim_end().ends_with('%');
    maybe(measured, |value| match (is_time, is_percent) {
        (true, _) => Unit::Time.show(value),
        (_, true) => Unit::Percent.show(value),
        (false, false) => Unit::Count.show(value),
    })
}

/// A row for each run, a column for each figure with a value.
pub(crate) fn results(runs: &[Run]) -> Markup {
    let rows: Vec<Vec<Figure>> = runs
        .iter()
        .map(|run| results::figures(&run.outcome))
        .collect();
    let open = runs
        .iter()
        .any(|run| run.outcome.latency.intended.is_some());
    let mut tables = Markup::default();
    tables.markup(&results_of(Group::Main, runs, &rows));
    tables.open("p", &[("class", &"note")]);
    tables.raw(match open {
        true => "p50 to max: from the due time of a message in an open loop, else from the send. ",
        false => "p50 to max: service time, from the send of a message. ",
    });
    tables.raw("n/a: not measured, or too few samples. ");
    if runs.len() > 1 {
        tables.raw(
            "One run each: a difference no larger than between two runs of the same server \
                    means nothing.",
        );
    }
    tables.close("p");
    for (group, title) in [
        (Group::Elsewhere, "Service time and connecting"),
        (Group::Cost, "Cost"),
    ] {
        let values = rows.iter().flatten();
        if values
            .clone()
            .any(|one| one.group == group && one.value.is_some())
        {
            tables.element("h3", &[("class", &"group")], title);
            tables.markup(&results_of(group, runs, &rows));
        }
    }
    tables
}

fn results_of(group: Group, runs: &[Run], rows: &[Vec<Figure>]) -> Markup {
    let mut names: Vec<&'static str> = Vec::new();
    for figure in rows.iter().flatten().filter(|figure| figure.group == group) {
        if (figure.always || figure.value.is_some()) && !names.contains(&figure.name) {
            names.push(figure.name);
        }
    }
    let mut table = Markup::default();
    table.raw("<div class=\"scroll\"><table class=\"results\"><thead><tr><th></th>");
    for name in &names {
        table.element("th", &[], name);
    }
    table.raw("</tr></thead><tbody>");
    for (number, (run, row)) in runs.iter().zip(rows).enumerate() {
        table.raw("<tr><th>");
        swatch(number, &mut table);
        table.text(&run.name).close("th");
        for name in &names {
            let figure = row.iter().find(|figure| figure.name == *name);
            let value = figure.and_then(|figure| Some(figure.unit.show(figure.value?)));
            cell(&mut table, value);
        }
        table.close("tr");
    }
    table.raw("</tbody></table></div>");
    table
}

/// The steps of a sweep.
pub(crate) fn steps(name: &str, sweep: &Sweep) -> Markup {
    let mut table = Markup::default();
    table.element("p", &[], format!("{name}: {}, {}", sweep.slo, sweep.ended));
    table.raw("<div class=\"scroll\"><table class=\"results\"><thead><tr>");
    for head in [
        "rate",
        "achieved",
        "p50",
        "p99",
        "p99.9",
        "service p99",
        "server CPU a message",
        "busiest client lane",
        "errors",
        "",
    ] {
        table.element("th", &[], head);
    }
    table.raw("</tr></thead><tbody>");
    for step in &sweep.steps {
        table.raw("<tr>");
        table.element("th", &[], Unit::Rate.show(step.rate));
        for value in step_figures(step) {
            cell(&mut table, value);
        }
        let (class, words) = match (&step.why, step.kept) {
            (_, true) => ("verdict good", "met"),
            (Some(why), false) => ("verdict bad", why.as_str()),
            (None, false) => ("verdict bad", "not met"),
        };
        table.element("td", &[("class", &class)], words);
        table.close("tr");
    }
    table.raw("</tbody></table></div>");
    table
}

fn step_figures(step: &Step) -> [Option<String>; 8] {
    let time = |nanos: Option<u64>| nanos.map(|nanos| Unit::Time.show(float(nanos)));
    [
        step.achieved.map(|rate| Unit::Rate.show(rate)),
        time(step.latency.p50),
        time(step.latency.p99),
        time(step.latency.p99_9),
        time(step.service.p99),
        step.server_cpu_per_message_ns
            .map(|nanos| Unit::Time.show(nanos)),
        step.generator_cores.map(|cores| Unit::Cores.show(cores)),
        Some(grouped(step.errors)),
    ]
}

/// Errors by kind, and the first errors in full.
pub(crate) fn errors(runs: &[Run]) -> Markup {
    let mut list = Markup::default();
    for (number, run) in runs.iter().enumerate() {
        let errors = &run.outcome.errors;
        if errors.total == 0 {
            continue;
        }
        let kinds: Vec<String> = errors
            .kinds
            .iter()
            .map(|(kind, count)| format!("{} {}", grouped(*count), kind.words()))
            .collect();
        list.open("h3", &[]);
        if runs.iter().all(|run| run.sides.is_empty()) {
            swatch(number, &mut list);
        }
        list.text(format!("{}: {}", run.name, kinds.join(", ")))
            .close("h3");
        list.open("ul", &[]);
        for error in &errors.first {
            list.element("li", &[], error);
        }
        let more = errors.total.saturating_sub(errors.first.len() as u64);
        if more > 0 {
            list.element("li", &[], format!("and {} more", grouped(more)));
        }
        list.close("ul");
    }
    list
}

/// Load and machine, with a column for each run. Differences are highlighted.
pub(crate) fn conditions(runs: &[Run]) -> Markup {
    let columns: Vec<Vec<Condition>> = runs
        .iter()
        .map(|run| conditions::conditions(&run.outcome))
        .collect();
    let mut table = Markup::default();
    table.raw("<div class=\"scroll\"><table class=\"conditions\"><thead><tr><th></th>");
    for (number, run) in runs.iter().enumerate() {
        table.raw("<th>");
        swatch(number, &mut table);
        table.text(&run.name).close("th");
    }
    table.raw("</tr></thead><tbody>");
    let Some(first) = columns.first() else {
        return Markup::default();
    };
    for (place, condition) in first.iter().enumerate() {
        let row: Vec<&Condition> = columns.iter().map(|column| &column[place]).collect();
        if row.iter().all(|condition| condition.value.is_none()) {
            continue;
        }
        let differs = row.iter().any(|other| other.value != condition.value);
        let class = match differs && condition.bearing != Bearing::Run {
            true => "differs",
            false => "",
        };
        table.open("tr", &[("class", &class)]);
        table.element("th", &[], condition.name);
        for condition in row {
            table.element("td", &[], maybe(condition.value.as_ref(), Clone::clone));
        }
        table.close("tr");
    }
    table.raw("</tbody></table></div>");
    table
}

fn cell(table: &mut Markup, value: Option<String>) {
    match value {
        Some(value) => table.element("td", &[], value),
        None => table.element(
            "td",
            &[("class", &"none")],
            maybe(None, |never: String| never),
        ),
    };
}

/// The colour of a run in the plots.
fn swatch(number: usize, to: &mut Markup) {
    let class = format!("swatch c{}", number % COLORS);
    to.open("span", &[("class", &class)]).close("span");
}
