//! Accepting: takes connections off a listener's backlog and delivers each with a permit.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::accept_point::AcceptPoint;
use super::admitted::Admitted;
use super::limit::Permit;
use super::listener_context::ListenerContext;
use super::spare::Spares;
use crate::net::Accepted;
use crate::runtime::{Bug, Seat, Time, either, seeded, yield_now};

/// Connections accepted in a row before the accept loop yields, so that a storm does not starve
/// sessions.
const BUDGET: usize = 64;
/// The pause before a retry of an accept without descriptor or memory when no session has ended:
/// the system announces no descriptor that another process closes.
const RETRY: Duration = Duration::from_millis(250);

/// How long a handshake from before a stop may take; its client is served.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// Accepts until the point's stop latch opens, and then serves all clients that the kernel had
/// accepted by then: a close would reset connected clients. Connections above the session limit
/// wait in the backlog until a session ends. Without a descriptor or memory, connections wait while
/// a session is left to free some.
///
/// Each connection belongs to the listener that the point has when the connection gets its permit.
/// `deliver` starts the session, here or on another lane.
pub async fn accept(point: Rc<AcceptPoint>, deliver: impl Fn(&Rc<ListenerContext>, Admitted)) {
    let listener = &point.listener;
    let first = point.context();
    let (mut seats, mut spares) = (Seats::default(), point.spares.take());
    let lane = first.lane.clone();
    drop(first);
    let mut stopped = pin!(point.stop.pass());
    // Accepted without a permit: to the client the same as the backlog.
    let mut taken = None;
    {
        let mut serving = pin!(serve(&point, &mut seats, &mut spares, &mut taken, &deliver));
        either(stopped.as_mut(), serving.as_mut()).await;
        if !seeded(Bug::BacklogDropped) && listener.turn_away().is_ok() {
            let last = pin!(lane.sleep_until(lane.now() + HANDSHAKE));
            either(last, serving).await;
            point.give_way();
        }
    }
    // All connections from here on came before the stop.
    while !seeded(Bug::BacklogDropped) {
        let context = point.context();
        // The session can wait for a missing socket, as long as a connect may take: a stop does not
        // wait for a client that may be gone.
        drop(spares.fill(&context.service));
        // Before the accept, so as not to miss a session's end in between.
        let alone = context.limit.live() == 0;
        let accept_last = || listener.accept_last().map(|last| point.accepted(last));
        let connection = match taken.take().map_or_else(accept_last, Ok) {
            Ok(connection) => Some(connection),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match listener.seal() {
                true => continue,
                false => break,
            },
            Err(_) if alone || !listener.has_client() => break,
            Err(_) => {
                let accepted = accept_later(&point, &mut seats, &mut spares, true).await;
                accepted.map(|accepted| point.accepted(accepted))
            }
        };
        if let Some(connection) = connection {
            drop(context);
            let permit = point.permit(&mut seats.permit).await;
            admit(&point, connection, permit, &mut spares, &deliver);
        }
    }
    listener.end();
}

/// Accepts for ever. `taken` holds an accepted connection that waits for a permit.
async fn serve(
    point: &AcceptPoint,
    seats: &mut Seats,
    spares: &mut Spares,
    taken: &mut Option<(Accepted, Time)>,
    deliver: &impl Fn(&Rc<ListenerContext>, Admitted),
) -> ! {
    let mut streak = 0;
    loop {
        point.resumed().await;
        if taken.is_none() {
            // No context is held while the loop waits: a context keeps a generation alive.
            let filled = spares.fill(&point.context().service);
            let _kept = seeded(Bug::ContextKept).then(|| point.context());
            let accepted = match filled {
                Ok(()) => point.listener.accept().await,
                Err(error) => Err(error),
            };
            *taken = match accepted {
                Ok(accepted) => Some(accepted),
                Err(_) => accept_later(point, seats, spares, false).await,
            }
            .map(|accepted| point.accepted(accepted));
        }
        point.resumed().await;
        if taken.is_some() {
            let permit = point.permit(&mut seats.permit).await;
            if point.is_paused() {
                drop(permit);
                continue;
            }
            let connection = taken.take().expect("kept above");
            admit(point, connection, permit, spares, deliver);
            streak += 1;
        }
        if streak >= BUDGET {
            streak = 0;
            yield_now().await;
        }
    }
}

/// Delivers a connection to the point's present listener.
fn admit(
    point: &AcceptPoint,
    (connection, accepted): (Accepted, Time),
    permit: Permit,
    spares: &mut Spares,
    deliver: &impl Fn(&Rc<ListenerContext>, Admitted),
) {
    let context = point.context();
    let reserved = spares.reserve(&context, connection.peer());
    let admitted = Admitted {
        connection,
        accepted,
        permit,
        reserved,
    };
    deliver(&context, admitted);
}

/// Where an accept loop waits. Made on first use: with thousands of addresses few loops ever wait,
/// and the time of a seat is in the number of seats.
#[derive(Default)]
struct Seats {
    permit: Option<Seat>,
    descriptor: Option<Seat>,
}

