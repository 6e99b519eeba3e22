//! The sockets of the control plane: accepts, with a bound on connections, at the limit on
//! descriptors too.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::answering::Answering;
use super::dashboard::serve_dashboard;
use super::discovery::Following;
use super::http::{serve_admin, serve_health};
use super::orders::{Order, obey};
use super::reserve::Reserve;
use super::seat::{Seat, Seated};
use crate::runtime::{LogInterval, both};
use crate::sys;
use crate::sys::local::{LocalAccepting, TcpAccepting, local_peer};

/// The pause after a failed accept with an empty reserve, and the longest wait for a place that a
/// connection gives up.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts on the sockets of the control plane and obeys the main thread, for ever.
pub(super) async fn listen(
    answering: &Arc<Answering>,
    orders: &mut UnboundedReceiver<Order>,
    following: &mut Following,
) -> io::Result<()> {
    let sockets = &answering.parts().sockets;
    let admin = sockets.admin.as_deref().map(|socket| socket.accepting());
    let health = sockets.health.as_ref().map(TcpAccepting::new);
    let dashboard = sockets.dashboard.as_ref().map(TcpAccepting::new);
    let (admin, health) = (admin.transpose()?, health.transpose()?);
    let dashboard = dashboard.transpose()?;
    let admin = pin!(async {
        if let Some(socket) = admin {
            accept_admin(answering, socket).await;
        }
        Ok(())
    });
    let health = pin!(async {
        if let Some(socket) = health {
            accept_health(answering, socket).await;
        }
        Ok(())
    });
    let dashboard = pin!(async {
        if let Some(socket) = dashboard {
            accept_dashboard(answering, socket).await;
        }
        Ok(())
    });
    let orders = pin!(async {
        obey(answering.asking(), answering.health(), orders, following).await;
        Ok(())
    });
    let tcp = pin!(both(health, dashboard));
    both(pin!(both(admin, tcp)), orders).await
}

#[expect(clippy::infinite_loop, reason = "the process ends it")]
async fn accept_admin(answering: &Arc<Answering>, socket: LocalAccepting) {
    let limits = answering.parts().limits;
    let accepting = Accepting::new(limits.connections, limits.reserve);
    loop {
        let (place, stream) = accepting.next(|| socket.accept()).await;
        let answering = Arc::clone(answering);
        tokio::spawn(async move {
            match local_peer(&stream) {
                Ok(peer) => {
                    let client = Some(stream.far_end());
                    serve_admin(answering, peer, client, stream).await;
                }
                Err(error) => tracing::warn!(%error, "a client of the control socket has no name"),
            }
            drop(place);
        });
    }
}

#[expect(clippy::infinite_loop, reason = "the process ends it")]
async fn accept_health(answering: &Arc<Answering>, socket: TcpAccepting) {
    let limits = answering.parts().limits;
    let accepting = Accepting::new(limits.health_connections, 1);
    let mut seats = Seats::new("control.tcp");
    loop {
        let (place, seat, (stream, _)) = seats.next(&accepting, || socket.accept()).await;
        let answering = Arc::clone(answering);
        tokio::spawn(async move {
            let stream = Seated::new(stream, Arc::clone(&seat), limits.write);
            seat.serve(serve_health(answering, Arc::clone(&seat), stream))
                .await;
            drop(place);
        });
    }
}

#[expect(clippy::infinite_loop, reason = "the process ends it")]
async fn accept_dashboard(answering: &Arc<Answering>, socket: TcpAccepting) {
    let limits = answering.parts().limits;
    let accepting = Accepting::new(limits.dashboard_connections, 1);
    let mut seats = Seats::new("dashboard.bind");
    loop {
        let (place, seat, (stream, peer)) = seats.next(&accepting, || socket.accept()).await;
        let answering = Arc::clone(answering);
        tokio::spawn(async move {
            let stream = Seated::new(stream, Arc::clone(&seat), limits.write);
            seat.serve(serve_dashboard(answering, Arc::clone(&seat), peer, stream))
                .await;
            drop(place);
        });
    }
}

