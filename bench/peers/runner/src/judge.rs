//! From rounds to rows: medians, intervals, ratios, the limit, and what was reached. Pure.

use corelane_bench::stats::{self, Interval, RATIOS_MIN};

use crate::cells::Cell;
use crate::figures::{Against, Figure, Target};
use crate::results::Measured;
use crate::servers::{SERVERS, Server};

/// Above this share of its core it is the client that was measured (as in the client itself).
pub(crate) const CLIENT_BOUND: f64 = 0.85;
/// By how much epoll may miss what io_uring must reach.
const EPOLL_ALLOWANCE: f64 = 1.05;

/// Several measurements of one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) interval: Interval,
    /// Too few for an interval of 95 %: it is the smallest and the largest.
    pub(crate) few: bool,
}

/// Whether a target was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The far end of the interval holds.
    Hit,
    /// It holds with the 5 % that epoll is allowed.
    Allowed,
    /// The interval has the bound inside: neither is shown.
    Open,
    /// The near end does not hold either.
    Miss,
}

/// A server's row in the table of one figure.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) server: &'static Server,
    pub(crate) value: Spread,
    /// Each reference's figure divided by its.
    pub(crate) ratios: [Option<Spread>; 2],
    pub(crate) target: Option<Target>,
    pub(crate) verdicts: [Option<Verdict>; 2],
    pub(crate) is_limit: bool,
    /// Shares of the server's and the client's core that were busy.
    pub(crate) busy: [Option<f64>; 2],
}

impl Row {
    pub(crate) fn is_client_bound(&self) -> bool {
        self.busy[1].is_some_and(|busy| busy > CLIENT_BOUND)
    }
}

/// The median and between what it lies; `None` of nothing.
pub(crate) fn spread(values: &[f64]) -> Option<Spread> {
    if let Some(interval) = stats::median_interval(values) {
        return Some(Spread {
            interval,
            few: false,
        });
    }
    let low = values.iter().copied().min_by(f64::total_cmp)?;
    let high = values.iter().copied().max_by(f64::total_cmp)?;
    let interval = Interval {
        median: stats::median(values)?,
        low,
        high,
    };
    Some(Spread {
        interval,
        few: values.len() < RATIOS_MIN,
    })
}

/// The rows of one figure, in the order of the table of servers.
pub(crate) fn rows(cell: &Cell, figure: &Figure, measured: &Measured) -> Vec<Row> {
    let busy = |server: &Server, key: &str| stats::median(&measured.figure(server.name, key));
    let mut rows: Vec<Row> = SERVERS
        .iter()
        .filter_map(|server| {
            let value = spread(&measured.figure(server.name, figure.key))?;
            let ratio = |of: &str| match of == server.name {
                true => None,
                false => spread(&measured.ratios(of, server.name, figure.key)),
            };
            Some(Row {
                server,
                value,
                ratios: cell.references.map(ratio),
                target: None,
                verdicts: [None; 2],
                is_limit: false,
                busy: ["server_core", "client_core"].map(|key| busy(server, key)),
            })
        })
        .collect();
    let limit = best(&rows, figure, |server| server.limit);
    let best = best(&rows, figure, |server| !server.is_corelane());
    for row in &mut rows {
        let name = row.server.name;
        row.is_limit = limit == Some(name);
        row.target = target(cell, figure, row.server, limit, best);
        row.verdicts = [0, 1].map(|at| {
            let target = row.target?;
            let measured = match target.against {
                Against::Nobody => (cell.references[at] == name).then_some(row.value),
                _ => row.ratios[at],
            };
            let bound = target.bound[at];
            let on_epoll = at == 1 && target.bound[0] == target.bound[1];
            measured
                .filter(|_| bound.is_finite())
                .map(|measured| verdict(measured.interval, bound, figure.more_is_better, on_epoll))
        });
    }
    rows
}

/// The name of the best of some servers.
fn best(rows: &[Row], figure: &Figure, among: impl Fn(&Server) -> bool) -> Option<&'static str> {
    let rows = rows.iter().filter(|row| among(row.server));
    let order = |a: &&Row, b: &&Row| a.value.interval.median.total_cmp(&b.value.interval.median);
    let row = match figure.more_is_better {
        true => rows.max_by(order),
        false => rows.min_by(order),
    };
    row.map(|row| row.server.name)
}

/// The target that this row is measured by; of several the first in the cell's list.
fn target(
    cell: &Cell,
    figure: &Figure,
    server: &Server,
    limit: Option<&str>,
    best: Option<&str>,
) -> Option<Target> {
    let has_its_own = figure
        .targets
        .iter()
        .any(|target| target.against == Against::Named(server.name));
    let applies = |target: &&Target| match target.against {
        Against::Limit => limit == Some(server.name),
        Against::Best => best == Some(server.name),
        Against::Peers => !server.limit && !server.is_corelane(),
        Against::Named(name) if name == server.name => true,
        Against::Named(name) => {
            let configured = server
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('-'));
            configured && !has_its_own && !server.is_corelane()
        }
        Against::Nobody => cell.references.contains(&server.name),
    };
    figure.targets.iter().find(applies).copied()
}

