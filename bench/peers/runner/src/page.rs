//! The page for a reader: differences in percent, what is worse first. `table` has every figure of
//! every server, and the targets. Pure.

use std::fmt::{self, Display, Formatter};

use crate::cells::{CELLS, Cell};
use crate::figures::Figure;
use crate::judge::{Row, Spread, rows};
use crate::results::{Measured, Results};
use crate::table::{environment, number};

/// The whole page.
#[derive(Debug)]
pub(crate) struct Page<'a>(pub(crate) &'a Results);

const HEAD: &str = "\
# Results

What corelane costs beside other servers. Every server runs alone on one core; the load client, and
behind a proxy the upstream, run on another core. In each round every server has one slice. A
percentage compares corelane with the other server inside one round: median, and the 95 % interval
in brackets. Rows marked ‡ have fewer than six rounds, and the brackets have the smallest and the
largest. The **C limit** is the better of the hand-written C servers; other servers run at their
defaults. `bench/peers/README.md` describes the servers and the method.
";

/// A compared server: the head of its column, and its name; `None` for the C limit.
type Column = (&'static str, Option<&'static str>);

const COLUMNS: &[Column] = &[
    ("C limit", None),
    ("tokio", Some("tokio")),
    ("monoio", Some("monoio")),
    ("Go", Some("go")),
    ("HAProxy", Some("haproxy")),
    ("nginx", Some("nginx")),
    ("Envoy", Some("envoy")),
];
const POLLERS: [&str; 2] = ["io_uring", "epoll"];
/// Cells without a column of other servers.
const OF_CORELANE_ONLY: &[&str] = &["lanes-2"];

const CPU: Shown = Shown {
    title: "CPU",
    better: "Negative is better: corelane uses less CPU of the server's core, per message, per \
             connection or per GB.",
    keys: &["cpu", "cpu_gb"],
};
const THROUGHPUT: Shown = Shown {
    title: "Throughput",
    better: "Positive is better: corelane moves more bytes a second.",
    keys: &["gbit"],
};

/// The figures of one table.
struct Shown {
    title: &'static str,
    better: &'static str,
    keys: &'static [&'static str],
}

/// A figure of a cell, and how each server did.
struct Compared<'a> {
    cell: &'static Cell,
    figure: &'static Figure,
    measured: &'a Measured,
    rows: Vec<Row>,
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        environment(f, self.0)?;
        if self.0.interrupted {
            writeln!(f, "**Interrupted: later measurements are missing.**\n")?;
        }
        writeln!(f, "## What is worse\n")?;
        worse(f, &self.compared(&[CPU.keys, THROUGHPUT.keys].concat()))?;
        for (shown, at) in [(&CPU, 0), (&CPU, 1), (&THROUGHPUT, 0), (&THROUGHPUT, 1)] {
            self.differences(f, shown, at)?;
        }
        self.memory(f)
    }
}

