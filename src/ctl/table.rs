//! Columns for people. Pure.

use std::fmt::Write;

/// Rows below a header, each column as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self(vec![header.iter().map(|name| (*name).to_owned()).collect()])
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// The lines. Numbers stand to the right.
    pub(super) fn lines(&self) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.0.iter().filter_map(move |row| row.get(column));
        let width = |column| cells(column).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).filter_map(width).collect();
        let is_number = |cell: &String| cell.bytes().all(|byte| byte.is_ascii_digit());
        let to_right: Vec<bool> = (0..columns)
            .map(|column| self.0.len() > 1 && cells(column).skip(1).all(is_number))
            .collect();
        let mut text = String::new();
        for row in &self.0 {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let (gap, width) = (if column == 0 { "" } else { "  " }, widths[column]);
                _ = match to_right[column] {
                    true => write!(line, "{gap}{cell:>width$}"),
                    false => write!(line, "{gap}{cell:<width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["NAME", "COUNT", "AT"]);
        table.row(["a".into(), "7".into(), "-".into()]);
        table.row(["longer".into(), "12345678".into(), "x".into()]);
        assert_eq!(
            table.lines(),
            "NAME       COUNT  AT\na              7  -\nlonger  12345678  x\n"
        );
        assert_eq!(Table::new(&["A", "B"]).lines(), "A  B\n");
    }
}
