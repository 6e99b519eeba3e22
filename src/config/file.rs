//! A configuration as written: TOML, in which every table and value knows its key and its line.
//!
//! The first of the two steps. `Config::parse` walks it, and each concern takes its keys out of a
//! [`Section`] with the readers in `value`. A mistake is put into the file's list and the walk
//! goes on, so that one run shows them all; a key that nobody asked for is one of them.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{self, ConfigError, ConfigErrors, Reason, Reported};
use super::repeated;
use super::value::Value;

/// The longest line that is shown with its quotes: a name and an address fit.
const QUOTED_LINE_BYTES_MAX: usize = 160;

/// What the parser says of a key that its table has already.
const DUPLICATE: &str = "duplicate key";

/// The text of a file, what TOML makes of it, and the mistakes found so far.
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
    /// Reads `text` as TOML; `name` is what its errors call it.
    ///
    /// Text that is no TOML is refused here: what its tables would have said is a guess.
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
                // What the parser says of the rest of the line follows from this.
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
                // In a table that stands twice itself, which is told.
                None => {}
            }
        }
        file.verdict(Ok(()))?;
        Ok(file)
    }

    /// Says that the text is no TOML from `at` on.
    fn no_toml(&self, at: usize, message: String) {
        let column = self.column(at);
        self.report(at, String::new(), None, Reason::Syntax { column, message });
    }

    /// Whether the file has this key, given as a path: `listener[1].bind`.
    pub(super) fn has(&'f self, path: &str) -> bool {
        self.find(path).is_ok()
    }

    /// Puts a mistake in the list: with this key, given as a path, whether it is written or not.
    pub(super) fn refuse(&'f self, path: &str, reason: Reason) {
        match self.find(path) {
            Ok(value) => drop(value.refuse(reason)),
            Err(at) => drop(self.report(at, path.to_owned(), None, reason)),
        }
    }

    /// The value at a path; if there is none, the offset of the innermost table that there is.
    ///
    /// Where one value may stand instead of a list of them, it is its own first element.
    fn find(&'f self, path: &str) -> Result<Value<'f>, usize> {
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
        Ok(Value::new(self, shown.to_owned(), raw))
    }

    /// The mistakes so far, which are then no longer in the list.
    pub(super) fn take_errors(&self) -> Vec<ConfigError> {
        self.errors.take()
    }

    /// The table that holds all others.
    pub(super) fn root(&'f self) -> Section<'f> {
        Section {
            file: self,
            path: String::new(),
            at: 0,
            table: Some(&self.root),
            known: Vec::new(),
        }
    }

    /// What was read, if there was no mistake at all.
    pub(super) fn verdict<T>(&self, read: Result<T, Reported>) -> Result<T, ConfigErrors> {
        match (read, self.errors.take()) {
            (Ok(read), errors) if errors.is_empty() => Ok(read),
            (_, errors) => Err(ConfigErrors::new(self.name, errors)),
        }
    }

    /// What stands between two offsets.
    pub(super) fn source(&self, span: std::ops::Range<usize>) -> &'f str {
        self.text.get(span).unwrap_or_default()
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    /// The column of an offset in its line, in characters, counted from 1.
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

/// What is wrong with a line that sets a key to a text without quotes, and where the text begins.
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

/// One table of a file, or the lack of it, which reads like an empty one.
#[derive(Debug)]
pub(super) struct Section<'f> {
    file: &'f File<'f>,
    /// `listener[1]`; empty for the root.
    path: String,
    /// The offset of its header.
    at: usize,
    table: Option<&'f DeTable<'f>>,
    /// The keys that were asked for: all there are, once it has been read.
    known: Vec<&'static str>,
}

impl<'f> Section<'f> {
    /// The value of a key that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'f>) -> Result<T, Reported>,
    ) -> T {
        match self.value(key) {
            // After an error the default stands in, so that the walk can go on.
            Some(value) => read(&value).unwrap_or(default),
            None => default,
        }
    }

    /// The value of a key that must be there; `write` shows what to write if it is not.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        write: &'static str,
        read: impl FnOnce(&Value<'f>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        match self.value(key) {
            Some(value) => read(&value),
            None => Err(self.missing(key, write)),
        }
    }

    /// The value of a key whose presence has a meaning of its own.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'f>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let raw = self.table?.get(key)?;
        Some(Value::new(self.file, self.join(key), raw))
    }

    /// The table of a key, read to its end; its keys have their defaults where there is none.
    ///
    /// `write` shows how to write it.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        write: &str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut section = Section {
            file: self.file,
            path: self.join(key),
            at: self.at,
            table: None,
            known: Vec::new(),
        };
        if let Some(value) = self.value(key)
            && let Ok(table) = value.table(write)
        {
            (section.at, section.table) = (value.at(), Some(table));
        }
        section.read(read)
    }

    /// The `[[key]]` tables in their order, each read to its end; `read` gets their index too.
    ///
    /// None if the key is left out. What is no table has its place in the list as an error.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(usize, &mut Self) -> Result<T, Reported>,
    ) -> Vec<Result<T, Reported>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let write = format!("[[{key}]], in two brackets, for each");
        let elements = match value.elements("a list of tables", &write) {
            Ok(elements) => elements,
            Err(reported) => return vec![Err(reported)],
        };
        let read_one = |(index, element): (usize, Value<'f>)| {
            let table = element.table(&format!("[[{key}]]"))?;
            let section = Section {
                file: self.file,
                path: element.path().to_owned(),
                at: element.at(),
                table: Some(table),
                known: Vec::new(),
            };
            section.read(|section| read(index, section))
        };
        elements.into_iter().enumerate().map(read_one).collect()
    }

    /// Says that `key` is not there; `write` shows what would be right.
    pub(super) fn missing(&self, key: &str, write: &'static str) -> Reported {
        let reason = Reason::Missing { write };
        self.file.report(self.at, self.join(key), None, reason)
    }

    /// Reads the keys, then refuses those that were not asked for.
    pub(super) fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let result = read(&mut self);
        for (key, raw) in self.table.into_iter().flatten() {
            if !self.known.contains(&key.get_ref().as_ref()) {
                self.unknown(key, raw);
            }
        }
        result
    }

    fn unknown(&self, key: &Spanned<impl AsRef<str>>, raw: &Spanned<DeValue<'f>>) {
        let name = key.get_ref().as_ref();
        let value = match raw.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => None,
            _ => Some(errors::excerpt(self.file.source(raw.span()))),
        };
        let reason = Reason::UnknownKey {
            nearest: errors::nearest(name, self.known.iter().copied()),
            known: self.known.clone(),
        };
        let path = self.join(name);
        self.file.report(key.span().start, path, value, reason);
    }

    /// The path of a key in this table.
    fn join(&self, key: &str) -> String {
        errors::join(&self.path, key)
    }
}
