//! Events as entries of systemd's journal: a priority, a message, and a field for each value.
//!
//! Used by `log_control.rs` where standard error leads to the journal. The message is the line of
//! the text format without time and level, which the journal has itself.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::log_text::without_controls;

/// The longest name of a field that the journal accepts.
const NAME_BYTES_MAX: usize = 64;

/// The priority of syslog(3) for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The entry of a text that is no event: an error, as a refused configuration is.
pub(super) fn plain(text: &str) -> String {
    entry(3, &without_controls(text))
}

fn entry(priority: u8, message: &str) -> String {
    format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER=corelane\nMESSAGE={message}\n")
}

/// Formats an event as an entry.
#[derive(Debug)]
pub(super) struct JournalFormat;

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut values = Values::default();
        event.record(&mut values);
        let message = format!("{}{}", values.message, values.shown);
        writer.write_str(&entry(priority(*event.metadata().level()), &message))?;
        writer.write_str(&values.fields)
    }
}

/// The values of an event.
#[derive(Debug, Default)]
struct Values {
    message: String,
    /// ` key=value` for each, as in the text format.
    shown: String,
    /// `CORELANE_KEY=value` lines.
    fields: String,
}

impl Values {
    fn add(&mut self, name: &str, shown: &str, value: &str) {
        let upper = |c: char| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_uppercase(),
            false => '_',
        };
        let key: String = "CORELANE_".chars().chain(name.chars().map(upper)).collect();
        let key = &key[..key.len().min(NAME_BYTES_MAX)];
        let (shown, value) = (without_controls(shown), without_controls(value));
        // Writing to a string does not fail.
        _ = write!(self.shown, " {name}={shown}");
        _ = writeln!(self.fields, "{key}={value}");
    }
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = without_controls(value),
            name => self.add(name, &format!("{value:?}"), value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.message = without_controls(&value),
            name => self.add(name, &value, &value),
        }
    }
}
