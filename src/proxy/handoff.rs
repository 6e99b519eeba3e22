//! Which lane gets a connection. Where the system gives a port to one socket only, one lane accepts
//! for all and the lane with the fewest sessions gets the next. Elsewhere the kernel chooses by a
//! hash, which may give eight lasting connections to one lane of two: a lane that has more sessions
//! than another hands a connection over, as often as that costs next to nothing.
//!
//! The accepting lane hands a connection over as a message. A lane that stops waits until nobody
//! hands over any more, so that none is lost.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::Duration;

use super::accept::ListenerContext;
use super::limit::Permit;
use super::session::start;
use super::spare::Reserved;
use crate::net::Accepted;
use crate::runtime::{Handle, Remote, Time};

/// Connections that a lane may compare and hand over in a row, and the time that earns one more. To
/// look at all lanes costs some 100 ns each, a message 2 to 4 us: within 1 % of a lane. At higher
/// rates the hash is even enough.
const BURST: u32 = 64;
const EARNED_EVERY: Duration = Duration::from_millis(1);

/// All lanes, as the accepting one sees them.
#[derive(Debug)]
pub struct Handoff {
    lanes: Vec<Place>,
    /// Accept loops that have not ended.
    accepting: AtomicUsize,
    /// The kernel spreads them over the lanes as well.
    kernel_balances: bool,
}

/// How many more connections one accept loop may compare with other lanes.
#[derive(Debug, Default)]
pub struct Allowance {
    used: Cell<u32>,
    since: Cell<Time>,
}

impl Allowance {
    fn take(&self, now: Time) -> bool {
        let earned = now.since(self.since.get()).as_millis() / EARNED_EVERY.as_millis();
        let mut used = self.used.get();
        if earned > 0 {
            self.since.set(now);
            used = used.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        }
        let may = used < BURST;
        self.used.set(used + u32::from(may));
        may
    }
}

#[derive(Debug)]
struct Place {
    remote: Remote,
    /// Connections handed over that have not arrived.
    in_transit: AtomicUsize,
}

/// A lane's own listener contexts, by their listeners' place in the configuration: what it does
/// with the connections that it is handed.
#[derive(Debug)]
pub struct Services(pub Vec<Rc<ListenerContext>>);

impl Handoff {
    /// Over these lanes, until that many accept loops have ended. `kernel_balances` says that the
    /// kernel gives each lane a share.
    #[must_use]
    pub fn over(lanes: Vec<Remote>, accepting: usize, kernel_balances: bool) -> Arc<Self> {
        let place = |remote| Place {
            remote,
            in_transit: AtomicUsize::new(0),
        };
        Arc::new(Self {
            lanes: lanes.into_iter().map(place).collect(),
            accepting: AtomicUsize::new(accepting),
            kernel_balances,
        })
    }

    /// Whether nobody hands over any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.accepting.load(Acquire) == 0
    }

    /// How many connections handed to a lane have not arrived there.
    #[must_use]
    pub fn in_transit(&self, lane: usize) -> usize {
        self.lanes[lane].in_transit.load(Acquire)
    }

    /// The lane that a connection which lane `own` has accepted is to be handed to; `None` if it
    /// stays.
    pub(super) fn lane_for(&self, own: usize, allowance: &Allowance, now: Time) -> Option<usize> {
        if self.kernel_balances && !allowance.take(now) {
            return None;
        }
        let sessions = |&lane: &usize| self.lanes[lane].sessions();
        let fewest = (0..self.lanes.len()).min_by_key(sessions)?;
        let is_better = sessions(&fewest) < sessions(&own);
        (is_better || !self.kernel_balances).then_some(fewest)
    }

    /// Hands a connection to a lane.
    pub(super) fn hand(
        self: &Arc<Self>,
        to: usize,
        place: usize,
        connection: Accepted,
        permit: Permit,
        reserved: Option<Reserved>,
    ) {
        self.lanes[to].in_transit.fetch_add(1, AcqRel);
        let handoff = Arc::clone(self);
        self.lanes[to].remote.call(move |lane| {
            let services = lane
                .kept::<Services>()
                .expect("a lane keeps them from its start");
            start(
                connection.attach(lane),
                permit,
                &services.0[place],
                reserved,
            );
            // Afterwards: until then it is counted twice rather than not at all.
            handoff.lanes[to].in_transit.fetch_sub(1, AcqRel);
        });
    }

    /// An accept loop has ended.
    pub(super) fn end(&self) {
        self.accepting.fetch_sub(1, AcqRel);
        for lane in &self.lanes {
            lane.remote.call(|_| {});
        }
    }
}

