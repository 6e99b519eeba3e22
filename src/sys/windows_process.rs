//! The process on Windows: console events, standard error, inherited state.
#![expect(unsafe_code, reason = "system calls")]

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, SetConsoleCtrlHandler,
};
use windows_sys::core::BOOL;

/// A request to the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To stop; the event's name.
    Stop(&'static str),
    /// Read the configuration again; Windows has no event for this.
    Reload,
    /// Open the log file anew; Windows has no event for this.
    ReopenLog,
    /// An event without a meaning; Windows has none.
    #[expect(dead_code, reason = "other systems have a signal for it")]
    Other(String),
}

/// The user and the groups of a process, which Windows has in another form.
#[derive(Clone, Debug)]
pub(crate) struct Account(Infallible);

/// The reason for which there is no such account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAccount {
    #[expect(dead_code, reason = "of the other systems, as the next three")]
    User,
    #[expect(dead_code, reason = "other systems have a signal for it")]
    Group,
    #[expect(dead_code, reason = "other systems have a signal for it")]
    GroupOfUser,
    #[expect(dead_code, reason = "other systems have a signal for it")]
    Permission,
    /// The system has no such accounts.
    Unsupported,
}

impl Account {
    /// There are no such users.
    pub(crate) fn user_id(_name: &str) -> Option<u32> {
        None
    }

    /// There are no such groups.
    pub(crate) fn group_id(_name: &str) -> Option<u32> {
        None
    }

    pub(crate) fn find(_user: Option<&str>, _group: Option<&str>) -> Result<Self, NoAccount> {
        Err(NoAccount::Unsupported)
    }

    pub(crate) fn assume(&self) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn give_socket(&self, _socket: &super::OsSocket) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give(&self, _path: &Path) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn create(&self, _path: &Path) -> io::Result<()> {
        match self.0 {}
    }
}

/// Whether this open file is still the one at the path: not asked here.
pub(crate) fn is_file_at(_file: &File, _path: &Path) -> bool {
    true
}

/// A new file.
///
/// # Errors
/// `AlreadyExists`, and what the system says.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// A file to append to.
///
/// # Errors
/// What the system says.
pub(crate) fn open_to_append(path: &Path, creates: bool) -> io::Result<File> {
    File::options().append(true).create(creates).open(path)
}

/// Links are followed on Windows.
pub(crate) fn is_symbolic_link(_error: &io::Error) -> bool {
    false
}

/// Where console events go; the handler takes no argument of ours.
static CONSOLE: Mutex<Option<Sender<Request>>> = Mutex::new(None);

/// Handles ctrl-c, ctrl-break and the console's closing from now on. The endless iterator waits for
/// the next event.
pub(crate) fn requests() -> io::Result<impl Iterator<Item = Request> + Send> {
    let (sender, requests) = channel();
    *CONSOLE.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    // SAFETY: the handler is a static function with the required signature.
    if unsafe { SetConsoleCtrlHandler(Some(on_console_event), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(requests.into_iter())
}

/// Runs on a thread that the system creates for the event.
unsafe extern "system" fn on_console_event(event: u32) -> BOOL {
    let name = match event {
        CTRL_C_EVENT => "ctrl-c",
        CTRL_BREAK_EVENT => "ctrl-break",
        CTRL_CLOSE_EVENT => "closing of the console",
        _ => return 0,
    };
    if let Some(sender) = &*CONSOLE.lock().unwrap_or_else(PoisonError::into_inner) {
        // The receiver lives as long as the process.
        let _lives = sender.send(Request::Stop(name)).is_ok();
    }
    if event == CTRL_CLOSE_EVENT {
        // The process ends when this handler returns, so the handler leaves time to drain.
        thread::park();
    }
    1
}

/// The parent's signal settings; Windows has no signals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParentSignals {
    pub(crate) blocked: Vec<String>,
    pub(crate) ignored: Vec<String>,
}

/// Nothing to do: a console event comes on a thread of the system's own.
#[expect(clippy::unnecessary_wraps, reason = "other systems have signals")]
pub(crate) fn take_signals() -> io::Result<ParentSignals> {
    Ok(ParentSignals::default())
}

/// Unknown, and harmless: Windows inherits only the handles that a parent names.
pub(crate) fn keep_descriptors() -> Option<usize> {
    None
}

/// Files may be of any size.
pub(crate) fn file_size_limit() -> Option<usize> {
    None
}

/// Windows has priority classes instead, which a parent sets.
pub(crate) fn niceness() -> i32 {
    0
}

/// The system ends no process when memory runs out.
pub(crate) fn oom_score_adjustment() -> Option<i32> {
    None
}

/// Writes to standard error; blocks, for example, while text of the console is selected.
///
/// # Errors
/// The error of the system.
pub(crate) fn write_to_stderr(bytes: &[u8]) -> io::Result<usize> {
    io::stderr().write(bytes)
}

/// Waits a little: a file on Windows never reports that a write would block.
pub(crate) fn await_room(_file: &File, most: Duration) {
    await_stderr(most);
}

/// Waits a little, for the same reason.
#[expect(
    clippy::disallowed_methods,
    reason = "on the thread that writes the log, and no lane"
)]
pub(crate) fn await_stderr(most: Duration) {
    thread::sleep(most.min(Duration::from_millis(10)));
}
