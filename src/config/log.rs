//! `[log]`: the level, the format and the target of the log.
//!
//! Read by `Config::parse`; the server layer installs the subscriber.

use std::path::PathBuf;

use super::effective::{Effective, Keys};
use super::section::Section;
use super::value;

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// The least important kind of event that is logged; `log.level`.
    pub level: LogLevel,
    /// The form of a line; `log.format`.
    pub format: LogFormat,
    /// Where lines go; `log.target`.
    pub target: LogTarget,
}

/// Where the lines of the log go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogTarget {
    /// Standard error, or systemd's journal where standard error leads there.
    StandardError,
    /// The file at this absolute path.
    File(PathBuf),
}

/// The importance of an event; each level includes the levels above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// An operator must act.
    Error,
    /// Degraded, still serving.
    Warn,
    /// The life of the process and its lanes, some ten lines a run.
    Info,
    /// A line for each session, at its end.
    Debug,
    /// Every operation.
    Trace,
}

/// The form of a line of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people: time, level, message, `key=value`.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

impl LogLevel {
    /// All levels, from few lines to many.
    pub(crate) const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The word in the configuration.
    pub(crate) fn word(self) -> &'static str {
        value::word_of(LEVELS, &self)
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let level = value::word("a level", LEVELS);
        let format = value::word("a format", FORMATS);
        Self {
            level: section.optional("level", LogLevel::Info, level),
            format: section.optional("format", LogFormat::Text, format),
            target: match section.optional("target", None, value::unless("stderr", value::path)) {
                None => LogTarget::StandardError,
                Some(path) => LogTarget::File(path),
            },
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            level,
            format,
            target,
        } = self;
        let target = match target {
            LogTarget::StandardError => Effective::text("stderr"),
            LogTarget::File(path) => Effective::text(path.display()),
        };
        Keys::default()
            .on_reload("level", Effective::text(value::word_of(LEVELS, level)))
            .on_reload("format", Effective::text(value::word_of(FORMATS, format)))
            .on_reload("target", target)
    }
}
