//! Where a configuration was read, so that what is found out later can be said with its place.
//!
//! Kept in [`Config`]. What this machine does not have is found by the server; it
//! knows a key, and gets the file, the line and the value as written from here.

use super::errors::{ConfigErrors, ConfigWarning, Reason};
use super::file::File;
use super::{Config, doubts};

/// The text of a configuration and what errors call it.
///
/// Any two are equal: a configuration means the same wherever it is written.
#[derive(Debug, Clone)]
pub struct Source {
    name: Box<str>,
    text: Box<str>,
}

impl PartialEq for Source {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Source {}

impl Source {
    /// `text`, which errors call `name`.
    #[must_use]
    pub fn new(text: &str, name: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// What errors call it, commonly the path of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As written; read anew, which costs some time and no memory until then.
    fn file(&self) -> File<'_> {
        File::parse(&self.text, &self.name).expect("it has been read once")
    }
}

impl Config {
    /// What this machine does not have or allow, as mistakes in the file: pairs of a key, such as
    /// `listener[1].bind[0]`, and what is wrong with what would be right.
    ///
    /// A key that is left out has the line of the table it would be in.
    ///
    /// # Panics
    /// Without any.
    #[must_use]
    pub fn refuse(&self, mistakes: impl IntoIterator<Item = (String, String)>) -> ConfigErrors {
        let file = self.source.file();
        for (key, remedy) in mistakes {
            file.refuse(&key, Reason::Impossible { remedy });
        }
        ConfigErrors::new(self.source.name(), file.take_errors())
    }

    /// Whether the file has this key, given as in [`Config::refuse`].
    #[must_use]
    pub fn is_written(&self, key: &str) -> bool {
        self.source.file().has(key)
    }

    /// What is allowed and cannot be meant, in the order of the lines.
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigWarning> {
        let file = self.source.file();
        doubts::find(self, &file);
        self.as_warnings(&file)
    }

    /// What is allowed and does not fit this machine; see [`Config::refuse`].
    #[must_use]
    pub fn warn(&self, doubts: impl IntoIterator<Item = (String, String)>) -> Vec<ConfigWarning> {
        let file = self.source.file();
        for (key, remedy) in doubts {
            file.refuse(&key, Reason::Impossible { remedy });
        }
        self.as_warnings(&file)
    }

    fn as_warnings(&self, file: &File<'_>) -> Vec<ConfigWarning> {
        let mut errors = file.take_errors();
        errors.sort_by_key(|error| error.at);
        let warning = |error| ConfigWarning {
            name: self.source.name().to_owned(),
            error,
        };
        errors.into_iter().map(warning).collect()
    }
}
