//! Sets up logging from the configuration: to standard error or a file, one line an event.
//!
//! Called once, before the first lane starts. An event becomes a line on the thread that has it,
//! and is written by a thread of the log's own (`log_queue.rs`), so that nobody waits for who reads
//! the log. What an event says may come from a client or a peer, so no control character of it
//! reaches the terminal, and none can begin a line of its own.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::Duration;

use tracing::dispatcher;

use super::error::ServerError;
use super::journal;
use super::log_control::{LogChange, LogControl};
use super::log_file;
use super::log_queue::{self, Style, Text, Writing};
use super::log_target::Target;
use super::log_text::unqueued;
use crate::config::{Log, LogTarget};
use crate::sys::JournalSocket;

/// How long the end of the process waits for lines that are not written yet.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Sends the process's events and panics to the target of `log`; `None` if a subscriber is
/// installed already.
///
/// # Errors
/// The target cannot be opened, or the writer's thread cannot be started: `no_thread`.
pub(super) fn start(
    log: &Log,
    no_thread: impl FnOnce(io::Error) -> ServerError,
) -> Result<Option<LogEnd>, ServerError> {
    let change = LogChange::prepare(log)?;
    let target = Target {
        journal: JournalSocket::of_stderr(),
        file: None,
    };
    let has_journal = target.journal.is_some();
    let (queue, writing) = log_queue::start(target, dropped).map_err(no_thread)?;
    let control = LogControl::new(queue, has_journal);
    control.apply(change);
    if dispatcher::set_global_default(control.subscriber()).is_err() {
        return Ok(None);
    }
    panic::set_hook(Box::new(log_panic));
    Ok(Some(LogEnd { writing, control }))
}

/// Whether the target of `log` could be opened; creates nothing.
pub(super) fn check(log: &Log) -> Result<(), ServerError> {
    match &log.target {
        LogTarget::StandardError => Ok(()),
        LogTarget::File(path) => log_file::check(log_file::KEY, path),
    }
}

/// Writes what is logged, at the end of the process.
#[derive(Debug)]
pub(super) struct LogEnd {
    writing: Writing,
    control: LogControl,
}

impl LogEnd {
    /// The handle for changes while the process runs.
    pub(super) fn control(&self) -> &LogControl {
        &self.control
    }

    /// Writes a text unchanged, after all earlier lines.
    pub(super) fn plain(&self, text: &str) {
        let push = |style, text| self.writing.queue().push(Text { style, text }, false);
        match self.control.style() {
            style @ (Style::Text | Style::Json) => push(style, format!("{text}\n")),
            style @ Style::Entry => {
                let entries = text.lines().map(journal::plain);
                entries.for_each(|entry| push(style, entry));
            }
        }
    }

    /// Waits until all lines are written, but not for a blocked target.
    pub(super) fn finish(self) {
        self.writing.finish(END_PATIENCE);
    }
}

/// The line with the number of lines that `target` did not take.
fn dropped(lines: u64, error: Option<&io::Error>, target: &str) -> Option<Text> {
    let error = error.map(tracing::field::display);
    let warning = unqueued(|| {
        tracing::warn!(
            lines,
            error,
            "log lines dropped: {target} did not take them in time"
        );
    });
    // At level "error" the same line is an error.
    warning.or_else(|| {
        unqueued(|| {
            tracing::error!(
                lines,
                error,
                "log lines dropped: {target} did not take them in time"
            );
        })
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;
    use std::{io, panic};

    use tracing::{debug, dispatcher, error, info, warn};

    use super::super::log_control::one_line;
    use super::super::log_queue::{Order, Style};
    use super::super::log_text;
    use super::{LogChange, LogControl, Text, dropped, journal, log_panic, log_queue};
    use crate::config::{Log, LogFormat, LogLevel, LogTarget};

    /// Sends each line to the test.
    struct Tap(Sender<String>);

    impl log_queue::Sink for Tap {
        fn write(&mut self, _: Style, bytes: &[u8]) -> io::Result<usize> {
            let line = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.send(line).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn await_room(&mut self, _: Style) {}

        fn name(&self) -> &'static str {
            "the test"
        }

        fn obey(&mut self, _: Order) -> Option<Text> {
            None
        }
    }

    /// The text of `events`, a string for each write.
    fn logged(level: LogLevel, format: LogFormat, events: impl FnOnce()) -> Vec<String> {
        logged_as(false, level, format, |_| events())
    }

    fn log(level: LogLevel, format: LogFormat) -> LogChange {
        let target = LogTarget::StandardError;
        LogChange::prepare(&Log {
            level,
            format,
            target,
        })
        .unwrap()
    }

    fn logged_as(
        has_journal: bool,
        level: LogLevel,
        format: LogFormat,
        events: impl FnOnce(&LogControl),
    ) -> Vec<String> {
        let (tap, writes) = channel();
        let (queue, writing) = log_queue::start(Tap(tap), |_, _, _| None).unwrap();
        let control = LogControl::new(queue, has_journal);
        control.apply(log(level, format));
        let dispatch = control.subscriber();
        dispatcher::with_default(&dispatch, || events(&control));
        drop((control, dispatch));
        writing.finish(Duration::from_secs(20));
        writes.into_iter().collect()
    }

    /// A line of the writer's own thread looks like any line and is not queued.
    #[test]
    fn drops_are_said_at_every_level() {
        for level in [LogLevel::Error, LogLevel::Info] {
            let mut own = None;
            let lines = logged(level, LogFormat::Json, || {
                let error = io::Error::other("full");
                own = dropped(7, Some(&error), "a file");
            });
            assert_eq!(lines, [""; 0]);
            let own = own.unwrap();
            assert_eq!(own.style, Style::Json);
            for part in [
                "{\"timestamp\":",
                "\"lines\":7",
                "dropped: a file did not",
                "\"error\":\"full\"",
                "}\n",
            ] {
                assert!(own.text.contains(part), "{part} not in {own:?}");
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
        assert_eq!(one_line("a\tb\x1b\n"), "a\\u0009b\\u001b\n");
        assert_eq!(one_line("a\u{2028}é\n"), "a\\u2028é\n");
        assert_eq!(one_line("no end"), "no end\n");
    }

    /// The journal entries of `events`, a string each.
    fn entries(events: impl FnOnce()) -> Vec<String> {
        logged_as(true, LogLevel::Debug, LogFormat::Text, |_| events())
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

    /// Also for a callsite that was off, and one that was on.
    #[test]
    fn level_and_format_change_while_the_process_runs() {
        let event = |number: u32| {
            debug!(number, "one");
            warn!(number, "two");
        };
        let lines = logged_as(true, LogLevel::Warn, LogFormat::Text, |control| {
            event(1);
            control.set_level(LogLevel::Debug);
            event(2);
            control.apply(log(LogLevel::Error, LogFormat::Text));
            event(3);
            assert!(!tracing::enabled!(tracing::Level::WARN));
            control.apply(log(LogLevel::Warn, LogFormat::Json));
            event(4);
        });
        let expected = [
            "PRIORITY=4\nSYSLOG_IDENTIFIER=corelane\nMESSAGE=two number=1\n",
            "PRIORITY=7\nSYSLOG_IDENTIFIER=corelane\nMESSAGE=one number=2\n",
            "PRIORITY=4\nSYSLOG_IDENTIFIER=corelane\nMESSAGE=two number=2\n",
            "{\"timestamp\":",
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, begin) in lines.iter().zip(expected) {
            assert!(line.starts_with(begin), "{line}");
        }
    }
}
