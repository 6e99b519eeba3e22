//! The full report in Markdown: every figure of every server, and the targets. `page` has the page
//! for a reader. Pure.

use std::fmt::{self, Display, Formatter};

use crate::cells::{CELLS, Cell};
use crate::figures::{Against, Figure, Target};
use crate::judge::{CLIENT_BOUND, Row, Spread, Verdict, rows};
use crate::results::{Measured, Results};

/// The whole document.
#[derive(Debug)]
pub(crate) struct Table<'a>(pub(crate) &'a Results);

const HEAD: &str = "\
# Full report of bench/peers/run

Made by the command below; `bench/peers/README.md` describes the servers. Every server runs alone on
one core; the load client, and behind a proxy the upstream, run on another core. In each round every
server has one slice. A ratio divides corelane's figure by the other server's inside one round:
**less than 1 is better**, except for throughput and rate, where more is. Medians with bootstrap
95 % intervals; with fewer than six rounds, marked ‡, the smallest and the largest.

- **L** is the limit: the better of the hand-written C servers in that figure.
- **hit**: the far end of the interval keeps the bound. **hit (5 %)**: with the 5 % that epoll is
  allowed. **open**: the bound lies inside the interval. **miss**: the whole interval is beyond the
  bound.
- † the client's core was busy for more than 85 %: the rate is the client's, CPU figures are valid.
";

/// Why bounds are not reached, found out by hand: a section for each cell or several.
const REASONS: &str = include_str!("../../reasons.md");

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let results = self.0;
        writeln!(f, "{HEAD}")?;
        environment(f, results)?;
        if results.interrupted {
            writeln!(
                f,
                "**Interrupted: what is here is what was measured until then.**\n"
            )?;
        }
        let measured: Vec<(&Cell, &Measured)> = results
            .cells
            .iter()
            .filter_map(|measured| {
                Some((
                    CELLS.iter().find(|cell| cell.name == measured.cell)?,
                    measured,
                ))
            })
            .collect();
        summary(f, &measured)?;
        for (cell, measured) in &measured {
            cell_tables(f, cell, measured)?;
        }
        servers(f, results)
    }
}

/// The command, when, and on what machine.
pub(crate) fn environment(f: &mut Formatter<'_>, results: &Results) -> fmt::Result {
    let environment = &results.environment;
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "n/a".to_owned());
    writeln!(f, "```text\n{}\n```\n", results.command)?;
    writeln!(
        f,
        "{}; took {} min {} s. {}, {}, {} cores, congestion control {}, somaxconn {}; load \
         averages before it began: {}. Servers on core {}, client and upstream on core {}. Slices \
         of {} ms after {} ms of warm-up.\n",
        results.date,
        results.took_s / 60,
        results.took_s % 60,
        said(&environment.kernel),
        said(&environment.cpu),
        environment
            .cores
            .map_or_else(|| "n/a".to_owned(), |cores| cores.to_string()),
        said(&environment.congestion),
        environment
            .somaxconn
            .map_or_else(|| "n/a".to_owned(), |length| length.to_string()),
        environment.loadavg.map_or_else(
            || "n/a".to_owned(),
            |averages| averages.map(|load| format!("{load:.2}")).join(", ")
        ),
        results.server_core,
        results.client_core,
        results.slice_ms,
        results.warmup_ms,
    )
}

/// One line for each figure that has a target.
fn summary(f: &mut Formatter<'_>, measured: &[(&Cell, &Measured)]) -> fmt::Result {
    writeln!(f, "## Summary\n")?;
    writeln!(
        f,
        "| # | cell | figure | L | corelane, io_uring | corelane, epoll | not reached |"
    )?;
    writeln!(f, "|---|---|---|---|---|---|---|")?;
    let (mut hit, mut all) = (0, 0);
    for (cell, measured) in measured {
        for figure in cell
            .figures
            .iter()
            .filter(|figure| !figure.targets.is_empty())
        {
            let rows = rows(cell, figure, measured);
            let named = |name: &str| {
                let row = rows.iter().find(|row| row.server.name == name);
                row.map_or_else(|| "–".to_owned(), |row| number(row.value.interval.median))
            };
            let limit = rows.iter().find(|row| row.is_limit);
            let limit = limit.map_or_else(
                || "–".to_owned(),
                |row| {
                    format!(
                        "{} ({})",
                        number(row.value.interval.median),
                        row.server.name
                    )
                },
            );
            let mut missed = Vec::new();
            for (row, at) in rows.iter().flat_map(|row| [(row, 0), (row, 1)]) {
                let Some(verdict) = row.verdicts[at] else {
                    continue;
                };
                all += 1;
                match verdict {
                    Verdict::Hit | Verdict::Allowed => hit += 1,
                    Verdict::Open | Verdict::Miss => {
                        missed.push(format!("{} {}", against(row, cell, at), words(verdict)));
                    }
                }
            }
            let missed = match missed.is_empty() {
                true => "–".to_owned(),
                false => missed.join(", "),
            };
            writeln!(
                f,
                "| {} | {} | {}{} | {limit} | {} | {} | {missed} |",
                cell.number,
                cell.name,
                figure.name,
                unit(figure),
                named(cell.references[0]),
                named(cell.references[1]),
            )?;
        }
    }
    writeln!(
        f,
        "\n{hit} of {all} bounds hold, counted for each poller.\n"
    )?;
    writeln!(
        f,
        "Cell 13, no allocation per message, is shown by a test and not from outside.\n"
    )
}

