//! SIGINT and SIGTERM as events on the main thread's channel. The first signal ends the load and
//! shows the results, the second ends the process.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Sends an event for each later signal.
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
