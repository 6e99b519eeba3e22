//! The page of the sessions.

use super::cells::{number, text, traffic};
use crate::api::Session;
use crate::grid::{Cell, Column, Grid, Row, Tone};
use crate::poll::Look;
use crate::rates::{Counter, What};
use crate::units::{bytes, time};

pub(super) const COLUMNS: &[Column] = &[
    number("ID", 0),
    text("CLIENT", 0),
    text("LISTENER", 2),
    text("ENDPOINT", 1),
    text("STAGE", 2),
    number("AGE", 1),
    number("IDLE", 1),
    number("IN/s", 1),
    number("OUT/s", 1),
    number("IN", 2),
    number("OUT", 2),
    number("LANE", 4),
    text("UPSTREAM", 5),
    number("GENERATION", 6),
];

pub(super) fn grid(look: &Look) -> Grid {
    let sessions = look.sessions.iter().flatten().flat_map(|of| &of.list);
    let rows = sessions.map(|of| Row {
        id: of.id.to_string(),
        cells: cells(look, of),
    });
    Grid {
        columns: COLUMNS,
        rows: rows.collect(),
    }
}

fn cells(look: &Look, of: &Session) -> Vec<Cell> {
    let counter = |what| Counter::Session(of.id, what);
    let name = |name: &Option<String>| name.as_ref().map_or_else(Cell::none, Cell::text);
    let stage = match of.is_ending {
        true => Tone::Warn,
        false => Tone::Plain,
    };
    vec![
        Cell::count(of.id, |id| id.to_string()),
        Cell::text(&of.client),
        Cell::text(&of.listener),
        name(&of.endpoint),
        Cell::text(of.stage()).tone(stage),
        Cell::count(of.age_ms, time),
        Cell::count(of.idle_ms, time),
        traffic(look, &counter(What::In)),
        traffic(look, &counter(What::Out)),
        Cell::count(of.from_client_bytes, bytes),
        Cell::count(of.to_client_bytes, bytes),
        Cell::count(of.lane, |lane| lane.to_string()),
        name(&of.upstream),
        Cell::count(of.generation, |generation| generation.to_string()),
    ]
}
