//! The watchdog's thread: reports reached limits and stalled lanes for the life of the process.
//!
//! Started by `run`. Sleeps between its looks; no lane waits for it.

use std::io;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use super::changeable::Bound;
use super::reached::Reached;
use crate::runtime::{LogInterval, Remote, Seen, Watchdog};
use crate::stats::nanos;
use crate::sys::{self, StackReader};

/// How often the watchdog looks at the lanes: twice per reported stall.
const INTERVAL: Duration = Duration::from_millis(25);

/// Starts the thread. `stacks` was opened before the sandbox.
///
/// # Errors
/// The system refuses a thread.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that sleeps, and is no lane"
)]
#[expect(clippy::infinite_loop, reason = "the process ends it")]
pub(super) fn watch(
    lanes: Vec<Remote>,
    mut reached: Reached,
    bounds: Receiver<Bound>,
    stacks: Option<StackReader>,
) -> io::Result<()> {
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            let mut watched = Vec::from_iter(lanes.into_iter().map(Watched::new));
            let interval = LogInterval::default();
            loop {
                thread::sleep(INTERVAL);
                bounds.try_iter().for_each(|bound| reached.bound_by(bound));
                reached.look(sys::now());
                for (lane, watched) in watched.iter_mut().enumerate() {
                    watched.look(lane, &interval, stacks.as_ref());
                }
            }
        })?;
    Ok(())
}

/// A lane in the eyes of the watchdog.
#[derive(Debug)]
struct Watched {
    remote: Remote,
    watchdog: Watchdog,
    /// The begin of the present stall is in the log, and its end will be.
    is_logged: bool,
}

impl Watched {
    fn new(remote: Remote) -> Self {
        Self {
            remote,
            watchdog: Watchdog::default(),
            is_logged: false,
        }
    }

    /// Counts a stall of the lane and logs it: at most one stall a second, over all lanes, since a
    /// slow machine must not fill the log.
    fn look(&mut self, lane: usize, interval: &LogInterval, stacks: Option<&StackReader>) {
        let now = sys::now();
        let seen = self.watchdog.look(self.remote.heartbeat(), now);
        let stats = self.remote.stats();
        if let Some(stall) = self.watchdog.stall() {
            let lasted = u64::try_from(stall.lasted.as_micros()).unwrap_or(u64::MAX);
            stats.stall_longest_us.raise_to(lasted);
        }
        let (began, stall) = match seen {
            None => return,
            Some(Seen::Began(stall)) => (true, stall),
            Some(Seen::Ended(stall)) => (false, stall),
        };
        let (task, stalled_for) = (stall.task.unwrap_or("none"), stall.lasted);
        let session = stall.session.map(|session| session.0);
        if !began {
            stats.stall.record(nanos(stalled_for));
            if std::mem::take(&mut self.is_logged) {
                tracing::warn!(lane, task, session, ?stalled_for, "a lane turns again");
            }
            return;
        }
        stats.stalls.add(1);
        if let Some(times) = interval.note(now) {
            self.is_logged = true;
            let heartbeat = self.remote.heartbeat();
            let system_call = heartbeat.system_call();
            let frames = stacks.map(|reader| heartbeat.stack(reader));
            let stack = frames.filter(|frames| !frames.is_empty());
            let stack = stack.map(|frames| frames.join(" < "));
            tracing::warn!(
                lane,
                task,
                session,
                ?stalled_for,
                system_call,
                stack,
                times,
                "a lane does not turn"
            );
        }
    }
}
