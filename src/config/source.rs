//! The text of a configuration, kept for errors that are found after parsing.

use super::file::File;

/// The text of a configuration and the name for errors.
///
/// Any two are equal: the text does not change the meaning of a configuration.
#[derive(Debug, Clone)]
pub(crate) struct Source {
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
    /// `text`, with the name for errors.
    #[must_use]
    pub(crate) fn new(text: &str, name: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// The name for errors, commonly the path of the file.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// As written; read anew, which costs some time and no memory until then.
    pub(super) fn file(&self) -> File<'_> {
        File::parse(&self.text, &self.name).expect("it has been read once")
    }
}
