//! The targets of the access log. Used by the writing thread alone, but opened by the main thread.

use std::io;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use super::super::log_control::LogControl;
use super::super::log_queue::{Style, Text};
use super::batch::Batch;
use super::file::AccessFile;
use super::format::Formatter;
use super::line::Line;
use super::message;
use crate::sys::{self, JournalSocket};

/// How long the writer waits at a time for a blocked target.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// The same for the queue of the log, without an event for room.
const QUEUE_PATIENCE: Duration = Duration::from_millis(10);

/// A target, open.
#[derive(Debug)]
pub(super) enum Sink {
    /// With the log, whose queue keeps the lines of both whole; `None` without a log.
    Stderr(Option<LogControl>),
    File(AccessFile),
    Journal(JournalSocket),
    Syslog(JournalSocket, PathBuf),
}

impl Sink {
    /// Adds a line in the target's form.
    pub(super) fn format(&self, formatter: &mut Formatter, line: &Line<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Journal(_) => message::entry(formatter, line, out),
            Self::Syslog(..) => message::datagram(formatter, line, process::id(), out),
            Self::Stderr(_) | Self::File(_) => {
                formatter.write(line, out);
                out.push(b'\n');
            }
        }
    }

    /// Takes some bytes from a position of a batch.
    pub(super) fn write(&mut self, batch: &Batch, at: usize) -> io::Result<usize> {
        match self {
            Self::Stderr(Some(log)) if !log.has_file() => {
                let line = batch.line_from(batch.begin_of_line(at));
                // No event, hence no entry of the journal.
                let text = Text {
                    style: Style::Text,
                    text: String::from_utf8_lossy(line).into_owned(),
                };
                match log.offer(text) {
                    true => Ok(batch.line_from(at).len()),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            Self::Stderr(_) => sys::write_to_stderr(batch.from(at)),
            Self::File(file) => file.write(batch, at),
            Self::Journal(socket) | Self::Syslog(socket, _) => {
                let line = batch.line_from(batch.begin_of_line(at));
                socket.send(line).map(|()| batch.line_from(at).len())
            }
        }
    }

    /// Waits for a limited time until a blocked target accepts more.
    pub(super) fn await_room(&self) {
        match self {
            Self::Stderr(Some(log)) if !log.has_file() => thread::park_timeout(QUEUE_PATIENCE),
            Self::Stderr(_) => sys::await_stderr(ROOM_PATIENCE),
            Self::File(file) => sys::await_room(file.file(), ROOM_PATIENCE),
            // The send has waited already.
            Self::Journal(_) | Self::Syslog(..) => {}
        }
    }

    /// The target's name, for the log.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stderr(_) => "standard error".to_owned(),
            Self::File(file) => file.path().display().to_string(),
            Self::Journal(_) => "the journal".to_owned(),
            Self::Syslog(_, socket) => format!("syslog ({})", socket.display()),
        }
    }
}