/// The connections of a TCP socket. A new connection gets the place of an idle one.
struct Seats {
    /// The configuration's name of the socket.
    socket: &'static str,
    taken: Vec<Weak<Seat>>,
    full: LogInterval,
}

impl Seats {
    fn new(socket: &'static str) -> Self {
        Self {
            socket,
            taken: Vec::new(),
            full: LogInterval::default(),
        }
    }

    /// The next connection. It is accepted before there is a place, to know that one is wanted.
    async fn next<S, F>(
        &mut self,
        accepting: &Accepting,
        accept: impl Fn() -> F,
    ) -> (Place, Arc<Seat>, S)
    where
        F: Future<Output = io::Result<S>>,
    {
        let stream = accepting.stream(accept).await;
        let seat = Arc::new(Seat::new());
        let place = loop {
            // Places are given back by tasks of this thread: the first may be free by now.
            if let Ok(place) = timeout(Duration::ZERO, accepting.place()).await {
                break place;
            }
            self.make_room();
            if let Ok(place) = timeout(PAUSE, accepting.place()).await {
                break place;
            }
        };
        self.taken.retain(|taken| taken.strong_count() > 0);
        self.taken.push(Arc::downgrade(&seat));
        (place, seat, stream)
    }

    /// Ends the connection that is idle, or does not read, for the longest time.
    fn make_room(&self) {
        let taken = self.taken.iter().filter_map(Weak::upgrade);
        let idle = taken.filter_map(|seat| Some((seat.idle_since()?, seat)));
        if let Some((_, seat)) = idle.min_by_key(|(since, _)| *since) {
            seat.leave();
        }
        if let Some(times) = self.full.note(sys::now()) {
            tracing::warn!(
                places = self.taken.len(),
                times,
                "{}: all places are taken; the connection that is idle the longest gives way",
                self.socket
            );
        }
    }
}

/// The accepts of a socket.
struct Accepting {
    places: Arc<Semaphore>,
    reserve: Arc<Mutex<Reserve>>,
    failures: LogInterval,
}

/// The place of a connection. Dropped behind the connection's descriptor.
struct Place {
    reserve: Arc<Mutex<Reserve>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        fill(&self.reserve);
    }
}

impl Accepting {
    fn new(connections: usize, reserve: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(connections)),
            reserve: Arc::new(Mutex::new(Reserve::new(reserve))),
            failures: LogInterval::default(),
        }
    }

    /// The next connection, once there is a place.
    async fn next<S, F>(&self, accept: impl Fn() -> F) -> (Place, S)
    where
        F: Future<Output = io::Result<S>>,
    {
        let place = self.place().await;
        (place, self.stream(accept).await)
    }

    /// A place, once there is one.
    async fn place(&self) -> Place {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        Place {
            reserve: Arc::clone(&self.reserve),
            _permit: permit.expect("the semaphore is never closed"),
        }
    }

    /// Accepts, for as long as it takes.
    async fn stream<S, F>(&self, accept: impl Fn() -> F) -> S
    where
        F: Future<Output = io::Result<S>>,
    {
        loop {
            let error = match accept().await {
                Ok(stream) => return stream,
                Err(error) => error,
            };
            if sys::is_out_of_resources(&error) && give_up(&self.reserve) {
                continue;
            }
            if let Some(times) = self.failures.note(sys::now()) {
                tracing::warn!(%error, times, "the control plane cannot accept");
            }
            sleep(PAUSE).await;
            fill(&self.reserve);
        }
    }
}

// The control thread alone locks, and never over a wait: every try succeeds.

fn fill(reserve: &Mutex<Reserve>) {
    if let Ok(mut reserve) = reserve.try_lock() {
        reserve.fill();
    }
}

fn give_up(reserve: &Mutex<Reserve>) -> bool {
    reserve
        .try_lock()
        .is_ok_and(|mut reserve| reserve.give_up())
}
