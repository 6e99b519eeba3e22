//! A session counts for an endpoint from the choice of the endpoint to the end of the session.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::net::{SocketOptions, listener_on};
use crate::poller::BackEnd;
use crate::proxy::admission::Admission;
use crate::proxy::record::Record;
use crate::proxy::upstream::{Choice, Seeker};
use crate::proxy::{
    AcceptPoint, AdminState, Admitted, Balance, EndpointOptions, KnownUpstreams, ListenerContext,
    Service, SessionLimit, SharedListener, Upstream, UpstreamOptions, accept,
};
use crate::runtime::{Lane, LaneOptions, Time};
use crate::sys;

const PATIENCE: Duration = Duration::from_secs(20);

/// A lane with a proxy to the given endpoints, turned by hand.
struct Proxying {
    lane: Lane,
    listener_context: Rc<ListenerContext>,
    address: SocketAddr,
    upstream: Arc<Upstream>,
}

impl Proxying {
    fn to(endpoints: &[SocketAddr]) -> Self {
        Self::meanwhile(endpoints, |_| {})
    }

    /// Calls `accepted` between the choice of the accept loop and the start of each session.
    fn meanwhile(endpoints: &[SocketAddr], accepted: impl Fn(&Upstream) + 'static) -> Self {
        // Never refused, as io_uring may be.
        let back_end = BackEnd::ALL[BackEnd::ALL.len() - 1];
        let lane = Lane::open(LaneOptions::new(back_end), sys::now()).unwrap();
        let listener = listener_on(&lane.handle());
        let address = listener.address().unwrap();
        let options = UpstreamOptions {
            name: "upstream".to_owned(),
            endpoints: endpoints
                .iter()
                .copied()
                .map(EndpointOptions::plain)
                .collect(),
            balance: Balance::RoundRobin,
            hash_prefix: 64,
            queue: 0,
            queue_timeout: Duration::from_secs(1),
            tries: 3,
            source: Vec::new(),
            socket: SocketOptions::default(),
        };
        let upstream = Upstream::new(options, &mut KnownUpstreams::new(1));
        let service = Service::Proxy(Arc::clone(&upstream));
        let shared = SharedListener::of_test(service, &SessionLimit::new(10));
        let listener_context = ListenerContext::new(&shared, &lane.handle(), 0);
        let point = AcceptPoint::new(listener, Rc::clone(&listener_context));
        let deliver = move |context: &Rc<ListenerContext>, admitted: Admitted| {
            accepted(context.service.upstream().unwrap());
            admitted.start(context);
        };
        let task = accept(point, deliver);
        lane.handle().spawn(&"accept", task);
        Self {
            lane,
            listener_context,
            address,
            upstream,
        }
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    fn live(&self) -> Vec<usize> {
        self.upstream.live_sessions().collect()
    }

    fn ended(&self) -> u64 {
        self.lane.handle().stats().ended.value()
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = sys::now() + PATIENCE;
        while !done(self) {
            assert!(sys::now() < end, "{what}: {:?} are live", self.live());
            self.lane.handle().remote().rouse();
            self.lane.turn(sys::now()).unwrap();
        }
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An endpoint that refuses: the port is bound, and nothing listens.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An endpoint without an answer: its backlog is full.
fn silent() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let (socket, address) = refusing();
    socket.listen(0).unwrap();
    let mut full = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        full.push(client);
        assert!(full.len() < 10, "its backlog does not fill");
    }
    (socket, full, address)
}

#[test]
fn a_session_counts_for_the_endpoint_that_answers_until_its_orderly_end() {
    let ((_refusing, dead), (listener, endpoint)) = (refusing(), listener());
    let mut proxying = Proxying::to(&[dead, endpoint]);
    let mut client = proxying.client();
    proxying.until("the second endpoint has the session", |p| {
        p.live() == [0, 1]
    });
    let (upstream, _) = listener.accept().unwrap();
    upstream.shutdown(Shutdown::Write).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    proxying.until("the session ends", |p| p.ended() == 1);
    assert_eq!(proxying.live(), [0, 0]);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "a FIN");
}