impl Place {
    /// Sessions of the lane, those on their way to it included.
    fn sessions(&self) -> u64 {
        let in_transit = self.in_transit.load(Acquire) as u64;
        in_transit + self.remote.stats().sessions()
    }
}

/// Keeps the lane's listener contexts for what it is handed.
pub fn keep(lane: &Handle, services: Services) {
    lane.keep(Rc::new(services));
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use super::{Allowance, Handoff, Services, keep};
    use crate::net::{Listener, SocketOptions};
    use crate::poller::BackEnd;
    use crate::proxy::{ListenerContext, Service, SessionLimit, Spares, Timeouts, accept};
    use crate::runtime::{Lane, LaneOptions, Latch};
    use crate::sys;

    const SESSIONS: usize = 6;

    /// Lanes, of which the first accepts for all, turned by hand.
    struct Lanes {
        lanes: Vec<Lane>,
        stop: Rc<Latch>,
        handoff: Arc<Handoff>,
        clients: Vec<TcpStream>,
    }

    impl Lanes {
        fn open() -> Self {
            // One that is never refused.
            let back_end = BackEnd::ALL[BackEnd::ALL.len() - 1];
            let lane = |_| Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
            let lanes: Vec<Lane> = (0..3).map(lane).collect();
            let remotes = lanes.iter().map(|lane| lane.handle().remote().clone());
            let handoff = Handoff::over(remotes.collect(), 1, false);
            let (stop, limit) = (Rc::new(Latch::default()), SessionLimit::new(SESSIONS));
            let (any, options) = ("127.0.0.1:0".parse().unwrap(), SocketOptions::default());
            let listener = Listener::bind(any, &options).unwrap();
            Listener::listen(&listener, 64).unwrap();
            let listener = Listener::attach(&lanes[0].handle(), listener).unwrap();
            let clients = (0..SESSIONS).map(|_| TcpStream::connect(listener.address()).unwrap());
            let clients = clients.collect();
            for (index, lane) in lanes.iter().enumerate() {
                let listener_context = Rc::new(ListenerContext {
                    name: "echo".into(),
                    lane: lane.handle(),
                    lane_index: index,
                    service: Service::Echo,
                    limit: Arc::clone(&limit),
                    timeouts: Timeouts::LONG,
                    failures: Arc::default(),
                    stop: Rc::clone(&stop),
                    place: 0,
                    allowance: Allowance::default(),
                    handoff: Arc::new(OnceLock::from(Arc::clone(&handoff))),
                });
                keep(&lane.handle(), Services(vec![listener_context]));
            }
            let services = lanes[0].handle().kept::<Services>().unwrap();
            let task = accept(listener, Rc::clone(&services.0[0]), Spares::default());
            lanes[0].handle().spawn(&"accept", task);
            Self {
                lanes,
                stop,
                handoff,
                clients,
            }
        }

        fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
            let end = sys::now() + Duration::from_secs(20);
            while !done(self) {
                assert!(sys::now() < end, "{what}");
                for lane in &mut self.lanes {
                    lane.handle().remote().call(|_| {});
                    lane.turn(sys::now()).unwrap();
                }
            }
        }
    }

    #[test]
    fn the_lane_with_the_fewest_sessions_gets_the_next() {
        let mut lanes = Lanes::open();
        lanes.until("two sessions on each lane, and who accepts", |lanes| {
            let tasks: Vec<usize> = lanes.lanes.iter().map(Lane::tasks).collect();
            tasks == [3, 2, 2]
        });
        // The lanes took turns: these two are of one lane.
        let mut clients = std::mem::take(&mut lanes.clients);
        for client in [clients.remove(4), clients.remove(1)] {
            client.shutdown(std::net::Shutdown::Write).unwrap();
        }
        lanes.until("the second lane has none", |lanes| {
            lanes.lanes[1].tasks() == 0
        });
        assert!(!lanes.handoff.is_over());
        lanes.lanes[0].enter(|| lanes.stop.open());
        lanes.until("the accept loop ends", |lanes| lanes.handoff.is_over());
        for mut client in clients {
            client.write_all(b"hello").unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let session = |lanes: &Lanes| lanes.lanes.iter().map(Lane::tasks).sum::<usize>();
            let before = session(&lanes);
            lanes.until("a session ends", |lanes| session(lanes) < before);
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            assert_eq!(all, b"hello");
        }
    }
}
