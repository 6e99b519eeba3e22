//! A table of rows with keys to sort by. Pure: knows neither the server nor the terminal.

use std::cmp::Ordering;

/// The narrowest column of text.
const TEXT_COLUMNS_MIN: usize = 7;

/// The meaning of a cell for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
    Dim,
}

/// The place of a cell in the order of its column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    /// Behind all others.
    None,
    Number(f64),
    Text(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) key: Key,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            key: Key::Text(text.to_lowercase()),
            text,
            tone: Tone::Plain,
        }
    }

    /// A number with its spelling.
    pub(crate) fn number(value: f64, text: String) -> Self {
        Self {
            text,
            key: Key::Number(value),
            tone: Tone::Plain,
        }
    }

    /// A number of the server, as `show` spells it.
    pub(crate) fn count(value: u64, show: impl Fn(u64) -> String) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "an order for people")]
        Self::number(value as f64, show(value))
    }

    /// A dash: no value.
    pub(crate) fn none() -> Self {
        Self {
            text: "-".to_owned(),
            key: Key::None,
            tone: Tone::Dim,
        }
    }

    /// A dash: a value follows. Its column stays on the screen.
    pub(crate) fn waiting() -> Self {
        Self {
            key: Key::Number(-1.0),
            ..Self::none()
        }
    }

    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Columns of a high rank leave a narrow terminal first; those of rank 0 stay.
    pub(crate) rank: u8,
    /// Numbers stand on the right, and sort from the largest down.
    pub(crate) is_number: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The same at every look.
    pub(crate) id: String,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// Whether every word is in a cell. Words are in lower case.
    pub(crate) fn has(&self, words: &[String]) -> bool {
        words.iter().all(|word| {
            let mut cells = self.cells.iter();
            cells.any(|cell| cell.text.to_lowercase().contains(word.as_str()))
        })
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
}

impl Grid {
    /// Sorts by a column; rows that are equal keep the order of their ids. Cells without a value
    /// come last in both directions.
    pub(crate) fn sort(&mut self, column: usize, descending: bool) {
        self.rows.sort_by(|one, other| {
            let (a, b) = (&one.cells[column].key, &other.cells[column].key);
            let order = match (a, b) {
                (Key::None, Key::None) => Ordering::Equal,
                (Key::None, _) => return Ordering::Greater,
                (_, Key::None) => return Ordering::Less,
                (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
                (Key::Text(a), Key::Text(b)) => a.cmp(b),
                (Key::Number(_), Key::Text(_)) => Ordering::Less,
                (Key::Text(_), Key::Number(_)) => Ordering::Greater,
            };
            let order = if descending { order.reverse() } else { order };
            // Shorter ids first: session 9 before session 10.
            order.then_with(|| (one.id.len(), &one.id).cmp(&(other.id.len(), &other.id)))
        });
    }

    /// Whether some row has a value in a column. A server that does not give the values has none.
    pub(crate) fn has_column(&self, column: usize) -> bool {
        let rank = self.columns[column].rank;
        rank == 0
            || self
                .rows
                .iter()
                .any(|row| row.cells[column].key != Key::None)
    }

    /// The columns that fit `width`, in order, with their widths; `gap` lies between two.
    pub(crate) fn fit(&self, width: usize, gap: usize) -> Vec<(usize, usize)> {
        let mut by_rank: Vec<usize> = (0..self.columns.len())
            .filter(|column| self.has_column(*column))
            .collect();
        by_rank.sort_by_key(|column| self.columns[*column].rank);
        let (mut chosen, mut used): (Vec<(usize, usize)>, usize) = (Vec::new(), 0);
        for column in by_rank {
            let natural = self.natural_width(column);
            if self.columns[column].rank == 0 || used + natural + gap <= width + gap {
                used += natural + gap;
                chosen.push((column, natural));
            }
        }
        while used > width + gap {
            let texts = chosen
                .iter_mut()
                .filter(|(c, _)| !self.columns[*c].is_number);
            let widest = texts.max_by_key(|(_, width)| *width);
            let Some(widest) = widest.filter(|(_, width)| *width > TEXT_COLUMNS_MIN) else {
                break;
            };
            (widest.1, used) = (widest.1 - 1, used - 1);
        }
        chosen.sort_by_key(|(column, _)| *column);
        chosen
    }

    fn natural_width(&self, column: usize) -> usize {
        // With the arrow of the order.
        let title = self.columns[column].title.chars().count() + 1;
        let cells = self
            .rows
            .iter()
            .map(|row| row.cells[column].text.chars().count());
        cells.max().unwrap_or_default().max(title)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Column, Grid, Row};

    const COLUMNS: &[Column] = &[
        Column {
            title: "NAME",
            rank: 0,
            is_number: false,
        },
        Column {
            title: "BYTES",
            rank: 1,
            is_number: true,
        },
        Column {
            title: "MORE",
            rank: 2,
            is_number: false,
        },
    ];

    fn grid(rows: &[(&str, Option<u64>)]) -> Grid {
        let rows = rows.iter().map(|(name, bytes)| Row {
            id: (*name).to_owned(),
            cells: vec![
                Cell::text(*name),
                bytes.map_or_else(Cell::none, |bytes| Cell::count(bytes, |b| b.to_string())),
                Cell::none(),
            ],
        });
        Grid {
            columns: COLUMNS,
            rows: rows.collect(),
        }
    }

    fn names(grid: &Grid) -> Vec<&str> {
        grid.rows.iter().map(|row| row.id.as_str()).collect()
    }

    #[test]
    fn numbers_sort_as_numbers_and_what_is_missing_comes_last() {
        let mut grid = grid(&[("b", Some(9)), ("c", None), ("a", Some(10)), ("d", Some(9))]);
        grid.sort(1, true);
        assert_eq!(names(&grid), ["a", "b", "d", "c"]);
        grid.sort(1, false);
        assert_eq!(names(&grid), ["b", "d", "a", "c"]);
        grid.sort(0, false);
        assert_eq!(names(&grid), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_narrow_terminal_loses_columns_and_then_text() {
        let grid = grid(&[("a-rather-long-name", Some(123_456))]);
        // MORE has no value in any row.
        assert_eq!(grid.fit(80, 2), [(0, 18), (1, 6)]);
        assert_eq!(grid.fit(26, 2), [(0, 18), (1, 6)]);
        assert_eq!(grid.fit(25, 2), [(0, 18)]);
        assert_eq!(grid.fit(10, 2), [(0, 10)]);
        assert_eq!(grid.fit(1, 2), [(0, 7)], "not narrower");
    }

    #[test]
    fn every_word_must_be_found() {
        let row = &grid(&[("Web-1", Some(77))]).rows[0];
        assert!(row.has(&["web".to_owned(), "77".to_owned()]));
        assert!(!row.has(&["web".to_owned(), "78".to_owned()]));
        assert!(row.has(&[]));
    }
}
