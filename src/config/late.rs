//! Errors and warnings that are found after parsing, each with the line of its key.
//!
//! The server finds settings that this machine lacks or refuses. The server knows the key; the
//! file, the line and the written value come from the kept text.

use super::checked::Config;
use super::doubts;
use super::errors::{ConfigErrors, ConfigWarning, Reason};
use super::file::File;

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
