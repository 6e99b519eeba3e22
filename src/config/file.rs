//! A configuration as written: TOML, in which every table and value has its key and its line.
//!
//! This is the first of two steps. `Config::parse` walks the file, and each concern takes its keys
//! out of a `Section` with the readers in `value`. A mistake is added to the file's list and the
//! walk goes on, so that a run reports all mistakes. An unread key is a mistake, too.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{self, ConfigError, ConfigErrors, Reason, Reported};
use super::repeated;

/// The longest line that an error repeats with quotes added: a name and an address fit.
const QUOTED_LINE_BYTES_MAX: usize = 160;

/// The parser's message for a key that the table has already.
const DUPLICATE: &str = "duplicate key";

/// The text of a file, the parsed TOML, and the mistakes found so far.
#[derive(Debug)]
pub(super) struct File<'f> {
    name: &'f str,
    text: &'f str,
    root: DeTable<'f>,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'f> File<'f> {
    /// Parses `text` as TOML; errors call the file `name`.
    ///
    /// A text with a syntax error is refused here, because the contents of its tables would be a
    /// guess.
    pub(super) fn parse(text: &'f str, name: &'f str) -> Result<Self, ConfigErrors> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let file = Self {
            name,
            text,
            root: root.into_inner(),
            lines: std::iter::once(0).chain(breaks).collect(),
            errors: RefCell::default(),
        };
        let mut seconds = Vec::new();
        let mut quoted = 0;
        for error in errors {
            let message = error.message().to_owned();
            if let (DUPLICATE, Some(span)) = (message.as_str(), error.span()) {
                seconds.push(span);
                continue;
            }
            let at = error.span().map_or(text.len(), |span| span.start);
            let line = file.line(at);
            let begin = file.lines[line - 1];
            let end = file.lines.get(line).copied().unwrap_or(text.len());
            let whole = file.source(begin..end).trim_end();
            match without_quotes(whole) {
                // Further errors of this line follow from the missing quotes.
                Some(_) if line == quoted => {}
                Some((at, message)) => {
                    quoted = line;
                    file.no_toml(begin + at, message);
                }
                None => file.no_toml(at, message),
            }
        }
        seconds.sort_by_key(|span| span.start);
        let firsts = repeated::firsts(text, &seconds);
        let none_is_told = firsts.iter().all(Option::is_none);
        for (second, first) in seconds.iter().zip(firsts) {
            match first {
                Some(repeated::First { path, line, list }) => {
                    let reason = Reason::RepeatedKey { line, list };
                    file.report(second.start, path, None, reason);
                }
                None if none_is_told => file.no_toml(second.start, DUPLICATE.to_owned()),
                // The key is in a repeated table, and that table is reported.
                None => {}
            }
        }
        file.verdict(Ok(()))?;
        Ok(file)
    }

    /// Reports a syntax error at `at`.
    fn no_toml(&self, at: usize, message: String) {
        let column = self.column(at);
        self.report(at, String::new(), None, Reason::Syntax { column, message });
    }

    /// Whether the file has the key at `path`: `listener[1].bind`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path).is_ok()
    }

    /// Reports a mistake of the key at `path`, whether or not the key is written.
    pub(super) fn refuse(&self, path: &str, reason: Reason) {
        match self.find(path) {
            Ok((path, raw)) => drop(self.report_value(path.to_owned(), raw, reason)),
            Err(at) => drop(self.report(at, path.to_owned(), None, reason)),
        }
    }

    /// Reports a mistake of a written value, and quotes the value.
    pub(super) fn report_value(
        &self,
        path: String,
        raw: &Spanned<DeValue<'_>>,
        reason: Reason,
    ) -> Reported {
        let span = raw.span();
        // The quotation of a table would be its header, which repeats the key.
        let value = match raw.get_ref() {
            DeValue::Table(_) => None,
            _ => Some(errors::excerpt(self.source(span.clone()))),
        };
        self.report(span.start, path, value, reason)
    }

    /// The value at `path`, with the path that errors show. An absent value is an error: the offset
    /// of the innermost table on the path.
    ///
    /// A list of one element may be written as the element; index 0 then finds the element.
    fn find<'p>(&self, path: &'p str) -> Result<(&'p str, &Spanned<DeValue<'f>>), usize> {
        let mut at = 0;
        let mut raw = None;
        let mut shown = path;
        for key in path.split('.') {
            let mut indices = key.split(['[', ']']).filter(|part| !part.is_empty());
            let key = indices.next().unwrap_or_default();
            let table = match raw.map(Spanned::get_ref) {
                None => &self.root,
                Some(DeValue::Table(table)) => table,
                Some(_) => return Err(at),
            };
            let mut value = table.get(key).ok_or(at)?;
            at = value.span().start;
            for index in indices {
                let Ok(index) = index.parse::<usize>() else {
                    return Err(at);
                };
                match value.get_ref() {
                    DeValue::Array(elements) => value = elements.get(index).ok_or(at)?,
                    _ if index == 0 => shown = path.trim_end_matches("[0]"),
                    _ => return Err(at),
                }
                at = value.span().start;
            }
            raw = Some(value);
        }
        let raw = raw.ok_or(at)?;
        Ok((shown, raw))
    }

    /// Takes the mistakes found so far out of the list.
    pub(super) fn take_errors(&self) -> Vec<ConfigError> {
        self.errors.take()
    }

    /// The table that contains all tables of the file.
    pub(super) fn root(&'f self) -> &'f DeTable<'f> {
        &self.root
    }

    /// The result of the walk, or all mistakes if there are any.
    pub(super) fn verdict<T>(&self, read: Result<T, Reported>) -> Result<T, ConfigErrors> {
        match (read, self.errors.take()) {
            (Ok(read), errors) if errors.is_empty() => Ok(read),
            (_, errors) => Err(ConfigErrors::new(self.name, errors)),
        }
    }

    /// The text of a span.
    pub(super) fn source(&self, span: std::ops::Range<usize>) -> &'f str {
        self.text.get(span).unwrap_or_default()
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    /// The column of an offset, in characters, counted from 1.
    fn column(&self, at: usize) -> usize {
        let begin = self.lines[self.line(at) - 1];
        self.source(begin..at).chars().count() + 1
    }

    pub(super) fn report(
        &self,
        at: usize,
        key: String,
        value: Option<String>,
        reason: Reason,
    ) -> Reported {
        self.errors.borrow_mut().push(ConfigError {
            at,
            line: self.line(at),
            key,
            value,
            reason,
        });
        Reported(())
    }
}

/// The remedy for a line that sets a key to a text without quotes, and the offset of the text.
fn without_quotes(line: &str) -> Option<(usize, String)> {
    if line.len() > QUOTED_LINE_BYTES_MAX {
        return None;
    }
    let (key, rest) = line.split_once('=')?;
    let value = rest.split('#').next()?.trim();
    let (key, at) = (key.trim(), line.len() - rest.trim_start().len());
    // Quotes of a word processor or a web page are none to TOML.
    let value = value.trim_matches(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']);
    let is_plain = !value.contains(['"', '\'', '\\']) && !value.starts_with(['[', '{']);
    let is_toml = |line: String| DeTable::parse(&line).is_ok();
    let write = format!("{key} = \"{value}\"");
    (!value.is_empty()
        && is_plain
        && !is_toml(format!("{key} = {value}"))
        && is_toml(write.clone()))
    .then(|| (at, format!("a text has quotes; write {write}")))
}
