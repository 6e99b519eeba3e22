//! The values of a checked configuration, as keys in the notation of the file.
//!
//! Each concern (`log`, `timeouts`, …) writes its keys beside the code that reads them; `checked`
//! collects the keys. Values are effective: a default is written like a value of the file. A key
//! without a meaning, such as the connect timeout of an echo listener, is left out.

use std::fmt;
use std::time::Duration;

use serde_json::Value as Json;

use super::units;

/// A value, in the notation of TOML when displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effective {
    Text(String),
    Number(i64),
    Boolean(bool),
    List(Vec<Self>),
    Table(Keys),
}

/// The keys of a table, in the order of the default configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys(Vec<Key>);

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) value: Effective,
    pub(crate) applies: Applies,
}

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    /// With a reload of the configuration.
    OnReload,
    /// With a new start of the process.
    OnRestart,
}

impl Effective {
    /// A quoted text.
    pub(super) fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    pub(super) fn number(number: impl TryInto<i64>) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }

    /// A duration, as `"90s"`.
    pub(super) fn duration(duration: Duration) -> Self {
        Self::Text(units::show(duration))
    }

    /// A number of bytes, as `"64KiB"`.
    pub(super) fn size(bytes: impl TryInto<u64>) -> Self {
        Self::Text((units::SIZE.show)(bytes.try_into().unwrap_or(u64::MAX)))
    }

    /// Hundredths, as `"10%"`.
    pub(super) fn percentage(percent: u8) -> Self {
        Self::Text((units::PERCENTAGE.show)(percent.into()))
    }

    /// A list of quoted texts.
    pub(super) fn texts(texts: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// `word` for `None`.
    pub(super) fn unless<T>(
        word: &'static str,
        value: Option<T>,
        write: impl FnOnce(T) -> Self,
    ) -> Self {
        value.map_or_else(|| Self::text(word), write)
    }

    /// The same value in JSON.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Number(number) => Json::from(*number),
            Self::Boolean(boolean) => Json::from(*boolean),
            Self::List(elements) => elements.iter().map(Self::to_json).collect(),
            Self::Table(keys) => {
                let pair = |key: &Key| (key.name.to_owned(), key.value.to_json());
                Json::Object(keys.iter().map(pair).collect())
            }
        }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(text, f),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
            Self::List(elements) => {
                f.write_str("[")?;
                for (index, element) in elements.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{element}")?;
                }
                f.write_str("]")
            }
            Self::Table(keys) => {
                f.write_str("{")?;
                for (index, key) in keys.iter().enumerate() {
                    let comma = if index == 0 { " " } else { ", " };
                    write!(f, "{comma}{} = {}", key.name, key.value)?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// A basic string of TOML. Characters that a terminal would obey or hide are escaped.
fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\'' => write!(f, "{c}")?,
            _ if c.escape_debug().count() > 1 => write!(f, "\\U{:08X}", u32::from(c))?,
            _ => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

impl Keys {
    /// Adds a key that a reload may change.
    #[must_use]
    pub(super) fn on_reload(self, name: &'static str, value: Effective) -> Self {
        self.with(name, value, Applies::OnReload)
    }

    /// Adds a key that only a new start changes.
    #[must_use]
    pub(super) fn on_restart(self, name: &'static str, value: Effective) -> Self {
        self.with(name, value, Applies::OnRestart)
    }

    /// Adds a key if the key has a meaning beside the others of its table.
    #[must_use]
    pub(super) fn on_reload_if(self, is: bool, name: &'static str, value: Effective) -> Self {
        if is {
            self.on_reload(name, value)
        } else {
            self
        }
    }

    /// Adds the keys of `others`.
    #[must_use]
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Adds the table of a key.
    #[must_use]
    pub(super) fn table(self, name: &'static str, keys: Self) -> Self {
        self.on_reload(name, Effective::Table(keys))
    }

    /// Adds the list of tables of a key.
    #[must_use]
    pub(super) fn tables(self, name: &'static str, tables: impl Iterator<Item = Self>) -> Self {
        let tables = tables.map(Effective::Table).collect();
        self.on_reload(name, Effective::List(tables))
    }

    fn with(mut self, name: &'static str, value: Effective, applies: Applies) -> Self {
        let key = Key {
            name,
            value,
            applies,
        };
        self.0.push(key);
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// The key of this name; a table has few.
    pub(crate) fn find(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.name == name)
    }
}
