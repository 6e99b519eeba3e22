//! The page of the listeners.

use super::cells::{events, maybe, number, percentiles, text, traffic};
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
    number("QUEUED", 3),
    number("WAITED p50 p99", 5),
    number("1ST BYTE p50 p99", 4),
    number("LIFE p50 p99", 5),
    text("SERVICE", 6),
    text("UPSTREAM", 1),
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
    let upstream = of.upstream.as_ref();
    vec![
        Cell::text(&of.name),
        Cell::text(&of.state).tone(tone),
        maybe(of.flow.sessions_live, grouped),
        events(look, &counter(What::Begun)),
        traffic(look, &counter(What::In)),
        traffic(look, &counter(What::Out)),
        maybe(of.flow.queued, grouped),
        percentiles(of.flow.waited),
        percentiles(of.flow.first_byte),
        percentiles(of.flow.life),
        Cell::text(&of.service),
        upstream.map_or_else(Cell::none, Cell::text),
        Cell::text(of.addresses.join(" ")),
    ]
}
