//! The page of a report: frame, style, script, and the order of the sections.

use super::markup::Markup;
use super::plot::Plot;
use super::run::Run;
use super::{duel, plots, server, tables};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The report as one HTML page without external resources.
#[must_use]
pub(crate) fn page(runs: &[Run]) -> String {
    let mut page = Markup::default();
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let title = format!("{}: corelane-bench", names.join(", "));
    // The policy makes the browser refuse every request, whatever the result files contain.
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ")
        .raw("style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n")
        .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\"/>\n")
        .element("title", &[], title)
        .raw("<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n<main>\n");
    header(runs, &mut page);
    page.markup(&tables::verdicts(runs));
    for run in runs {
        if let Some(duel) = &run.outcome.duel {
            section(&mut page, "Duel", &duel::section(duel));
        }
    }
    let drawn = runs.iter().flat_map(|run| run.drawn(runs.len() == 1));
    let drawn: Vec<Run> = drawn.collect();
    section(&mut page, "Results", &tables::results(&drawn));
    if let Some(server) = server::section(&drawn) {
        section(&mut page, "The server beside the client", &server);
    }
    let ratios = runs.iter().filter_map(|run| plots::of_ratio(&run.sides));
    let latency: Vec<Plot> = ratios.chain(plots::of_latency(&drawn)).collect();
    if !latency.is_empty() {
        section(&mut page, "Latency", &figures(&latency));
    }
    let amounts = plots::of_amounts(&drawn);
    if !amounts.is_empty() {
        section(&mut page, "Rate and cost", &figures(&amounts));
    }
    for run in runs {
        if let Some(sweep) = &run.outcome.sweep {
            section(&mut page, "Steps", &tables::steps(&run.name, sweep));
        }
    }
    if runs.iter().any(|run| run.outcome.errors.total > 0) {
        section(&mut page, "Errors", &tables::errors(runs));
    }
    section(&mut page, "Conditions", &tables::conditions(&drawn));
    page.raw("</main>\n<div id=\"tip\" hidden=\"hidden\"></div>\n<script>")
        .raw(SCRIPT)
        .raw("</script>\n</body>\n</html>\n");
    page.into_text()
}

fn header(runs: &[Run], page: &mut Markup) {
    page.raw("<header>\n<p class=\"program\">corelane-bench</p>\n");
    match runs {
        [run] => page.element("h1", &[], headline(run)),
        _ => page.element("h1", &[], format!("{} runs", runs.len())),
    };
    page.close("header");
}

fn headline(run: &Run) -> String {
    let outcome = &run.outcome;
    match &outcome.duel {
        Some(duel) => {
            let ([a, b], [name_a, name_b]) = (&duel.targets, duel.names());
            format!(
                "duel: {name_a} ({}) against {name_b} ({})",
                a.given, b.given
            )
        }
        None => format!("{} {}", outcome.verb, outcome.target.given),
    }
}

fn section(page: &mut Markup, title: &str, content: &Markup) {
    page.open("section", &[])
        .element("h2", &[], title)
        .markup(content)
        .close("section");
}

fn figures(plots: &[Plot]) -> Markup {
    let mut grid = Markup::default();
    grid.open("div", &[("class", &"plots")]);
    for plot in plots {
        grid.markup(&plot.figure());
    }
    grid.close("div");
    grid
}