fn verdict(measured: Interval, bound: f64, more_is_better: bool, on_epoll: bool) -> Verdict {
    // Turned round, so that less is better.
    let (near, far, bound) = match more_is_better {
        true => (-measured.high, -measured.low, -bound),
        false => (measured.low, measured.high, bound),
    };
    let allowed = match more_is_better {
        true => bound / EPOLL_ALLOWANCE,
        false => bound * EPOLL_ALLOWANCE,
    };
    match () {
        () if far <= bound => Verdict::Hit,
        () if on_epoll && far <= allowed => Verdict::Allowed,
        () if near <= bound => Verdict::Open,
        () => Verdict::Miss,
    }
}

#[cfg(test)]
mod tests {
    use corelane_bench::stats::Interval;

    use super::{Verdict, rows, spread, verdict};
    use crate::cells::{CELLS, Cell};
    use crate::results::tests::measured;

    fn cell(name: &str) -> &'static Cell {
        CELLS.iter().find(|cell| cell.name == name).unwrap()
    }

    #[test]
    fn an_end_of_the_interval_decides_and_not_the_median() {
        let interval = |low, high| Interval {
            median: (low + high) / 2.0,
            low,
            high,
        };
        for (low, high, less, more) in [
            (0.8, 0.9, Verdict::Hit, Verdict::Miss),
            (0.8, 1.0, Verdict::Hit, Verdict::Open),
            (0.9, 1.01, Verdict::Open, Verdict::Open),
            (1.01, 1.2, Verdict::Miss, Verdict::Hit),
        ] {
            assert_eq!(
                verdict(interval(low, high), 1.0, false, false),
                less,
                "{low} {high}"
            );
            assert_eq!(
                verdict(interval(low, high), 1.0, true, false),
                more,
                "{low} {high}"
            );
        }
        assert_eq!(
            verdict(interval(0.9, 1.04), 1.0, false, true),
            Verdict::Allowed
        );
        assert_eq!(
            verdict(interval(0.96, 1.1), 1.0, true, true),
            Verdict::Allowed
        );
        assert_eq!(
            verdict(interval(0.9, 1.06), 1.0, false, true),
            Verdict::Open
        );
    }

    #[test]
    fn few_values_are_spread_from_the_smallest_to_the_largest() {
        let few = spread(&[3.0, 1.0, 2.0]).unwrap();
        assert!(few.few);
        let Interval { median, low, high } = few.interval;
        assert_eq!((median, low, high), (2.0, 1.0, 3.0));
        assert!(!spread(&[1.0; 6]).unwrap().few);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn the_better_of_the_hand_written_is_the_limit() {
        let cell = cell("echo-1");
        let data = measured(
            "cpu",
            &[
                ("corelane", &[5.0; 6]),
                ("corelane-epoll", &[5.1; 6]),
                ("c-epoll", &[4.9; 6]),
                ("c-uring", &[4.0; 6]),
                ("tokio", &[5.5; 6]),
                ("go", &[9.0; 6]),
            ],
        );
        let rows = rows(cell, &cell.figures[0], &data);
        let row = |name: &str| rows.iter().find(|row| row.server.name == name).unwrap();
        assert!(row("c-uring").is_limit && !row("c-epoll").is_limit);
        assert_eq!(row("c-uring").verdicts, [Some(Verdict::Miss); 2]);
        assert_eq!(row("tokio").verdicts, [Some(Verdict::Hit); 2]);
        for name in ["c-epoll", "go", "corelane"] {
            assert_eq!(row(name).verdicts, [None; 2], "{name}");
        }
        let ratio = row("c-uring").ratios[0].unwrap().interval;
        assert_eq!((ratio.low, ratio.median, ratio.high), (1.25, 1.25, 1.25));
        assert_eq!(row("corelane").ratios[0], None);
    }

    #[test]
    fn a_configuration_with_a_target_of_its_own_is_held_to_that() {
        let cell = cell("bulk-4-up");
        let data = measured(
            "cpu_gb",
            &[
                ("corelane", &[0.5; 6]),
                ("c-splice", &[0.49; 6]),
                ("haproxy", &[1.0; 6]),
                ("haproxy-tuned", &[1.0; 6]),
                ("nginx-tuned", &[1.0; 6]),
            ],
        );
        let rows = rows(cell, &cell.figures[0], &data);
        let bound = |name: &str| {
            let row = rows.iter().find(|row| row.server.name == name).unwrap();
            (row.target.unwrap().bound[0], row.verdicts[0])
        };
        assert_eq!(bound("c-splice"), (1.05, Some(Verdict::Hit)));
        assert_eq!(bound("haproxy"), (0.27, Some(Verdict::Miss)));
        assert_eq!(bound("haproxy-tuned"), (0.65, Some(Verdict::Hit)));
        assert_eq!(bound("nginx-tuned"), (0.33, Some(Verdict::Miss)));
    }

    #[test]
    fn a_bound_on_the_figure_itself_is_each_pollers_own() {
        let cell = cell("calls-50");
        let data = measured(
            "calls",
            &[
                ("corelane", &[0.5; 6]),
                ("corelane-epoll", &[2.0; 6]),
                ("c-epoll", &[2.1; 6]),
            ],
        );
        let rows = rows(cell, &cell.figures[0], &data);
        let verdicts: Vec<_> = rows.iter().map(|row| row.verdicts).collect();
        assert_eq!(
            verdicts,
            [
                [Some(Verdict::Miss), None],
                [None, Some(Verdict::Hit)],
                [None, None]
            ]
        );
    }
}
