//! Rows and tables of a text. Pure.

use std::fmt::{self, Display, Formatter, Write};

use super::figures::{maybe, time};
use super::wrap::NAME_COLUMNS;
use crate::outcome::Percentiles;
use crate::stats::float;

pub(super) fn row(name: &str, cells: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(cells).collect()
}

/// A table with the first column left-aligned, the others right-aligned. A last column with an
/// empty head contains text and is left-aligned.
pub(super) fn table(text: &mut String, rows: &[impl AsRef<[String]>]) {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let words = |column: usize| {
        let head = rows.first().and_then(|row| row.as_ref().get(column));
        column > 0 && column + 1 == columns && head.is_some_and(String::is_empty)
    };
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.as_ref().iter().zip(&widths).enumerate() {
            match (column, words(column)) {
                (0, _) => _ = write!(line, "{cell:<width$}"),
                (_, true) => _ = write!(line, "  {cell}"),
                (_, false) => _ = write!(line, "  {cell:>width$}"),
            }
        }
        _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Percentiles in one line.
pub(crate) struct PercentileLine<'a>(pub(crate) &'a Percentiles);

impl Display for PercentileLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let show = |value: Option<u64>| maybe(value, |nanos| time(float(nanos)));
        let Percentiles {
            p50,
            p90,
            p99,
            p99_9,
            ..
        } = self.0;
        write!(f, "p50 {}  p90 {}  ", show(*p50), show(*p90))?;
        write!(f, "p99 {}  p99.9 {}", show(*p99), show(*p99_9))
    }
}

/// A row: a name and a value.
pub(super) fn line(text: &mut String, name: &str, what: impl Display) {
    _ = writeln!(text, "{name:<NAME_COLUMNS$}{what}");
}
