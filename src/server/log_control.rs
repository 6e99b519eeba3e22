//! Changes the log while the process runs: level, format and target.
//!
//! [`LogControl`] is the handle for a reload, the admin API and SIGUSR1. A lane that logs reads two
//! atomics; the callsite cache of `tracing` answers for a level that is off, and is built anew with
//! each change of the level.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU8};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, callsite};
use tracing_subscriber::FmtSubscriber;
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::error::ServerError;
use super::journal::JournalFormat;
use super::log_file::LogFile;
use super::log_queue::{Order, Queue, Style, Text};
use super::log_text::{enqueue, without_controls};
use crate::config::{Log, LogFormat, LogLevel, LogTarget};

/// The levels, in the order of their numbers.
const LEVELS: [LevelFilter; 5] = [
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];
/// The styles, in the order of their numbers.
const STYLES: [Style; 3] = [Style::Text, Style::Json, Style::Entry];

/// The settings in force, read by each thread that logs.
#[derive(Debug, Default)]
struct Settings {
    /// An index of [`LEVELS`].
    level: AtomicU8,
    /// An index of [`STYLES`].
    style: AtomicU8,
    /// Whether lines go to a file.
    has_file: AtomicBool,
}

impl Settings {
    fn level(&self) -> LevelFilter {
        LEVELS[usize::from(self.level.load(Acquire))]
    }

    fn style(&self) -> Style {
        STYLES[usize::from(self.style.load(Acquire))]
    }
}

/// The handle for changes of the log.
#[derive(Clone, Debug)]
pub(super) struct LogControl {
    settings: Arc<Settings>,
    queue: Queue,
    /// Whether standard error leads to systemd's journal.
    has_journal: bool,
}

/// A change that cannot fail any more.
#[derive(Debug)]
pub(super) struct LogChange {
    level: LogLevel,
    format: LogFormat,
    file: Option<LogFile>,
}

impl LogChange {
    /// Opens the target of `log`.
    ///
    /// # Errors
    /// A mistake of `log.target`; nothing has changed.
    pub(super) fn prepare(log: &Log) -> Result<Self, ServerError> {
        let file = match &log.target {
            LogTarget::StandardError => None,
            LogTarget::File(path) => Some(LogFile::open(path)?),
        };
        Ok(Self {
            level: log.level,
            format: log.format,
            file,
        })
    }
}

impl LogControl {
    pub(super) fn new(queue: Queue, has_journal: bool) -> Self {
        Self {
            settings: Arc::default(),
            queue,
            has_journal,
        }
    }

    /// Puts a change in force.
    pub(super) fn apply(&self, change: LogChange) {
        let LogChange {
            level,
            format,
            file,
        } = change;
        let style = match format {
            // JSON stays JSON: the operator has a reader for those lines.
            LogFormat::Json => Style::Json,
            LogFormat::Text if self.has_journal && file.is_none() => Style::Entry,
            LogFormat::Text => Style::Text,
        };
        let number = STYLES.iter().position(|one| *one == style);
        let number = number.and_then(|number| u8::try_from(number).ok());
        self.settings.has_file.store(file.is_some(), Release);
        self.queue.order(Order::Switch(file));
        self.settings
            .style
            .store(number.unwrap_or_default(), Release);
        self.set_level(level);
    }

    /// Logs events of this level and above from now on.
    pub(super) fn set_level(&self, level: LogLevel) {
        let number = match level {
            LogLevel::Error => 0,
            LogLevel::Warn => 1,
            LogLevel::Info => 2,
            LogLevel::Debug => 3,
            LogLevel::Trace => 4,
        };
        if self.settings.level.swap(number, AcqRel) != number {
            callsite::rebuild_interest_cache();
        }
    }

    /// The level in force.
    pub(super) fn level(&self) -> LogLevel {
        LogLevel::ALL[usize::from(self.settings.level.load(Acquire))]
    }

    /// Has the log file opened anew, by the writing thread; false if there is no file.
    pub(super) fn reopen(&self) -> bool {
        let has_file = self.has_file();
        if has_file {
            self.queue.order(Order::Reopen);
        }
        has_file
    }

    /// Queues a line that is no event, if there is room: false tells the caller to wait.
    pub(super) fn offer(&self, text: Text) -> bool {
        self.queue.offer(text, true)
    }

    /// Whether lines go to a file, and not to standard error.
    pub(super) fn has_file(&self) -> bool {
        self.settings.has_file.load(Acquire)
    }

    /// The style of a line in force.
    pub(super) fn style(&self) -> Style {
        self.settings.style()
    }

    /// Queues the events that the settings ask for.
    pub(super) fn subscriber(&self) -> Dispatch {
        let styles = Styles {
            settings: Arc::clone(&self.settings),
            queue: self.queue.clone(),
            text: Format::default().with_ansi(false).with_target(false),
            json: Format::default()
                .with_ansi(false)
                .json()
                .flatten_event(true),
        };
        let formatter = FmtSubscriber::builder()
            .with_max_level(LevelFilter::TRACE)
            // A closed standard error must not end the process, and printing an error about it
            // would panic.
            .log_internal_errors(false)
            .event_format(styles)
            // The format queues the event itself.
            .with_writer(io::sink)
            .finish();
        Dispatch::new(Switch {
            settings: Arc::clone(&self.settings),
            formatter: Box::new(formatter),
        })
    }
}

/// Passes on the events of the levels in force. corelane has no spans.
struct Switch {
    settings: Arc<Settings>,
    formatter: Box<dyn Subscriber + Send + Sync>,
}

impl Subscriber for Switch {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.settings.level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.settings.level())
    }

    fn event(&self, event: &Event<'_>) {
        self.formatter.event(event);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Formats an event in the style in force, and queues it.
#[derive(Debug)]
struct Styles {
    settings: Arc<Settings>,
    queue: Queue,
    text: Format<Full, SystemTime>,
    json: Format<Json, SystemTime>,
}

impl<S, N> FormatEvent<S, N> for Styles
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        _: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        /// Most lines fit.
        const LINE_BYTES: usize = 256;
        let mut text = String::with_capacity(LINE_BYTES);
        let writer = Writer::new(&mut text);
        let style = self.settings.style();
        match style {
            Style::Text => self.text.format_event(context, writer, event)?,
            Style::Json => self.json.format_event(context, writer, event)?,
            Style::Entry => JournalFormat.format_event(context, writer, event)?,
        }
        if style != Style::Entry {
            text = one_line(&text);
        }
        let is_detail = *event.metadata().level() >= Level::DEBUG;
        enqueue(&self.queue, Text { style, text }, is_detail);
        Ok(())
    }
}

/// The event with its control characters escaped as in JSON, also in plain text.
pub(super) fn one_line(event: &str) -> String {
    let mut line = without_controls(event.strip_suffix('\n').unwrap_or(event));
    line.push('\n');
    line
}