impl Page<'_> {
    fn compared(&self, keys: &[&str]) -> Vec<Compared<'_>> {
        let cells = self.0.cells.iter().filter_map(|measured| {
            let cell = CELLS.iter().find(|cell| cell.name == measured.cell)?;
            (!OF_CORELANE_ONLY.contains(&cell.name)).then_some((cell, measured))
        });
        let compared = cells.flat_map(|(cell, measured)| {
            let figures = cell
                .figures
                .iter()
                .filter(|figure| keys.contains(&figure.key));
            figures.map(move |figure| Compared {
                cell,
                figure,
                measured,
                rows: rows(cell, figure, measured),
            })
        });
        compared.collect()
    }

    fn differences(&self, f: &mut Formatter<'_>, shown: &Shown, at: usize) -> fmt::Result {
        let title = format!("{} on {}", shown.title, POLLERS[at]);
        writeln!(
            f,
            "\n## {title}, difference in percent\n\n{}\n",
            shown.better
        )?;
        writeln!(f, "<!-- table: {title} -->\n")?;
        head(f, COLUMNS)?;
        for compared in self.compared(shown.keys) {
            write!(f, "| {}", compared.cell.what)?;
            if compared.measured.rounds.len() < 6 {
                write!(f, " ‡")?;
            }
            for column in COLUMNS {
                let ratio = compared.row(column).and_then(|row| row.ratios[at]);
                write!(f, " | {}", ratio.map(difference).unwrap_or_default())?;
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }

    fn memory(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const OURS: &[Column] = &[
            ("corelane, io_uring", Some("corelane")),
            ("corelane, epoll", Some("corelane-epoll")),
        ];
        let columns = [OURS, COLUMNS].concat();
        writeln!(f, "\n## User memory of an idle connection\n")?;
        writeln!(
            f,
            "Less is better. Bytes, kernel excluded; × is memory after a burst of 64 KB on each \
             connection, divided by memory before.\n"
        )?;
        head(f, &columns)?;
        for compared in self.compared(&["bytes", "burst"]) {
            let Compared { cell, figure, .. } = compared;
            write!(f, "| {}, {}", cell.what, figure.unit)?;
            for column in &columns {
                let value = compared.row(column).map(|row| row.value.interval.median);
                write!(f, " | {}", value.map(number).unwrap_or_default())?;
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

impl Compared<'_> {
    fn row(&self, (_, name): &Column) -> Option<&Row> {
        self.rows.iter().find(|row| match name {
            None => row.is_limit,
            Some(name) => row.server.name == *name,
        })
    }

    /// The servers against which the whole interval is on the worse side.
    fn worse(&self, at: usize) -> Vec<String> {
        let columns = COLUMNS.iter().filter_map(|column| {
            let ratio = self.row(column)?.ratios[at]?;
            let is_worse = match self.figure.more_is_better {
                true => ratio.interval.high < 1.0,
                false => ratio.interval.low > 1.0,
            };
            is_worse.then(|| format!("{} {} %", column.0, difference(ratio)))
        });
        columns.collect()
    }
}

fn worse(f: &mut Formatter<'_>, all: &[Compared<'_>]) -> fmt::Result {
    let mut any = false;
    for compared in all {
        for (at, poller) in POLLERS.into_iter().enumerate() {
            let worse = compared.worse(at);
            if worse.is_empty() {
                continue;
            }
            any = true;
            let Compared { cell, figure, .. } = compared;
            let (what, name, worse) = (cell.what, figure.name, worse.join("; "));
            writeln!(f, "- **{what}**, {name}, {poller}: {worse}")?;
        }
    }
    match any {
        true => Ok(()),
        false => writeln!(
            f,
            "No interval of CPU or throughput is wholly on the worse side."
        ),
    }
}

fn head(f: &mut Formatter<'_>, columns: &[Column]) -> fmt::Result {
    let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
    writeln!(f, "| work | {} |", names.join(" | "))?;
    writeln!(f, "|{}", "---|".repeat(names.len() + 1))
}

/// A ratio as a difference: `−8 (−10 to −3)`.
fn difference(ratio: Spread) -> String {
    let interval = ratio.interval;
    let [median, low, high] = [interval.median, interval.low, interval.high].map(percent);
    format!("{median} ({low} to {high})")
}

fn percent(ratio: f64) -> String {
    let difference = 100.0 * (ratio - 1.0);
    match difference.round() {
        more if more > 0.0 => format!("+{more:.0}"),
        less if less < 0.0 => format!("−{:.0}", -less),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, percent};
    use crate::results::tests::{measured, results};

    #[test]
    fn a_ratio_is_a_difference_in_percent() {
        for (ratio, text) in [(1.0, "0"), (1.344, "+34"), (0.917, "−8"), (0.997, "0")] {
            assert_eq!(percent(ratio), text);
        }
    }

    #[test]
    fn a_page_begins_with_what_is_worse() {
        let mut cell = measured(
            "cpu",
            &[
                ("corelane", &[5.0; 6]),
                ("corelane-epoll", &[6.0; 6]),
                ("c-epoll", &[4.0; 6]),
                ("c-uring", &[4.5; 6]),
                ("tokio", &[5.5; 6]),
                ("go", &[10.0; 6]),
            ],
        );
        cell.cell = "echo-1".to_owned();
        let mut memory = measured("bytes", &[("corelane", &[333.0; 3]), ("go", &[8083.0; 3])]);
        memory.cell = "memory-echo".to_owned();
        let text = Page(&results(vec![cell, memory])).to_string();
        for line in [
            "- **echo, 64 B, 1 connection**, server CPU a message, io_uring: \
             C limit +25 (+25 to +25) %\n",
            "epoll: C limit +50 (+50 to +50) %; tokio +9 (+9 to +9) %\n",
            "| echo, 64 B, 1 connection | +25 (+25 to +25) | −9 (−9 to −9) |  | −50 (−50 to −50) | \
             |",
            "| echo, 9,000 idle connections, B | 333 |  |  |  |  | 8,083 |",
        ] {
            assert!(
                text.contains(line.trim_end_matches(" |")),
                "{line}\nis not in\n{text}"
            );
        }
        assert!(text.find("What is worse") < text.find("CPU on io_uring"));
    }

    #[test]
    fn more_is_better_for_throughput() {
        let rows = [("corelane", &[8.0; 6][..]), ("c-epoll", &[10.0; 6])];
        let mut cell = measured("gbit", &rows);
        cell.cell = "bulk-4-down".to_owned();
        let text = Page(&results(vec![cell])).to_string();
        assert!(
            text.contains("throughput, io_uring: C limit −20 (−20 to −20) %"),
            "{text}"
        );
    }
}
