//! Where the lines of the log go: standard error, systemd's journal, or a file.
//!
//! Used by the writing thread of `log_queue` alone, which obeys orders of `log_control` here.

use std::io;
use std::time::Duration;

use super::log_file::LogFile;
use super::log_queue::{Order, Sink, Style, Text};
use super::log_text::unqueued;
use crate::sys::{self, JournalSocket};

/// How long the writer waits at a time for a target that would block.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);

/// The targets of the process: entries go to the journal, lines to the file if there is one.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) journal: Option<JournalSocket>,
    pub(super) file: Option<LogFile>,
}

impl Sink for Target {
    fn write(&mut self, style: Style, bytes: &[u8]) -> io::Result<usize> {
        match (style, &self.journal, &mut self.file) {
            (Style::Entry, Some(journal), _) => journal.send(bytes).map(|()| bytes.len()),
            (_, _, Some(file)) => file.write(bytes),
            _ => sys::write_to_stderr(bytes),
        }
    }

    fn await_room(&mut self, style: Style) {
        match (style, &self.journal, &self.file) {
            // The send has waited already.
            (Style::Entry, Some(_), _) => {}
            (_, _, Some(file)) => sys::await_room(file.file(), ROOM_PATIENCE),
            _ => sys::await_stderr(ROOM_PATIENCE),
        }
    }

    fn name(&self) -> &'static str {
        match &self.file {
            Some(_) => "the log file",
            None => "standard error",
        }
    }

    fn obey(&mut self, order: Order) -> Option<Text> {
        let file = match order {
            Order::Switch(file) => {
                self.file = file;
                return None;
            }
            Order::Reopen => self.file.as_mut()?,
        };
        let reopened = file.reopen();
        let path = file.path().display();
        unqueued(|| match reopened {
            Ok(()) => tracing::info!(%path, "SIGUSR1: the log file is open anew"),
            Err(error) => tracing::error!(
                %path, %error,
                "SIGUSR1: the log file cannot be opened anew; lines go to the old file"
            ),
        })
    }
}
