//! What somebody asks of the process, as values on a channel.
//!
//! SIGTERM, SIGINT and SIGQUIT (on Windows: ctrl-c, ctrl-break, closing the console) stop the
//! server, a second one at once. SIGHUP is taken and does nothing yet but say so, lest a closed
//! terminal end a daemon. Whatever else would end the process is taken and said, and does nothing.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

pub(super) use crate::sys::Request;
use crate::sys::requests;

/// Sends each request to `to` from now on.
pub(super) fn forward<E>(to: Sender<E>, event: fn(Request) -> E) -> io::Result<()>
where
    E: Send + 'static,
{
    let requests = requests()?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for request in requests {
                if to.send(event(request)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
