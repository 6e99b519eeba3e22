//! Accepting: takes connections off a listener's backlog and starts a session for each.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::deadline::Timeouts;
use super::limit::SessionLimit;
use super::session::{Service, session};
use crate::net::Listener;
use crate::runtime::{Either, Gate, Handle, either, yield_now};
use crate::sys::Time;

/// Connections accepted before other tasks get their turn, so that a storm does not starve the
/// sessions that are there.
const BUDGET: usize = 64;
/// How long an accept that found no descriptor or memory is put off: short enough that the client
/// is served well within 100 ms of one coming free, long enough to burn nothing.
const RETRY: Duration = Duration::from_millis(20);
/// How often a failing accept is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What an accept loop needs to know.
#[derive(Debug)]
pub struct Acceptor {
    /// What the listener is called in the configuration.
    pub name: Arc<str>,
    /// What each connection gets.
    pub service: Service,
    /// How many sessions there may be.
    pub limit: Arc<SessionLimit>,
    /// How long its sessions may take.
    pub timeouts: Timeouts,
    /// Opens when the lane is to stop accepting.
    pub stop: Rc<Gate>,
}

/// Accepts until told to stop. Connections that are in the backlog then are still served; those
/// above the session limit stay there until a session ends.
pub async fn accept(lane: Handle, listener: Listener, acceptor: Rc<Acceptor>) {
    let mut failures = Failures::default();
    let mut stopped = pin!(acceptor.stop.pass());
    let mut streak = 0;
    loop {
        let next = pin!(async {
            let connection = listener.accept().await?;
            // Taken, but not served until there is room: for the client the same as the backlog.
            Ok((connection, acceptor.limit.acquire(&lane).await))
        });
        match either(stopped.as_mut(), next).await {
            Either::First(()) => break,
            Either::Second(Ok(((stream, peer), permit))) => {
                lane.stats().accepted.add(1);
                lane.spawn(
                    &"session",
                    session(stream, peer, permit, Rc::clone(&acceptor)),
                );
                streak += 1;
            }
            Either::Second(Err(error)) => {
                lane.stats().accept_failures.add(1);
                failures.report(&acceptor.name, &error, lane.now());
                let retry = lane.sleep_until(lane.now() + RETRY);
                if let Either::First(()) = either(stopped.as_mut(), retry).await {
                    break;
                }
            }
        }
        if streak >= BUDGET {
            streak = 0;
            yield_now().await;
        }
    }
    // Their clients have been told that they are connected: a close would reset them.
    while let Some(permit) = acceptor.limit.try_acquire() {
        let Some((stream, peer)) = listener.accept_waiting() else {
            break;
        };
        lane.stats().accepted.add(1);
        lane.spawn(
            &"session",
            session(stream, peer, permit, Rc::clone(&acceptor)),
        );
    }
    listener.close();
}

/// Accepts that failed since they were last logged.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    logged: Option<Time>,
}

impl Failures {
    fn report(&mut self, listener: &str, error: &io::Error, now: Time) {
        self.count += 1;
        if self.logged.is_some_and(|at| now.since(at) < LOG_INTERVAL) {
            return;
        }
        tracing::warn!(
            listener,
            %error,
            times = self.count,
            "cannot accept; clients wait in the backlog until this passes"
        );
        (self.count, self.logged) = (0, Some(now));
    }
}
