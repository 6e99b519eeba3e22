//! The page of the listeners.

use super::cells::{events, maybe, number, percentiles, text, traffic, trouble};
use crate::api::Listener;
use crate::grid::{Cell, Column, Grid, Row, Tone};
use crate::poll::Look;
use crate::rates::{Counter, What};
use crate::units::grouped;

pub(super) const COLUMNS: &[Column] = &[
    text("LISTENER", 0),
    text("STATE", 0),
    number("SESSIONS", 1),
    number("NEW/s", 1),
    number("IN/s", 2),
    number("OUT/s", 2),
    number("FAILED", 4),
    number("1ST BYTE p50 p99", 5),
    number("LIFE p50 p99", 6),
    text("SERVICE", 3),
    text("UPSTREAM", 3),
    text("ADDRESSES", 1),
];

pub(super) fn grid(look: &Look) -> Grid {
    let rows = look.listeners.iter().map(|of| Row {
        id: of.name.clone(),
        cells: cells(look, of),
    });
    Grid {
        columns: COLUMNS,
        rows: rows.collect(),
    }
}

fn cells(look: &Look, of: &Listener) -> Vec<Cell> {
    let counter = |what| Counter::Listener(of.name.clone(), what);
    let tone = match of.state.as_str() {
        "accepting" => Tone::Good,
        "paused" => Tone::Warn,
        _ => Tone::Bad,
    };
    let failures = of.flow.connect_failures.as_ref();
    let upstream = of.upstream.as_ref();
    vec![
        Cell::text(&of.name),
        Cell::text(&of.state).tone(tone),
        maybe(of.flow.sessions_live, grouped),
        events(look, &counter(What::Begun)),
        traffic(look, &counter(What::In)),
        traffic(look, &counter(What::Out)),
        failures.map_or_else(Cell::none, |causes| trouble(causes.values().sum())),
        percentiles(of.flow.first_byte),
        percentiles(of.flow.life),
        Cell::text(&of.service),
        upstream.map_or_else(Cell::none, Cell::text),
        Cell::text(of.addresses.join(" ")),
    ]
}
