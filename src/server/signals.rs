//! What somebody asks of the process, as values on a channel.
//!
//! SIGTERM, SIGINT and SIGQUIT (on Windows: ctrl-c, ctrl-break, closing the console) stop the
//! server, a second one at once. SIGHUP is taken and does nothing yet but say so, lest a closed
//! terminal end a daemon. SIGUSR1 opens the files of the logs anew. Whatever else would end the
//! process is taken and said, and does nothing.

use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::thread;

use super::access::AccessControl;
use super::log_control::LogControl;
use crate::runtime::LogInterval;
use crate::sys;
pub(super) use crate::sys::Request;
use crate::sys::requests;

/// Sends each request to `to` from now on, but requests to `log` and to `access`, which begins
/// later.
pub(super) fn forward<E>(
    to: Sender<E>,
    event: fn(Request) -> E,
    log: Option<LogControl>,
    access: Arc<OnceLock<AccessControl>>,
) -> io::Result<()>
where
    E: Send + 'static,
{
    let requests = requests()?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let interval = LogInterval::default();
            for request in requests {
                if request == Request::ReopenLog {
                    reopen(log.as_ref(), access.get(), &interval);
                    continue;
                }
                if to.send(event(request)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}

/// Opens the files of the log and of the access log anew, and says so if there are none.
fn reopen(log: Option<&LogControl>, access: Option<&AccessControl>, interval: &LogInterval) {
    let of_log = log.is_some_and(LogControl::reopen);
    let of_access = access.is_some_and(AccessControl::reopen);
    if !of_log
        && !of_access
        && let Some(times) = interval.note(sys::now())
    {
        tracing::warn!(
            times,
            "SIGUSR1: the log goes to standard error, and there is no log file to open anew"
        );
    }
}