#[test]
fn a_session_without_an_endpoint_that_answers_counts_for_none() {
    let [(_first, first), (_second, second)] = [refusing(), refusing()];
    let mut proxying = Proxying::to(&[first, second]);
    let client = proxying.client();
    proxying.until("the session ends", |p| p.ended() == 1);
    assert_eq!(proxying.live(), [0, 0]);
    drop(client);
}

#[test]
fn the_reset_of_a_client_whose_session_connects_releases_the_lease() {
    let (_silent, _full, endpoint) = silent();
    let mut proxying = Proxying::to(&[endpoint]);
    let client = proxying.client();
    proxying.until("the session connects", |p| p.live() == [1]);
    let now = Some(Duration::ZERO);
    SockRef::from(&client).set_linger(now).unwrap();
    drop(client);
    proxying.until("the session ends", |p| p.ended() == 1);
    assert_eq!(proxying.live(), [0]);
}

#[test]
fn a_session_that_connects_when_maintenance_begins_ends_once_connected() {
    let (silent, _full, endpoint) = silent();
    let mut proxying = Proxying::to(&[endpoint]);
    let mut client = proxying.client();
    proxying.until("the session connects", |p| p.live() == [1]);
    let maintenance = AdminState::Maintenance;
    let changed = proxying
        .upstream
        .set_endpoint(endpoint, Some(maintenance), None, sys::now());
    assert_eq!(changed.unwrap().sessions, 1);
    // Room for the connect of the session.
    let _accepted = silent.accept().unwrap();
    proxying.until("the session ends", |p| p.ended() == 1);
    assert_eq!(proxying.live(), [0]);
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// The reserved socket does not fit the endpoint of the other family.
#[test]
fn an_endpoint_drained_between_accept_and_start_is_passed_over() {
    let (_drained, drained) = listener();
    let other = TcpListener::bind("[::1]:0").unwrap_or_else(|_| listener().0);
    let endpoints = [drained, other.local_addr().unwrap()];
    let mut proxying = Proxying::meanwhile(&endpoints, move |upstream| {
        let changed = upstream.set_endpoint(drained, Some(AdminState::Drain), None, sys::now());
        assert!(changed.is_some());
    });
    let _client = proxying.client();
    let established = |p: &Proxying| p.lane.handle().stats().spawned.value() == 3;
    proxying.until("the session relays", established);
    assert_eq!(proxying.live(), [0, 1]);
    other.accept().unwrap();
}

#[test]
fn an_abort_of_the_lane_releases_all_leases() {
    let ((_silent, _full, silent), (_listener, endpoint)) = (silent(), listener());
    let mut proxying = Proxying::to(&[silent, endpoint]);
    let _clients = [proxying.client(), proxying.client()];
    let established = |p: &Proxying| p.lane.handle().stats().spawned.value() == 4;
    proxying.until("one session connects, the other relays", established);
    assert_eq!(proxying.live(), [1, 1]);
    proxying.lane.abort_tasks();
    assert_eq!(proxying.live(), [0, 0]);
}

#[test]
fn a_panic_in_a_session_releases_its_lease() {
    let (_listener, endpoint) = listener();
    let mut proxying = Proxying::to(&[endpoint]);
    let context = &proxying.listener_context;
    let permit = context.limit.try_acquire().unwrap();
    let admission = Admission::new(Rc::clone(context), permit);
    let record = Record::new(admission, endpoint.into(), Time::ZERO);
    let seeker = Seeker {
        lane: &context.lane,
        client: endpoint.into(),
        tried: &[],
        is_called: false,
    };
    let Choice::Claimed(claim) = proxying.upstream.choose(&seeker) else {
        panic!("an endpoint is usable");
    };
    let lane = proxying.lane.handle();
    record.lease.take(&proxying.upstream, claim, &lane);
    assert_eq!(proxying.live(), [1]);
    proxying.lane.handle().spawn(&"session", async move {
        let _held = record;
        panic!("a defect in a session");
    });
    proxying.until("the session ends", |p| p.ended() == 1);
    assert_eq!(proxying.live(), [0]);
    let limit = Arc::clone(&proxying.listener_context.limit);
    proxying.until("its permit comes back", |_| limit.live() == 0);
}
