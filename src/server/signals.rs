//! Signals, as values on a channel.
//!
//! SIGTERM and SIGINT stop the server, a second one at once. SIGHUP is taken and does nothing yet
//! but say so, lest a closed terminal end a daemon. SIGPIPE is ignored, as in every Rust program.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What somebody asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Stop(&'static str),
    Reload,
}

/// Sends each signal to `to` from now on.
pub(super) fn forward<E>(to: Sender<E>, event: fn(Request) -> E) -> io::Result<()>
where
    E: Send + 'static,
{
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let request = match signal {
                    SIGTERM => Request::Stop("SIGTERM"),
                    SIGINT => Request::Stop("SIGINT"),
                    _ => Request::Reload,
                };
                if to.send(event(request)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
