//! Sets up logging from the configuration: to standard error, one line an event.
//!
//! Called once, before the first lane starts. An event becomes a line on the thread that has it,
//! and is written by a thread of the log's own (`log_queue.rs`), so that nobody waits for who reads
//! standard error. What an event says may come from a client or a peer, so no control character of
//! it reaches the terminal, and none can begin a line of its own.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::Duration;

use tracing::{Dispatch, Level, Metadata, dispatcher};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::journal::{self, Entries, JournalFormat};
use super::log_level::LiveLevel;
use super::log_queue::{self, Queue, Sink, Writing};
use super::log_text::{enqueue, unqueued, without_controls};
use crate::config::{Log, LogFormat, LogLevel};
use crate::sys::{self, JournalSocket};

/// How long the end of the process waits for lines that are not written yet.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// How long the writer waits at a time for a sink that would block.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);

/// Sends the process's events and panics to standard error, with the settings of `log`; `None` if a
/// subscriber is installed already.
///
/// # Errors
/// The writer's thread cannot be started.
pub(super) fn start(log: &Log) -> io::Result<Option<LogEnd>> {
    let level = LiveLevel::new(log.level);
    let live = level.clone();
    let say = move |lines, error: Option<&io::Error>| dropped(live.now(), lines, error);
    // JSON stays JSON: the operator has a reader for those lines.
    let is_text = log.format == LogFormat::Text;
    let journal = is_text.then(JournalSocket::of_stderr).flatten();
    let (queue, writing, output) = match journal {
        Some(journal) => {
            let (queue, writing) = log_queue::start(journal, say)?;
            (queue, writing, Output::Journal)
        }
        None => {
            let (queue, writing) = log_queue::start(StandardError, say)?;
            (queue, writing, Output::Lines)
        }
    };
    if dispatcher::set_global_default(subscriber(log.format, &level, queue, output)).is_err() {
        return Ok(None);
    }
    panic::set_hook(Box::new(log_panic));
    Ok(Some(LogEnd {
        writing,
        output,
        level,
    }))
}

/// The form in which events are queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Lines, for standard error.
    Lines,
    /// Entries of systemd's journal.
    Journal,
}

/// Writes what is logged, at the end of the process.
#[derive(Debug)]
pub(super) struct LogEnd {
    writing: Writing,
    output: Output,
    level: LiveLevel,
}

impl LogEnd {
    /// The level of the log, to be changed.
    pub(super) fn level(&self) -> &LiveLevel {
        &self.level
    }

    /// Writes a text unchanged, after all earlier lines.
    pub(super) fn plain(&self, text: &str) {
        let queue = self.writing.queue();
        match self.output {
            Output::Lines => queue.push(format!("{text}\n"), false),
            Output::Journal => {
                let entries = text.lines().map(journal::plain);
                entries.for_each(|entry| queue.push(entry, false));
            }
        }
    }

    /// Waits until all lines are written, but not for a blocked sink.
    pub(super) fn finish(self) {
        self.writing.finish(END_PATIENCE);
    }
}

/// The process's standard error.
#[derive(Debug)]
struct StandardError;

impl Sink for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::write_to_stderr(bytes)
    }

    fn await_room(&mut self) {
        sys::await_stderr(ROOM_PATIENCE);
    }
}

/// The line with the number of dropped lines, if `level` is logged.
fn dropped(level: LogLevel, lines: u64, error: Option<&io::Error>) -> String {
    const WHY: &str = "log lines dropped: standard error did not take them in time";
    let error = error.map(tracing::field::display);
    unqueued(|| {
        if level == LogLevel::Error {
            tracing::error!(lines, error, "{WHY}");
        } else {
            tracing::warn!(lines, error, "{WHY}");
        }
    })
}

/// Logs a panic like any event, with a backtrace if RUST_BACKTRACE is set.
fn log_panic(info: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        thread = thread::current().name(),
        at = info.location().map(tracing::field::display),
        panic = info.payload_as_str().unwrap_or("not a text"),
        backtrace = backtrace.map(tracing::field::display),
        "a panic, which is a defect of corelane: please report it"
    );
}

/// Queues the events of this level.
pub(super) fn subscriber(
    format: LogFormat,
    level: &LiveLevel,
    queue: Queue,
    output: Output,
) -> Dispatch {
    let registry = Registry::default().with(level.clone());
    let layer = fmt::layer()
        .with_ansi(false)
        // A closed standard error must not end the process, and printing an error about it would
        // panic.
        .log_internal_errors(false);
    match (output, format) {
        (Output::Journal, _) => {
            let layer = layer.event_format(JournalFormat);
            registry.with(layer.with_writer(Entries(queue))).into()
        }
        (_, LogFormat::Text) => {
            let layer = layer.with_writer(queue).with_target(false);
            registry.with(layer).into()
        }
        (_, LogFormat::Json) => {
            let layer = layer.with_writer(queue).json().flatten_event(true);
            registry.with(layer).into()
        }
    }
}

impl<'w> MakeWriter<'w> for Queue {
    type Writer = LineWriter<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        LineWriter {
            queue: self,
            is_detail: false,
        }
    }

    fn make_writer_for(&'w self, event: &Metadata<'_>) -> Self::Writer {
        LineWriter {
            queue: self,
            is_detail: *event.level() >= Level::DEBUG,
        }
    }
}

