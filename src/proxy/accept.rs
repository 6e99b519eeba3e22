//! Accepting: takes connections off a listener's backlog and delivers each with a permit.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::admitted::Admitted;
use super::limit::SessionLimit;
use super::listener_context::ListenerContext;
use super::spare::Spares;
use crate::net::{Accepted, Listener};
use crate::runtime::{Seat, either, yield_now};

/// Connections accepted in a row before the accept loop yields, so that a storm does not starve
/// sessions.
const BUDGET: usize = 64;
/// The pause before a retry of an accept without descriptor or memory when no session has ended:
/// the system announces no descriptor that another process closes.
const RETRY: Duration = Duration::from_millis(250);

/// How long a handshake from before a stop may take; its client is served.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// Accepts until the listener's stop latch opens, and then serves all clients that the kernel had
/// accepted by then: a close would reset connected clients. Connections above the session limit
/// wait in the backlog until a session ends. Without a descriptor or memory, connections wait while
/// a session is left to free some.
///
/// `spares` has sockets for the first session. `deliver` starts the session, here or on another
/// lane.
pub async fn accept(
    listener: Listener,
    listener_context: Rc<ListenerContext>,
    mut spares: Spares,
    deliver: impl Fn(Admitted),
) {
    let lane = &listener_context.lane;
    let mut seats = Seats::of(&listener_context.limit);
    let mut stopped = pin!(listener_context.stop.pass());
    // Accepted without a permit: to the client the same as the backlog.
    let mut taken = None;
    {
        let mut serving = pin!(serve(
            &listener,
            &listener_context,
            &mut seats,
            &mut spares,
            &mut taken,
            &deliver
        ));
        either(stopped.as_mut(), serving.as_mut()).await;
        if listener.turn_away().is_ok() {
            let last = pin!(lane.sleep_until(lane.now() + HANDSHAKE));
            either(last, serving).await;
        }
    }
    // All connections from here on came before the stop.
    loop {
        // The session can wait for a missing socket, as long as a connect may take: a stop does not
        // wait for a client that may be gone.
        drop(spares.fill(&listener_context.service));
        // Before the accept, so as not to miss a session's end in between.
        let alone = listener_context.limit.live() == 0;
        let connection = match taken.take().map_or_else(|| listener.accept_now(), Ok) {
            Ok(connection) => Some(connection),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match listener.seal() {
                true => continue,
                false => break,
            },
            Err(_) if alone || !listener.has_client() => break,
            Err(_) => {
                accept_later(&listener, &listener_context, &mut seats, &mut spares, true).await
            }
        };
        if let Some(connection) = connection {
            let permit = listener_context.permit(&seats.permit).await;
            let reserved = spares.reserve(&listener_context.service);
            deliver(Admitted {
                connection,
                permit,
                reserved,
            });
        }
    }
    listener.close();
}

/// Accepts for ever. `taken` holds an accepted connection that waits for a permit.
async fn serve(
    listener: &Listener,
    listener_context: &Rc<ListenerContext>,
    seats: &mut Seats,
    spares: &mut Spares,
    taken: &mut Option<Accepted>,
    deliver: &impl Fn(Admitted),
) -> ! {
    let mut streak = 0;
    loop {
        if taken.is_none() {
            let accepted = match spares.fill(&listener_context.service) {
                Ok(()) => listener.accept().await,
                Err(error) => Err(error),
            };
            *taken = match accepted {
                Ok(accepted) => Some(accepted),
                Err(_) => accept_later(listener, listener_context, seats, spares, false).await,
            };
        }
        if taken.is_some() {
            let permit = listener_context.permit(&seats.permit).await;
            let reserved = spares.reserve(&listener_context.service);
            deliver(Admitted {
                connection: taken.take().expect("kept above"),
                permit,
                reserved,
            });
            streak += 1;
        }
        if streak >= BUDGET {
            streak = 0;
            yield_now().await;
        }
    }
}

/// Where an accept loop waits.
struct Seats {
    permit: Arc<Seat>,
    /// Made on first use.
    descriptor: Option<Arc<Seat>>,
}

impl Seats {
    fn of(limit: &SessionLimit) -> Self {
        Self {
            permit: limit.seat(),
            descriptor: None,
        }
    }
}

/// Waits for a descriptor or memory and accepts; returns `None` if the client has left. Tries after
/// a session has closed its descriptors, and seldom otherwise. With `stops`, does not try again
/// once no session is left.
async fn accept_later(
    listener: &Listener,
    listener_context: &ListenerContext,
    seats: &mut Seats,
    spares: &mut Spares,
    stops: bool,
) -> Option<Accepted> {
    let (lane, descriptors) = (&listener_context.lane, listener_context.limit.descriptors());
    let seat = seats.descriptor.get_or_insert_with(|| descriptors.seat());
    loop {
        // Registers first and tries then, so as not to miss a descriptor in between.
        let pass_on = || {
            descriptors.wake_one();
        };
        let mut wait = descriptors.wait(seat, pass_on).await;
        let alone = stops && listener_context.limit.live() == 0;
        let filled = spares.fill(&listener_context.service);
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
            Err(error) if listener.has_client() => listener_context.report_failure(&error),
            Err(_) => {}
        }
        if alone {
            return None;
        }
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

    use super::{ListenerContext, accept};
    use crate::net::listener_on;
    use crate::poller::BackEnd;
    use crate::poller::require_io_uring::require_io_uring;
    use crate::proxy::{ListenerId, Service, SessionLimit, Timeouts};
    use crate::runtime::{Lane, LaneOptions, Latch};
    use crate::sys;

    /// An accepting lane, turned by hand, and a client that has just connected.
    struct Accepting {
        lane: Lane,
        context: Rc<ListenerContext>,
        limit: std::sync::Arc<SessionLimit>,
        clients: Vec<TcpStream>,
    }

    impl Accepting {
        fn new(back_end: BackEnd, max_sessions: usize) -> Self {
            let lane = Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
            let listener = listener_on(&lane.handle());
            let address = listener.address().unwrap();
            let limit = SessionLimit::new(max_sessions);
            let context = Rc::new(ListenerContext {
                id: ListenerId::default(),
                name: "echo".into(),
                lane: lane.handle(),
                lane_index: 0,
                service: Service::Echo,
                limit: std::sync::Arc::clone(&limit),
                ids: std::sync::Arc::default(),
                timeouts: Timeouts::LONG,
                failures: std::sync::Arc::default(),
                stop: Latch::default(),
            });
            let own = Rc::clone(&context);
            let task = accept(
                listener,
                Rc::clone(&context),
                super::Spares::default(),
                move |admitted| admitted.start(&own),
            );
            lane.handle().spawn(&"accept", task);
            let mut accepting = Self {
                lane,
                context,
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
            self.lane.enter(|| self.context.stop.open());
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
