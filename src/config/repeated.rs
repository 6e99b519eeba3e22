//! Finds the first of two equal keys, because the TOML parser reports only the second.
//!
//! Called by `file` for a text that is refused already. This file renames each second key and
//! parses the text again: the renamed key is then in the same table as the first key.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::errors;

/// The first of two equal keys.
#[derive(Debug)]
pub(super) struct First {
    /// The key, with its table: `log.level`.
    pub(super) path: String,
    /// The line of the key, counted from 1.
    pub(super) line: usize,
    /// The name of the tables if a file may have several: `[[listener]]`.
    pub(super) list: Option<&'static str>,
}

/// The tables that a configuration has lists of.
const LISTS: &[&str] = &["listener", "upstream"];

/// The first key for each second key; `None` if the search fails.
///
/// `seconds` are the byte ranges of the second keys in `text`, in ascending order.
pub(super) fn firsts(text: &str, seconds: &[Range<usize>]) -> Vec<Option<First>> {
    let mut mark = "repeated-".to_owned();
    while text.contains(&mark) {
        mark.push('-');
    }
    let mut marked = String::with_capacity(text.len());
    let mut end = 0;
    for (number, span) in seconds.iter().enumerate() {
        let Some(between) = text.get(end..span.start) else {
            return seconds.iter().map(|_| None).collect();
        };
        marked.push_str(between);
        marked.push_str(&format!("{mark}{number}"));
        end = span.end;
    }
    marked.push_str(text.get(end..).unwrap_or_default());

    let names = seconds.iter().map(|span| name(text.get(span.clone())?));
    let breaks = marked.match_indices('\n').map(|(at, _)| at);
    let mut search = Search {
        breaks: breaks.collect(),
        mark: &mark,
        names: names.collect(),
        found: seconds.iter().map(|_| None).collect(),
    };
    let (root, _) = DeTable::parse_recoverable(&marked);
    search.table(root.get_ref(), "");
    search.found
}

/// The name of a key, written bare or in quotes.
fn name(written: &str) -> Option<String> {
    let line = format!("{written} = 0");
    let table = DeTable::parse(&line).ok()?.into_inner();
    let (key, _) = table.into_iter().next()?;
    Some(key.into_inner().into_owned())
}

struct Search<'t> {
    /// Where the lines of the text end, in bytes.
    breaks: Vec<usize>,
    mark: &'t str,
    /// The name of each second key.
    names: Vec<Option<String>>,
    found: Vec<Option<First>>,
}

impl Search<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) {
        for (key, value) in table {
            let key = key.get_ref().as_ref();
            if let Some(number) = key.strip_prefix(self.mark)
                && let Ok(number) = number.parse::<usize>()
            {
                self.second(number, table, path);
            }
            self.value(value.get_ref(), &errors::join(path, key));
        }
    }

    fn value(&mut self, value: &DeValue<'_>, path: &str) {
        match value {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.value(element.get_ref(), &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    /// The second key of this number is in `table`.
    fn second(&mut self, number: usize, table: &DeTable<'_>, path: &str) {
        let (Some(Some(name)), Some(found)) = (self.names.get(number), self.found.get_mut(number))
        else {
            return;
        };
        let Some((first, _)) = table.get_key_value(name.as_str()) else {
            return;
        };
        let at = first.span().start;
        *found = Some(First {
            path: errors::join(path, name),
            line: self.breaks.partition_point(|end| *end < at) + 1,
            list: LISTS
                .iter()
                .find(|list| path.is_empty() && **list == name)
                .copied(),
        });
    }
}