/// A writer of whole events, each given in one call and ending in a newline.
#[derive(Debug)]
pub(super) struct LineWriter<'q> {
    queue: &'q Queue,
    is_detail: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        enqueue(self.queue, one_line(event), self.is_detail);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The event with its control characters escaped as in JSON, also in plain text.
fn one_line(event: &[u8]) -> String {
    let event = String::from_utf8_lossy(event);
    let event = event.strip_suffix('\n').unwrap_or(&event);
    let mut line = without_controls(event);
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;
    use std::{io, panic};

    use tracing::{debug, dispatcher, error, info, warn};

    use super::super::log_text;
    use super::{LiveLevel, Output, dropped, journal, log_panic, log_queue, one_line, subscriber};
    use crate::config::{LogFormat, LogLevel};

    /// Sends each line to the test.
    struct Tap(Sender<String>);

    impl log_queue::Sink for Tap {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let line = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.send(line).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn await_room(&mut self) {}
    }

    /// The text of `events`, a string for each write.
    fn logged(level: LogLevel, format: LogFormat, events: impl FnOnce()) -> Vec<String> {
        logged_as(Output::Lines, level, format, events)
    }

    fn logged_as(
        output: Output,
        level: LogLevel,
        format: LogFormat,
        events: impl FnOnce(),
    ) -> Vec<String> {
        let (tap, writes) = channel();
        let (queue, writing) = log_queue::start(Tap(tap), |_, _| String::new()).unwrap();
        let level = LiveLevel::new(level);
        let dispatch = subscriber(format, &level, queue, output);
        dispatcher::with_default(&dispatch, events);
        drop(dispatch);
        writing.finish(Duration::from_secs(20));
        writes.into_iter().collect()
    }

    /// A line of the writer's own thread looks like any line and is not queued.
    #[test]
    fn drops_are_said_at_every_level() {
        for level in [LogLevel::Error, LogLevel::Info] {
            let mut own = String::new();
            let lines = logged(level, LogFormat::Json, || {
                let error = io::Error::other("full");
                own = dropped(level, 7, Some(&error));
            });
            assert_eq!(lines, [""; 0]);
            for part in [
                "{\"timestamp\":",
                "\"lines\":7",
                "\"error\":\"full\"",
                "}\n",
            ] {
                assert!(own.contains(part), "{part} not in {own}");
            }
        }
    }

    /// Issue 14: raw text of several lines among the JSON lines.
    #[test]
    fn a_panic_is_one_line_of_the_log() {
        let lines = logged(LogLevel::Error, LogFormat::Json, || {
            let before = panic::take_hook();
            panic::set_hook(Box::new(log_panic));
            let result = panic::catch_unwind(|| panic!("two\nlines"));
            panic::set_hook(before);
            assert!(result.is_err());
        });
        let [line] = &lines[..] else {
            panic!("{lines:#?}");
        };
        for part in [
            "\"panic\":\"two\\nlines\"",
            // The simulator's crate compiles this file as `sim/../src`.
            "src/server/log.rs:",
            "\"at\":\"",
            "\"thread\":",
        ] {
            assert!(line.contains(part), "{part} not in {line}");
        }
        assert_eq!(line.matches('\n').count(), 1, "{line}");
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
        assert!(!line.contains(log_text::hidden), "{line:?}");
        assert!(line.contains("x\\n2026 ERROR forged"), "{line:?}");
    }

    #[test]
    fn escapes_once_and_ends_with_a_newline() {
        assert_eq!(one_line(b"a\tb\x1b\n"), "a\\u0009b\\u001b\n");
        assert_eq!(one_line("a\u{2028}é\n".as_bytes()), "a\\u2028é\n");
        assert_eq!(one_line(b"no end"), "no end\n");
    }

    /// The journal entries of `events`, a string each.
    fn entries(events: impl FnOnce()) -> Vec<String> {
        logged_as(Output::Journal, LogLevel::Debug, LogFormat::Text, events)
    }

    #[test]
    fn an_event_is_an_entry_with_its_fields() {
        let entries = entries(|| info!(name = "echo", lanes = 4, at = %"[::1]:7", "listening"));
        let expected = "PRIORITY=6\nSYSLOG_IDENTIFIER=corelane\n\
                        MESSAGE=listening name=\"echo\" lanes=4 at=[::1]:7\n\
                        CORELANE_NAME=echo\nCORELANE_LANES=4\nCORELANE_AT=[::1]:7\n";
        assert_eq!(entries, [expected]);
    }

    #[test]
    fn levels_are_priorities_of_syslog() {
        let entries = entries(|| {
            error!("a");
            debug!("b");
        });
        assert!(entries[0].starts_with("PRIORITY=3\n"), "{entries:?}");
        assert!(entries[1].starts_with("PRIORITY=7\n"), "{entries:?}");
        assert!(journal::plain("x").starts_with("PRIORITY=3\n"));
    }

    /// A peer's text must not become a field, nor a second message.
    #[test]
    fn no_value_begins_a_field_of_its_own() {
        let entries = entries(|| info!(peer = %"x\nPRIORITY=0\x1b[2J", "a\nMESSAGE=b"));
        let expected = "PRIORITY=6\nSYSLOG_IDENTIFIER=corelane\n\
                        MESSAGE=a\\nMESSAGE=b peer=x\\nPRIORITY=0\\u001b[2J\n\
                        CORELANE_PEER=x\\nPRIORITY=0\\u001b[2J\n";
        assert_eq!(entries, [expected]);
    }
}
