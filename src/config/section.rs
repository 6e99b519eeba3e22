//! One table of a configuration, and the keys that a reader asks of the table.
//!
//! Each concern (`listener`, `timeouts`, …) takes its keys out of a [`Section`] with the readers in
//! `value`. A key that no reader asked for is reported as unknown.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{self, Reason, Reported};
use super::file::File;
use super::value::Value;

/// A table of a file. An absent table reads like an empty table.
#[derive(Debug)]
pub(super) struct Section<'f> {
    file: &'f File<'f>,
    /// `listener[1]`; empty for the root.
    path: String,
    /// The offset of the table's header.
    at: usize,
    table: Option<&'f DeTable<'f>>,
    /// The keys that were read so far.
    known: Vec<&'static str>,
}

impl<'f> Section<'f> {
    /// The table that contains all tables of `file`.
    pub(super) fn root(file: &'f File<'f>) -> Self {
        Self {
            file,
            path: String::new(),
            at: 0,
            table: Some(file.root()),
            known: Vec::new(),
        }
    }

    /// The table that a value is; `write` is the remedy for a value of another type.
    pub(super) fn of(value: &Value<'f>, write: &str) -> Result<Self, Reported> {
        Ok(Self {
            file: value.file(),
            path: value.path().to_owned(),
            at: value.at(),
            table: Some(value.table(write)?),
            known: Vec::new(),
        })
    }

    /// The value of an optional key.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'f>) -> Result<T, Reported>,
    ) -> T {
        match self.value(key) {
            // After an error the default lets the walk go on.
            Some(value) => read(&value).unwrap_or(default),
            None => default,
        }
    }

    /// The value of a required key; `write` is the remedy if the key is missing.
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

    /// The value of a key whose presence has a meaning.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'f>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let raw = self.table?.get(key)?;
        Some(Value::new(self.file, self.join(key), raw))
    }

    /// Reads the whole table of a key. Without the table, its keys have their defaults.
    ///
    /// `write` shows the spelling of the header.
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

    /// Reads the `[[key]]` tables in order; `read` gets the index too.
    ///
    /// The list is empty without the key. An element of another type is an error in the list.
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
            Section::of(&element, &format!("[[{key}]]"))?.read(|section| read(index, section))
        };
        elements.into_iter().enumerate().map(read_one).collect()
    }

    /// Reports the missing `key`; `write` is the remedy.
    pub(super) fn missing(&self, key: &str, write: &'static str) -> Reported {
        let reason = Reason::Missing { write };
        self.file.report(self.at, self.join(key), None, reason)
    }

    /// Reads the keys, then refuses the unread keys.
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
