//! A lane accepts for three lanes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::net::listener_on;
use crate::poller::BackEnd;
use crate::proxy::{
    AcceptPoint, Delivery, Handed, Handoff, ListenerContext, Service, SessionLimit, SharedListener,
    accept,
};
use crate::runtime::{Lane, LaneOptions, Mailbox};
use crate::sys;

const SESSIONS: usize = 6;

/// Lanes turned by hand; the first lane accepts for all.
struct Lanes {
    lanes: Vec<Lane>,
    /// Where the first lane accepts.
    point: Rc<AcceptPoint>,
    contexts: Vec<Rc<ListenerContext>>,
    mailboxes: Vec<Mailbox<Handed>>,
    handoff: Arc<Handoff>,
    clients: Vec<TcpStream>,
}

impl Lanes {
    fn open() -> Self {
        // Never refused, as io_uring may be.
        let back_end = BackEnd::ALL[BackEnd::ALL.len() - 1];
        let lane = |_| Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
        let lanes: Vec<Lane> = (0..3).map(lane).collect();
        let (senders, mailboxes) = lanes.iter().map(|lane| lane.handle().mailbox()).unzip();
        let handoff = Handoff::over(senders);
        handoff.expect(1);
        let limit = SessionLimit::new(SESSIONS);
        let listener = listener_on(&lanes[0].handle());
        let clients =
            (0..SESSIONS).map(|_| TcpStream::connect(listener.address().unwrap()).unwrap());
        let clients = clients.collect();
        let shared = SharedListener::of_test(Service::Echo, &limit);
        let context =
            |(index, lane): (usize, &Lane)| ListenerContext::new(&shared, &lane.handle(), index);
        let contexts: Vec<_> = lanes.iter().enumerate().map(context).collect();
        let point = AcceptPoint::new(listener, Rc::clone(&contexts[0]));
        let delivery = Delivery::new(Arc::clone(&handoff), false);
        let deliver = move |context: &Rc<ListenerContext>, admitted| {
            delivery.deliver(context, admitted);
        };
        let task = accept(Rc::clone(&point), deliver);
        lanes[0].handle().spawn(&"accept", task);
        Self {
            lanes,
            point,
            contexts,
            mailboxes,
            handoff,
            clients,
        }
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = sys::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(sys::now() < end, "{what}");
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                while let Some(handed) = self.mailboxes[index].receive() {
                    lane.enter(|| handed.start(&self.contexts[index]));
                }
                lane.handle().remote().rouse();
                lane.turn(sys::now()).unwrap();
            }
        }
    }
}

#[test]
fn the_lane_with_the_fewest_sessions_gets_the_next() {
    let mut lanes = Lanes::open();
    lanes.until("two sessions on each lane, and the accept loop", |lanes| {
        let tasks: Vec<usize> = lanes.lanes.iter().map(Lane::tasks).collect();
        tasks == [3, 2, 2]
    });
    // The lanes took turns: both sessions run on the second lane.
    let mut clients = std::mem::take(&mut lanes.clients);
    for client in [clients.remove(4), clients.remove(1)] {
        client.shutdown(std::net::Shutdown::Write).unwrap();
    }
    lanes.until("the second lane has none", |lanes| {
        lanes.lanes[1].tasks() == 0
    });
    assert!(!lanes.handoff.is_over());
    lanes.lanes[0].enter(|| lanes.point.stop());
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
