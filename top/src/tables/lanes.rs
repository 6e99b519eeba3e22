//! The page of the lanes.

use super::cells::{events, maybe, number, text, traffic, trouble};
use crate::api::Lane;
use crate::grid::{Cell, Column, Grid, Row, Tone};
use crate::poll::Look;
use crate::rates::{Counter, What};
use crate::units::grouped;

pub(super) const COLUMNS: &[Column] = &[
    number("LANE", 0),
    number("CPU", 4),
    text("POLLER", 2),
    number("LOAD", 1),
    number("QUEUE", 1),
    number("STALLS", 1),
    number("SESSIONS", 0),
    number("NEW/s", 1),
    number("RECEIVED/s", 2),
    number("SENT/s", 2),
    number("TURNS/s", 3),
    number("POLLS/s", 3),
    number("PERMIT WAITS", 5),
    number("BUFFER WAITS", 5),
];

pub(super) fn grid(look: &Look) -> Grid {
    let rows = look.lanes.iter().map(|of| Row {
        id: of.lane.to_string(),
        cells: cells(look, of),
    });
    Grid {
        columns: COLUMNS,
        rows: rows.collect(),
    }
}

fn cells(look: &Look, of: &Lane) -> Vec<Cell> {
    let counter = |what| Counter::Lane(of.lane, what);
    vec![
        Cell::count(of.lane, |lane| lane.to_string()),
        maybe(of.cpu, |cpu| cpu.to_string()),
        Cell::text(&of.poller),
        load(look, of.lane),
        maybe(of.run_queue, grouped),
        of.stalls.map_or_else(Cell::none, trouble),
        Cell::count(of.sessions, grouped),
        events(look, &counter(What::Begun)),
        traffic(look, &counter(What::In)),
        traffic(look, &counter(What::Out)),
        events(look, &counter(What::Turns)),
        events(look, &counter(What::Polls)),
        trouble(of.permit_waits),
        trouble(of.buffer_waits),
    ]
}

/// The share of time in which the lane worked.
fn load(look: &Look, lane: u64) -> Cell {
    let busy = look.rates.per_second(&Counter::Lane(lane, What::BusyNs));
    busy.map_or_else(Cell::none, |ns_per_second| {
        let percent = ns_per_second / 1e7;
        let tone = match percent {
            p if p >= 90.0 => Tone::Bad,
            p if p >= 70.0 => Tone::Warn,
            _ => Tone::Plain,
        };
        Cell::number(percent, format!("{percent:.0}%")).tone(tone)
    })
}
