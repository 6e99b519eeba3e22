//! The answers of the server as rows, a table for each page.

mod lanes;
mod listeners;
mod sessions;
mod upstreams;

use crate::api::Histogram;
use crate::grid::{Cell, Column, Grid, Tone};
use crate::poll::Look;
use crate::rates::Counter;
use crate::units::{bytes_rate, micros, rate};

/// A page with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Listeners,
    Upstreams,
    Lanes,
    Sessions,
}

impl Tab {
    pub(crate) const ALL: [Self; 4] = [
        Self::Listeners,
        Self::Upstreams,
        Self::Lanes,
        Self::Sessions,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Listeners => "Listeners",
            Self::Upstreams => "Upstreams",
            Self::Lanes => "Lanes",
            Self::Sessions => "Sessions",
        }
    }
}

/// The rows of a page, not yet sorted.
pub(crate) fn grid(tab: Tab, look: &Look) -> Grid {
    match tab {
        Tab::Listeners => listeners::grid(look),
        Tab::Upstreams => upstreams::grid(look),
        Tab::Lanes => lanes::grid(look),
        Tab::Sessions => sessions::grid(look),
    }
}

/// The columns of a page.
pub(crate) fn columns(tab: Tab) -> &'static [Column] {
    match tab {
        Tab::Listeners => listeners::COLUMNS,
        Tab::Upstreams => upstreams::COLUMNS,
        Tab::Lanes => lanes::COLUMNS,
        Tab::Sessions => sessions::COLUMNS,
    }
}

const fn text(title: &'static str, rank: u8) -> Column {
    Column {
        title,
        rank,
        is_number: false,
    }
}

const fn number(title: &'static str, rank: u8) -> Column {
    Column {
        title,
        rank,
        is_number: true,
    }
}

/// Events a second.
fn events(look: &Look, counter: &Counter) -> Cell {
    per_second(look, counter, rate)
}

/// Bytes a second.
fn traffic(look: &Look, counter: &Counter) -> Cell {
    per_second(look, counter, bytes_rate)
}

fn per_second(look: &Look, counter: &Counter, show: fn(f64) -> String) -> Cell {
    match look.rates.per_second(counter) {
        Some(value) => Cell::number(value, show(value)),
        None if look.rates.is_counted(counter) => Cell::waiting(),
        None => Cell::none(),
    }
}

fn maybe(value: Option<u64>, show: impl Fn(u64) -> String) -> Cell {
    value.map_or_else(Cell::none, |value| Cell::count(value, show))
}

/// The median and the 99th percentile, sorted by the latter.
fn percentiles(of: Option<Histogram>) -> Cell {
    match of {
        Some(of) if of.count > 0 => Cell::count(of.p99_us, |p99| {
            format!("{} {}", micros(of.p50_us), micros(p99))
        }),
        _ => Cell::none(),
    }
}

/// A count that should be zero.
fn trouble(count: u64) -> Cell {
    let tone = if count == 0 { Tone::Dim } else { Tone::Warn };
    Cell::count(count, crate::units::grouped).tone(tone)
}
