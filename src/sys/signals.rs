//! Signals that ask something of the process, as values (signal-hook's iterator).

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What somebody asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To stop; the signal's name.
    Stop(&'static str),
    /// To read its configuration again.
    Reload,
}

/// Takes SIGTERM, SIGINT and SIGHUP from now on. The iterator waits for the next; it has no end.
pub(crate) fn requests() -> io::Result<impl Iterator<Item = Request> + Send> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let request = |signal| match signal {
        SIGTERM => Request::Stop("SIGTERM"),
        SIGINT => Request::Stop("SIGINT"),
        _ => Request::Reload,
    };
    Ok(std::iter::from_fn(move || {
        signals.forever().next().map(request)
    }))
}
