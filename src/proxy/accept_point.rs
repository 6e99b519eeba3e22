//! A place where an accept loop takes connections, as the driver of the lane steers the loop: a
//! later configuration gives the loop a new context, or stops the loop.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::limit::Permit;
use super::listener_context::ListenerContext;
use super::spare::Spares;
use crate::net::{Accepted, Listener};
use crate::runtime::{Latch, Seat, Time};
use crate::stats::ListenerStats;

/// The common state of an accept loop and the driver of the lane.
#[derive(Debug)]
pub struct AcceptPoint {
    pub(super) listener: Listener,
    context: RefCell<Rc<ListenerContext>>,
    /// Sockets for the first session, as far as this machine has descriptors. Opened with the
    /// point: a running server without sessions holds all descriptors except the sessions' own.
    pub(super) spares: RefCell<Spares>,
    is_paused: Cell<bool>,
    /// The accept loop, while the loop waits for the end of a pause.
    waiting: RefCell<Option<Waker>>,
    /// The number of sockets that take over the address; 0 without.
    successors: Cell<usize>,
    /// Opens when the accept loop has to stop.
    pub(super) stop: Latch,
}

impl AcceptPoint {
    /// A point whose connections belong to the listener of this context.
    #[must_use]
    pub fn new(listener: Listener, context: Rc<ListenerContext>) -> Rc<Self> {
        let mut spares = Spares::default();
        // The accept loop tries again and reports a failure before it accepts.
        drop(spares.fill(&context.service));
        Rc::new(Self {
            listener,
            spares: RefCell::new(spares),
            context: RefCell::new(context),
            is_paused: Cell::new(false),
            waiting: RefCell::new(None),
            successors: Cell::new(0),
            stop: Latch::default(),
        })
    }

    /// Accepts no more connections, or accepts again. In a pause clients wait in the backlog.
    /// Called as if in the lane's turn.
    pub fn pause(&self, is_paused: bool) {
        self.is_paused.set(is_paused);
        let waiting = self.waiting.take();
        if let Some(waker) = waiting {
            // In a pause the loop waits anew.
            waker.wake();
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.get()
    }

    /// A permit for a session. Waits until there is a free permit, without a context: a context
    /// keeps a generation alive.
    pub(super) async fn permit(&self, seat: &mut Option<Seat>) -> Permit {
        let (limit, _queued) = {
            let context = self.context();
            if let Some(permit) = context.limit.try_acquire() {
                return permit;
            }
            context.lane.stats().permit_waits.add(1);
            (Arc::clone(&context.limit), Queued::new(&context.stats))
        };
        let seat = seat.get_or_insert_with(|| limit.seat());
        limit.acquire(seat).await
    }

    /// Ends when there is no pause.
    pub(super) async fn resumed(&self) {
        poll_fn(|context| {
            if !self.is_paused.get() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Counts a connection that the listener has just accepted; returns it with the time of the
    /// lane's turn.
    pub(super) fn accepted(&self, connection: Accepted) -> (Accepted, Time) {
        let context = self.context.borrow();
        context.stats.accepted.add(1);
        (connection, context.lane.now())
    }

    /// The listener of the next connection.
    #[must_use]
    pub fn context(&self) -> Rc<ListenerContext> {
        Rc::clone(&self.context.borrow())
    }

    /// Gives later connections and the backlog to this listener.
    pub fn switch(&self, to: Rc<ListenerContext>) {
        // Dropped behind the borrow: the last reference drops an upstream, too.
        drop(self.context.replace(to));
    }

    /// Changes how many connections may wait for an accept. The system may allow fewer.
    ///
    /// # Errors
    /// The errors of `listen(2)`.
    pub fn change_backlog(&self, backlog: u32) -> io::Result<()> {
        self.listener.change_backlog(backlog)
    }

    /// Stops the accept loop. Clients that the kernel has accepted are still served. Called as if
    /// in the lane's turn.
    pub fn stop(&self) {
        self.stop.open();
    }

    /// As [`Self::stop`], where so many sockets, as many as before, take over the address.
    pub(crate) fn stop_for(&self, successors: usize) {
        self.successors.set(successors);
        self.stop();
    }

    /// Leaves new connections to the successors, before the socket closes.
    pub(super) fn give_way(&self) {
        let successors = self.successors.get();
        if successors > 0 {
            // Otherwise a client may find this socket, and try again a second later.
            drop(self.listener.prefer_first_successor(successors));
        }
    }
}

/// Counts an accepted connection that waits for a permit, until dropped. Holds no context: a
/// context keeps a generation alive.
struct Queued(Arc<ListenerStats>);

impl Queued {
    fn new(stats: &Arc<ListenerStats>) -> Self {
        stats.permit_waits.add(1);
        Self(Arc::clone(stats))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.permit_waits_ended.add(1);
    }
}
