//! SIGINT and SIGTERM, as values on the main thread's channel: the first ends the run and shows its
//! results, the second ends the process.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Sends an event for each signal from now on.
pub(crate) fn forward<E>(to: Sender<E>, event: fn() -> E) -> io::Result<()>
where
    E: Send + 'static,
{
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                if to.send(event()).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
