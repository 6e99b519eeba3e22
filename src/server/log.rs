//! Sets up logging from the configuration: to standard error, one line an event.
//!
//! Called once, before the first lane starts. What an event says may come from a client or a
//! peer, so no control character of it reaches the terminal, and none can begin a line of its own.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::FmtSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat, LogLevel};

/// Sends the process's events to standard error, as `log` says.
///
/// # Errors
/// If it has been called before.
pub(super) fn start(log: &Log) -> Result<(), SetGlobalDefaultError> {
    dispatcher::set_global_default(subscriber(log, io::stderr))
}

/// What `log` says, to any writer.
fn subscriber<W>(log: &Log, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = FmtSubscriber::builder()
        .with_max_level(level)
        .with_writer(OneLine(writer))
        .with_ansi(false)
        // A closed standard error is no reason to end, and printing of it to there would panic.
        .log_internal_errors(false);
    match log.format {
        LogFormat::Text => builder.with_target(false).into(),
        LogFormat::Json => builder.json().flatten_event(true).into(),
    }
}

/// Makes writers that keep an event on its line.
#[derive(Debug)]
struct OneLine<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

/// A writer of whole events, each given in one call and ending in a newline.
#[derive(Debug)]
struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // One call for the whole line, so that lines of several lanes do not mix.
        self.0.write_all(one_line(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The event with its control characters written as JSON does, which is plain in text too.
fn one_line(event: &[u8]) -> String {
    let event = String::from_utf8_lossy(event);
    let event = event.strip_suffix('\n').unwrap_or(&event);
    let mut line = String::with_capacity(event.len() + 1);
    for c in event.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            _ if hidden(c) => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => line.push(c),
        }
    }
    line.push('\n');
    line
}

/// Control characters, the ends of lines that Unicode adds, and what turns text around.
fn hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing::{debug, dispatcher, info, warn};

    use super::{one_line, subscriber};
    use crate::config::{Log, LogFormat, LogLevel};

    /// Sends each write to the test.
    #[derive(Debug, Clone)]
    struct Tap(Sender<Vec<u8>>);

    impl Write for Tap {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `events` logs, one string a write.
    fn logged(level: LogLevel, format: LogFormat, events: impl FnOnce()) -> Vec<String> {
        let (tap, writes): (_, Receiver<Vec<u8>>) = channel();
        let tap = Tap(tap);
        let dispatch = subscriber(&Log { level, format }, move || tap.clone());
        dispatcher::with_default(&dispatch, events);
        drop(dispatch);
        let text = |write| String::from_utf8(write).unwrap();
        writes.into_iter().map(text).collect()
    }

    #[test]
    fn text_is_one_line_with_level_message_and_fields() {
        let lines = logged(LogLevel::Info, LogFormat::Text, || {
            info!(lanes = 4, "started");
            debug!("not shown");
        });
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("Z  INFO started lanes=4\n"), "{lines:?}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let lines = logged(LogLevel::Debug, LogFormat::Json, || {
            debug!(listener = "a\"b", "quo\u{9b}ted\n");
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert!(
            line.starts_with("{\"timestamp\":\"20") && line.ends_with("}\n"),
            "{line}"
        );
        for part in [
            "\"level\":\"DEBUG\"",
            "\"message\":\"quo\\u009bted\\n\"",
            "\"listener\":\"a\\\"b\"",
        ] {
            assert!(line.contains(part), "{part} not in {line}");
        }
    }

    #[test]
    fn levels_log_what_is_as_important() {
        let events = || {
            warn!("1");
            info!("2");
            debug!("3");
        };
        let count = |level| logged(level, LogFormat::Text, events).len();
        assert_eq!(count(LogLevel::Error), 0);
        assert_eq!(count(LogLevel::Warn), 1);
        assert_eq!(count(LogLevel::Info), 2);
        assert_eq!(count(LogLevel::Trace), 3);
    }

    #[test]
    fn nothing_in_an_event_ends_its_line_or_moves_the_cursor() {
        let lines = logged(LogLevel::Info, LogFormat::Text, || {
            info!(peer = %"x\n2026 ERROR forged", "a\r\x1b[2Jb\u{202e}c\u{7f}");
        });
        assert_eq!(lines.len(), 1);
        let line = lines[0].strip_suffix('\n').unwrap();
        assert!(!line.contains(super::hidden), "{line:?}");
        assert!(line.contains("x\\n2026 ERROR forged"), "{line:?}");
    }

    #[test]
    fn escapes_once_and_ends_with_a_newline() {
        assert_eq!(one_line(b"a\tb\x1b\n"), "a\\u0009b\\u001b\n");
        assert_eq!(one_line("a\u{2028}é\n".as_bytes()), "a\\u2028é\n");
        assert_eq!(one_line(b"no end"), "no end\n");
    }
}
