//! The page of the upstreams: a row for each endpoint.

use super::cells::{events, number, percentiles, text, traffic, trouble};
use crate::api::Endpoint;
use crate::grid::{Cell, Column, Grid, Row, Tone};
use crate::poll::Look;
use crate::rates::{Counter, What};
use crate::units::{grouped, time};

pub(super) const COLUMNS: &[Column] = &[
    text("UPSTREAM", 0),
    text("ENDPOINT", 0),
    text("ADMIN", 1),
    text("HEALTH", 1),
    text("STATE", 1),
    number("SESSIONS", 1),
    number("FAILURES", 1),
    number("FOR", 2),
    number("NEW/s", 2),
    number("IN/s", 3),
    number("OUT/s", 3),
    number("CONNECTS FAILED", 4),
    number("CONNECT p50 p99", 4),
    number("1ST BYTE p50 p99", 5),
];

pub(super) fn grid(look: &Look) -> Grid {
    let endpoints = look.upstreams.iter().flat_map(|upstream| {
        let name = upstream.name.as_str();
        upstream.endpoints.iter().map(move |of| (name, of))
    });
    let rows = endpoints.map(|(upstream, of)| Row {
        // No name and no address has a space.
        id: format!("{upstream} {}", of.address),
        cells: cells(look, upstream, of),
    });
    Grid {
        columns: COLUMNS,
        rows: rows.collect(),
    }
}

fn cells(look: &Look, upstream: &str, of: &Endpoint) -> Vec<Cell> {
    let counter = |what| Counter::Endpoint(upstream.to_owned(), of.address.clone(), what);
    let admin = match of.admin_state.as_str() {
        "ready" => Tone::Plain,
        _ => Tone::Warn,
    };
    let state = match of.state.as_str() {
        "answering" => Tone::Good,
        "failing" => Tone::Bad,
        _ => Tone::Plain,
    };
    let health = match of.health.as_str() {
        "up" => Tone::Good,
        "down" | "ejected" => Tone::Bad,
        _ => Tone::Plain,
    };
    let failing = of
        .failing_ms
        .map(|ms| Cell::count(ms, time).tone(Tone::Bad));
    let refused = of.flow.connect_failures.as_ref();
    vec![
        Cell::text(upstream),
        Cell::text(&of.address),
        Cell::text(&of.admin_state).tone(admin),
        Cell::text(&of.health).tone(health),
        Cell::text(&of.state).tone(state),
        Cell::count(of.sessions, grouped),
        trouble(of.failures),
        failing.unwrap_or_else(Cell::none),
        events(look, &counter(What::Begun)),
        traffic(look, &counter(What::In)),
        traffic(look, &counter(What::Out)),
        refused.map_or_else(Cell::none, |causes| trouble(causes.values().sum())),
        percentiles(of.flow.connect),
        percentiles(of.flow.first_byte),
    ]
}
