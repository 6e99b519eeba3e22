//! Columns and cells of the tables.

use crate::api::Histogram;
use crate::grid::{Cell, Column, Tone};
use crate::poll::Look;
use crate::rates::Counter;
use crate::units::{bytes_rate, grouped, micros, rate};

pub(super) const fn text(title: &'static str, rank: u8) -> Column {
    Column {
        title,
        rank,
        is_number: false,
    }
}

pub(super) const fn number(title: &'static str, rank: u8) -> Column {
    Column {
        title,
        rank,
        is_number: true,
    }
}

/// Events a second.
pub(super) fn events(look: &Look, counter: &Counter) -> Cell {
    per_second(look, counter, rate)
}

/// Bytes a second.
pub(super) fn traffic(look: &Look, counter: &Counter) -> Cell {
    per_second(look, counter, bytes_rate)
}

fn per_second(look: &Look, counter: &Counter, show: fn(f64) -> String) -> Cell {
    match look.rates.per_second(counter) {
        Some(value) => Cell::number(value, show(value)),
        None if look.rates.is_counted(counter) => Cell::waiting(),
        None => Cell::none(),
    }
}

pub(super) fn maybe(value: Option<u64>, show: impl Fn(u64) -> String) -> Cell {
    value.map_or_else(Cell::none, |value| Cell::count(value, show))
}

/// The median and the 99th percentile, sorted by the latter.
pub(super) fn percentiles(of: Option<Histogram>) -> Cell {
    match of {
        Some(of) if of.count > 0 => Cell::count(of.p99_us, |p99| {
            format!("{} {}", micros(of.p50_us), micros(p99))
        }),
        _ => Cell::none(),
    }
}

/// A count that should be zero.
pub(super) fn trouble(count: u64) -> Cell {
    let tone = if count == 0 { Tone::Dim } else { Tone::Warn };
    Cell::count(count, grouped).tone(tone)
}
