//! One lane accepts for three.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::net::{Listener, SocketOptions};
use crate::poller::BackEnd;
use crate::proxy::{
    Allowance, Handoff, ListenerContext, Service, Services, SessionLimit, Spares, Timeouts, accept,
    keep,
};
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