/// Which bound was missed, on which poller.
fn against(row: &Row, cell: &Cell, at: usize) -> String {
    let poller = ["io_uring", "epoll"][at];
    match cell.references[at] == row.server.name {
        true => poller.to_owned(),
        false => format!("{poller}/{}", row.server.name),
    }
}

fn cell_tables(f: &mut Formatter<'_>, cell: &Cell, measured: &Measured) -> fmt::Result {
    writeln!(f, "## {}. {}\n", cell.number, cell.what)?;
    writeln!(f, "`{}`, {} rounds.\n", cell.name, measured.rounds.len())?;
    for note in &measured.notes {
        writeln!(f, "- {note}")?;
    }
    let slices = measured
        .rounds
        .iter()
        .flat_map(|round| round.values.values());
    let invalid = slices
        .filter(|values| values.contains_key("invalid"))
        .count();
    if invalid > 0 {
        writeln!(
            f,
            "- {invalid} slices are INVALID by the client's own verdict: it sent late"
        )?;
    }
    if !measured.notes.is_empty() {
        writeln!(f)?;
    }
    let (judged, plain): (Vec<&Figure>, Vec<&Figure>) = cell
        .figures
        .iter()
        .partition(|figure| !figure.targets.is_empty());
    let mut is_short_of_a_bound = false;
    for (at, figure) in judged.into_iter().enumerate() {
        // What has no target stands beside the first that has one.
        let beside: &[&Figure] = if at == 0 { &plain } else { &[] };
        let rows = rows(cell, figure, measured);
        let mut verdicts = rows.iter().flat_map(|row| row.verdicts);
        is_short_of_a_bound |=
            verdicts.any(|verdict| matches!(verdict, Some(Verdict::Open | Verdict::Miss)));
        figure_table(f, cell, figure, &rows, beside, measured)?;
    }
    if is_short_of_a_bound && let Some(reason) = reason(cell.name) {
        writeln!(f, "Why not all: {reason}\n")?;
    }
    for (server, message) in &measured.failures {
        writeln!(f, "- {server} failed: {message}")?;
    }
    if !measured.failures.is_empty() {
        writeln!(f)?;
    }
    Ok(())
}

/// The text below the heading that names the cell.
fn reason(cell: &str) -> Option<&'static str> {
    sections().find_map(|(mut names, text)| names.any(|name| name == cell).then_some(text))
}

/// Cells and what is said of them.
fn sections() -> impl Iterator<Item = (impl Iterator<Item = &'static str>, &'static str)> {
    let sections = REASONS.split("\n## ").skip(1);
    sections.filter_map(|section| {
        let (names, text) = section.split_once('\n')?;
        Some((names.split(", "), text.trim()))
    })
}

fn figure_table(
    f: &mut Formatter<'_>,
    cell: &Cell,
    figure: &Figure,
    rows: &[Row],
    beside: &[&Figure],
    measured: &Measured,
) -> fmt::Result {
    if rows.is_empty() {
        return writeln!(f, "No {} was measured.\n", figure.name);
    }
    let [first, second] = cell.references;
    write!(f, "| server | {}{} |", figure.name, unit(figure))?;
    write!(
        f,
        " {first} / it | {second} / it | bound | io_uring | epoll |"
    )?;
    for figure in beside {
        write!(f, " {}{} |", figure.name, unit(figure))?;
    }
    writeln!(f, " cores busy, server / client |")?;
    writeln!(
        f,
        "|---|---|---|---|---|---|---|{}---|",
        "---|".repeat(beside.len())
    )?;
    for row in rows {
        let ratio = |at: usize| row.ratios[at].map_or_else(|| "–".to_owned(), |s| s.to_string());
        let verdict = |at: usize| row.verdicts[at].map_or("", words);
        write!(
            f,
            "| {}{}{} | {} | {} | {} | {} | {} | {} |",
            row.server.name,
            if row.is_limit { " **L**" } else { "" },
            if row.is_client_bound() { " †" } else { "" },
            row.value,
            ratio(0),
            ratio(1),
            row.target
                .map_or_else(String::new, |target| bound(target, figure)),
            verdict(0),
            verdict(1),
        )?;
        for figure in beside {
            let values = measured.figure(row.server.name, figure.key);
            let value = corelane_bench::stats::median(&values);
            write!(f, " {} |", value.map_or_else(|| "–".to_owned(), number))?;
        }
        let percent = |busy: Option<f64>| {
            busy.map_or_else(|| "–".to_owned(), |busy| format!("{:.0} %", 100.0 * busy))
        };
        writeln!(f, " {} / {} |", percent(row.busy[0]), percent(row.busy[1]))?;
    }
    writeln!(f)
}

