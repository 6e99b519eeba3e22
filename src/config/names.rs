//! The names of tables, and the references to these names.
//!
//! Used by the tables with a name and the keys that refer to a name. A reference becomes an index
//! here, so that the layers below look up no names.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::errors::{self, Reason, Reported};
use super::section::Section;
use super::value::{self, Unique, Value};

/// How many names are compared for "did you mean" in one file. A thousand references with the same
/// mistake, to a thousand names, would take seconds; whoever reads the first hundred knows.
const COMPARISONS_MAX: usize = 100_000;

/// The names of a kind of table.
#[derive(Debug)]
pub(super) struct Names {
    /// The kind: "upstream".
    what: &'static str,
    index: BTreeMap<String, usize>,
    unique: Unique<String>,
    /// How many tables have a name, valid or not.
    named: usize,
    /// Whether a table lacks its name.
    nameless: bool,
    /// The comparisons that are left.
    comparisons: Cell<usize>,
}

impl Names {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            index: BTreeMap::new(),
            unique: Unique::new("this name"),
            named: 0,
            nameless: false,
            comparisons: Cell::new(COMPARISONS_MAX),
        }
    }

    /// Reads the name of a table, and refuses a name that an earlier table has.
    pub(super) fn read(
        &mut self,
        index: usize,
        section: &mut Section<'_>,
    ) -> Result<String, Reported> {
        section.required("name", "a name, e.g. name = \"echo\"", |value| {
            if let Some(written) = value.text() {
                // A refused name is registered, too, so that references to the name are not errors.
                self.index.entry(written.to_owned()).or_insert(index);
                self.named += 1;
            }
            let name = value::name(value)?;
            self.unique.claim(name.clone(), value)?;
            Ok(name)
        })
    }

    /// Ends the reading of names; from so many tables.
    pub(super) fn close(&mut self, tables: usize) {
        self.nameless = self.named < tables;
    }

    /// The index of the table with the name `value`.
    pub(super) fn find(&self, value: &Value<'_>) -> Result<usize, Reported> {
        let what = self.what;
        let Some(name) = value.text() else {
            return Err(value.malformed("a name", format!("the name of an [[{what}]]")));
        };
        match self.index.get(name) {
            Some(index) => Ok(*index),
            // The reference may mean a table without a name, and the missing name is reported
            // already.
            None if self.nameless => Err(Reported(())),
            None => Err(value.refuse(Reason::Dangling {
                what,
                nearest: self.nearest(name),
            })),
        }
    }

    /// The most similar name, as long as comparisons are left.
    fn nearest(&self, name: &str) -> Option<String> {
        let left = self.comparisons.get().checked_sub(self.index.len())?;
        self.comparisons.set(left);
        errors::nearest(name, self.index.keys().map(String::as_str))
    }
}
