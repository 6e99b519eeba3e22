//! The text of a configuration, kept for errors that are found after parsing.

use super::file::File;

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
    pub(super) fn file(&self) -> File<'_> {
        File::parse(&self.text, &self.name).expect("it has been read once")
    }
}