fn servers(f: &mut Formatter<'_>, results: &Results) -> fmt::Result {
    writeln!(f, "## Servers\n\n| server | version | how |\n|---|---|---|")?;
    for server in &results.servers {
        match &server.skipped {
            None => writeln!(
                f,
                "| {} | {} | {} |",
                server.name, server.version, server.tuned
            )?,
            Some(why) => writeln!(f, "| {} | – | skipped: {why} |", server.name)?,
        }
    }
    writeln!(
        f,
        "\nClient-bound (†) means that the client's core was busy for more than {:.0} %.",
        100.0 * CLIENT_BOUND
    )
}

fn bound(target: Target, figure: &Figure) -> String {
    let sign = if figure.more_is_better { "≥" } else { "≤" };
    let to = match target.against {
        Against::Limit => " L",
        Against::Best => " of the best",
        Against::Peers | Against::Named(_) | Against::Nobody => "",
    };
    match target.bound {
        [one, other] if one == other || other.is_infinite() => {
            format!("{sign} {}{to}", number(one))
        }
        [one, other] if one.is_infinite() => format!("{sign} {}{to}", number(other)),
        [one, other] => format!("{sign} {} / {}{to}", number(one), number(other)),
    }
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Hit => "hit",
        Verdict::Allowed => "hit (5 %)",
        Verdict::Open => "open",
        Verdict::Miss => "**miss**",
    }
}

fn unit(figure: &Figure) -> String {
    match figure.unit {
        "" => String::new(),
        unit => format!(", {unit}"),
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let interval = self.interval;
        let few = if self.few { " ‡" } else { "" };
        let [median, low, high] = [interval.median, interval.low, interval.high].map(number);
        write!(f, "{median} [{low}–{high}]{few}")
    }
}

/// Three digits, and all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => grouped(&format!("{value:.0}")),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.995 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// `1234567` as `1,234,567`.
fn grouped(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Table, number};
    use crate::results::tests::{measured, results};

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.1234, "0.123"),
            (0.9961, "1.00"),
            (12.345, "12.3"),
            (99.96, "100"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_table_says_what_was_reached_and_what_not() {
        let mut cell = measured(
            "cpu",
            &[
                ("corelane", &[5.0; 6]),
                ("corelane-epoll", &[7.0; 6]),
                ("c-epoll", &[4.9; 6]),
                ("c-uring", &[6.0; 6]),
                ("tokio", &[6.0; 6]),
            ],
        );
        cell.cell = "echo-1".to_owned();
        cell.failures
            .push(("glommio".to_owned(), "has ended".to_owned()));
        for round in &mut cell.rounds {
            let values = round.values.get_mut("tokio").unwrap();
            values.insert("client_core".to_owned(), 0.9);
        }
        let text = Table(&results(vec![cell])).to_string();
        for line in [
            "```text\nbench/peers/run --quick\n```",
            "| 1 | echo-1 | server CPU a message, µs | 4.90 (c-epoll) | 5.00 | 7.00 | \
             epoll/c-epoll **miss**, epoll/tokio **miss** |",
            "2 of 4 bounds hold",
            "| c-epoll **L** | 4.90 [4.90–4.90] | 1.02 [1.02–1.02] | 1.43 [1.43–1.43] | ≤ 1.05 L | \
             hit | **miss** | – | – / – |",
            "| tokio † | 6.00 [6.00–6.00] | 0.833 [0.833–0.833] | 1.17 [1.17–1.17] | ≤ 1.00 | \
             hit | **miss** | – | – / 90 % |",
            "- glommio failed: has ended",
            "| envoy | – | skipped: envoy could not be built or installed |",
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_reason_stands_below_what_is_missed() {
        for (of_corelane, is_there) in [(5.0, false), (7.0, true)] {
            let rows = [
                ("corelane", &[of_corelane; 6][..]),
                ("c-epoll", &[4.9; 6]),
                ("tokio", &[6.0; 6]),
            ];
            let mut cell = measured("cpu", &rows);
            cell.cell = "echo-1".to_owned();
            let text = Table(&results(vec![cell])).to_string();
            assert_eq!(text.contains("Why not all: "), is_there, "{text}");
        }
        for name in super::sections().flat_map(|(names, _)| names) {
            let known = crate::cells::CELLS.iter().any(|cell| cell.name == name);
            assert!(known, "{name}");
        }
    }

    #[test]
    fn few_rounds_are_marked() {
        let mut cell = measured("bytes", &[("corelane", &[600.0, 610.0, 605.0])]);
        cell.cell = "memory-echo".to_owned();
        let text = Table(&results(vec![cell])).to_string();
        assert!(
            text.contains("| corelane | 605 [600–610] ‡ | – | – | ≤ 256 | **miss** |  |"),
            "{text}"
        );
    }
}