/// Waits for a descriptor or memory and accepts; returns `None` if the client has left. Tries after
/// a session has closed its descriptors, and seldom otherwise. With `stops`, does not try again
/// once no session is left.
async fn accept_later(
    point: &AcceptPoint,
    seats: &mut Seats,
    spares: &mut Spares,
    stops: bool,
) -> Option<Accepted> {
    let listener = &point.listener;
    let first = point.context();
    let (lane, limit) = (first.lane.clone(), Arc::clone(&first.limit));
    drop(first);
    let descriptors = limit.descriptors();
    let seat = seats.descriptor.get_or_insert_with(|| descriptors.seat());
    loop {
        // Registers first and tries then, so as not to miss a descriptor in between.
        let pass_on = || {
            descriptors.wake_one();
        };
        let mut wait = descriptors.wait(seat, pass_on).await;
        let alone = stops && limit.live() == 0;
        let context = point.context();
        let filled = spares.fill(&context.service);
        match filled.and_then(|()| listener.accept_now()) {
            Ok(accepted) => {
                drop(wait);
                // A session with an upstream has closed two descriptors.
                pass_on();
                return Some(accepted);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(wait);
                pass_on();
                return None;
            }
            Err(error) if listener.has_client() => context.report_failure(&error),
            Err(_) => {}
        }
        if alone {
            return None;
        }
        drop(context);
        let (chosen, retry) = (pin!(wait.chosen()), lane.sleep_until(lane.now() + RETRY));
        either(chosen, pin!(retry)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::Duration;

    use super::{AcceptPoint, ListenerContext, accept};
    use crate::net::listener_on;
    use crate::poller::BackEnd;
    use crate::poller::require_io_uring::require_io_uring;
    use crate::proxy::{Service, SessionLimit, SharedListener};
    use crate::runtime::{Lane, LaneOptions};
    use crate::sys;

    /// An accepting lane, turned by hand, and a client that has just connected.
    struct Accepting {
        lane: Lane,
        point: Rc<AcceptPoint>,
        limit: std::sync::Arc<SessionLimit>,
        clients: Vec<TcpStream>,
    }

    impl Accepting {
        fn new(back_end: BackEnd, max_sessions: usize) -> Self {
            let lane = Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
            let listener = listener_on(&lane.handle());
            let address = listener.address().unwrap();
            let limit = SessionLimit::new(max_sessions);
            let shared = SharedListener::of_test(Service::Echo, &limit);
            let context = ListenerContext::new(&shared, &lane.handle(), 0);
            let point = AcceptPoint::new(listener, context);
            let task = accept(Rc::clone(&point), |context, admitted| {
                admitted.start(context);
            });
            lane.handle().spawn(&"accept", task);
            let mut accepting = Self {
                lane,
                point,
                limit,
                clients: Vec::new(),
            };
            accepting.turn();
            let client = TcpStream::connect(address).unwrap();
            let patience = Some(Duration::from_secs(20));
            client.set_read_timeout(patience).unwrap();
            accepting.clients.push(client);
            accepting
        }

        fn turn(&mut self) {
            self.lane.handle().remote().rouse();
            self.lane.turn(sys::now()).unwrap();
        }

        fn stop(&mut self) {
            self.lane.enter(|| self.point.stop());
        }

        /// Turns until all tasks have ended; by then the client has the echo and a FIN.
        fn await_service(mut self) {
            let mut client = self.clients.pop().unwrap();
            client.write_all(b"hello").unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let end = sys::now() + Duration::from_secs(20);
            while self.lane.tasks() > 0 {
                assert!(sys::now() < end, "its tasks do not end");
                self.turn();
            }
            self.turn();
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            assert_eq!(all, b"hello");
        }
    }

    fn on_every_back_end(test: impl Fn(BackEnd)) {
        for &back_end in BackEnd::ALL {
            if require_io_uring(back_end.refusal()) {
                test(back_end);
            }
        }
    }

    /// After any number of turns between the connect and the stop.
    #[test]
    fn a_client_from_before_the_stop_is_served_at_any_turn() {
        on_every_back_end(|back_end| {
            for turns in 0..4 {
                let mut accepting = Accepting::new(back_end, 5);
                (0..turns).for_each(|_| accepting.turn());
                accepting.stop();
                accepting.await_service();
            }
        });
    }

    #[test]
    fn a_client_that_waits_at_the_stop_is_served_if_a_permit_is_free() {
        on_every_back_end(|back_end| {
            let mut accepting = Accepting::new(back_end, 1);
            let only = accepting.limit.try_acquire().unwrap();
            (0..4).for_each(|_| accepting.turn());
            drop(only);
            accepting.stop();
            accepting.await_service();
        });
    }

    /// However a session ends, the permit comes back once the descriptor is closed.
    #[test]
    fn a_permit_returns_with_its_session() {
        on_every_back_end(|back_end| {
            let mut accepting = Accepting::new(back_end, 1);
            (0..4).for_each(|_| accepting.turn());
            assert_eq!(accepting.limit.live(), 1);
            let limit = std::sync::Arc::clone(&accepting.limit);
            accepting.lane.abort_tasks();
            let end = sys::now() + Duration::from_secs(20);
            while limit.live() > 0 {
                assert!(sys::now() < end, "its permit does not return");
                accepting.turn();
            }
        });
    }
}
