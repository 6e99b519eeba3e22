//! Figures that several documents quote are those of bench/RESULTS.md.
//!
//! `333<!-- figure: NAME -->` marks a figure; `<!-- table: NAME -->` stands above a table, of which
//! another document may quote some rows and columns.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tracked;

const SOURCE: &str = "bench/RESULTS.md";
/// The documents that must quote every figure of the source, or at least one.
const QUOTE_ALL: &str = "README.md";
const QUOTE_SOME: &str = "deploy/README.md";

#[test]
fn documents_quote_the_measured_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let source = read(SOURCE);
    for path in tracked(root) {
        if path.ends_with(".md") && root.join(&path).exists() {
            let found = differences(&source, &read(&path));
            assert!(found.is_empty(), "{path}: {found:#?}");
        }
    }
    let quoted = figures(&read(QUOTE_ALL));
    for name in figures(&source).keys() {
        assert!(quoted.contains_key(name), "{QUOTE_ALL} has no {name}");
    }
    assert!(!figures(&read(QUOTE_SOME)).is_empty(), "{QUOTE_SOME}");
    assert!(!tables(&read(QUOTE_ALL)).is_empty(), "{QUOTE_ALL}");
}

#[test]
fn finds_each_kind_of_difference() {
    let source = "a 333<!-- figure: a --> 1,001 B<!-- figure: b -->\n<!-- table: t -->\n\n\
                  | w | x | y |\n|---|---|---|\n| r | 1 | 2 |\n| s | 3 | 4 |\n";
    assert_eq!(differences(source, source), [""; 0]);
    let table = |row: &str| format!("<!-- table: t -->\n| w | y |\n|---|---|\n{row}\n");
    assert_eq!(differences(source, &table("| s | 4 |")), [""; 0]);
    for (text, expected) in [
        ("334 B<!-- figure: a -->", "a is 333, not 334"),
        ("**1,000 B**<!-- figure: b -->", "b is 1,001, not 1,000"),
        ("x<!-- figure: a -->", "a is 333, not "),
        ("1<!-- figure: c -->", "c is not in"),
        (&table("| s | 5 |"), "t: s, y is 4, not 5"),
        (&table("| q | 5 |"), "t: q, y is not in"),
    ] {
        let found = differences(source, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

/// In what one document differs from the source.
fn differences(source: &str, text: &str) -> Vec<String> {
    let pairs = |text| figures(text).into_iter().chain(tables(text));
    let measured: BTreeMap<String, String> = pairs(source).collect();
    let differs = |(name, quoted): (String, String)| match measured.get(&name) {
        None => Some(format!("{name} is not in {SOURCE}")),
        Some(value) if *value != quoted => Some(format!("{name} is {value}, not {quoted}")),
        Some(_) => None,
    };
    pairs(text).filter_map(differs).collect()
}

/// Name and number of each marked figure.
fn figures(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut before = "";
    for piece in text.split("<!-- figure: ") {
        if let Some((name, rest)) = piece.split_once(" -->")
            && !before.is_empty()
        {
            found.insert(name.to_owned(), number(before));
            before = rest;
        } else {
            before = piece;
        }
    }
    found
}

/// The number at the end of a text, before its unit.
fn number(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let words = text.rsplit(|c: char| c.is_whitespace() || c == '*' || c == '|');
    let mut unit_first = words.filter(|word| !word.is_empty()).take(2);
    let word = unit_first.find(|word| word.contains(is_digit));
    word.unwrap_or_default().to_owned()
}

/// Name, row and column of each cell of the marked tables, and its text.
fn tables(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for piece in text.split("<!-- table: ").skip(1) {
        let Some((name, rest)) = piece.split_once(" -->") else {
            continue;
        };
        let lines = rest.lines().skip_while(|line| !line.starts_with('|'));
        let mut rows = lines.take_while(|line| line.starts_with('|')).map(cells);
        let head = rows.next().unwrap_or_default();
        for row in rows.skip(1) {
            for (column, cell) in head.iter().zip(&row).skip(1) {
                found.insert(format!("{name}: {}, {column}", row[0]), cell.clone());
            }
        }
    }
    found
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|');
    let cells = inner.strip_suffix('|').unwrap_or(inner).split('|');
    cells.map(|cell| cell.trim().to_owned()).collect()
}
