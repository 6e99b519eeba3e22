//! An upstream's endpoints: their turns, and the log of failing endpoints. Promises of the process
//! hold for any number of lanes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::{
    End, Server, connect, dead_address, listener, now, on_both, patient, ping, proxy, read_pattern,
    runtime, until,
};

/// Endpoints behind a proxy of several lanes; each connection is kept.
struct Upstreams {
    server: Server,
    listeners: Vec<TcpListener>,
    open: Vec<(TcpStream, TcpStream)>,
}

impl Upstreams {
    /// The endpoints with an index in `dead` refuse.
    fn new(poller: &str, lanes: usize, count: usize, dead: &[usize]) -> Self {
        let all: Vec<Dormant> = (0..count).map(|_| Dormant::new()).collect();
        let endpoints: Vec<SocketAddr> = all.iter().map(|one| one.address).collect();
        let server = Server::start(&(runtime(poller, lanes) + &proxy(&endpoints)));
        // The living endpoints listen from now on; the dead endpoints' ports stay bound.
        let mut listeners = Vec::new();
        for (index, endpoint) in all.into_iter().enumerate() {
            let listener = endpoint.into_listener(!dead.contains(&index));
            listener.set_nonblocking(true).unwrap();
            listeners.push(listener);
        }
        Self {
            server,
            listeners,
            open: Vec::new(),
        }
    }

    /// Connects once more; returns the index of the endpoint.
    fn next(&mut self) -> usize {
        let client = connect(self.server.address("proxy"));
        let (index, upstream) = self.accept();
        self.open.push((client, upstream));
        index
    }

    /// Opens this many connections at once, and checks that each reaches an endpoint.
    fn together(&mut self, count: usize) {
        let address = self.server.address("proxy");
        let clients: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect();
        for client in clients {
            let (_, upstream) = self.accept();
            self.open.push((client, upstream));
        }
    }

    fn accept(&self) -> (usize, TcpStream) {
        let mut came = None;
        until("it comes to an endpoint", || {
            let taken = |(index, of): (usize, &TcpListener)| Some((index, of.accept().ok()?.0));
            came = self.listeners.iter().enumerate().find_map(taken);
            came.is_some()
        });
        came.unwrap()
    }
}

/// A bound port that refuses until it listens.
struct Dormant {
    socket: Socket,
    address: SocketAddr,
}

impl Dormant {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { socket, address }
    }

    fn into_listener(self, listens: bool) -> TcpListener {
        if listens {
            self.socket.listen(128).unwrap();
        }
        self.socket.into()
    }
}

/// Each lane took its own turns, so a few lasting connections met at one endpoint.
/// (envoyproxy/envoy#2593.)
#[test]
fn all_lanes_take_turns_together() {
    on_both(|poller| {
        for lanes in [1, 8] {
            let mut upstreams = Upstreams::new(poller, lanes, 3, &[]);
            let indices: Vec<usize> = (0..12).map(|_| upstreams.next()).collect();
            assert_eq!(indices, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
            drop(upstreams.open);
            upstreams.server.stop();
        }
    });
}

/// A dead endpoint's share went to its successor, which had twice the load. (npgsql/npgsql#4181,
/// ContentSquare/chproxy#82.)
#[test]
fn a_dead_endpoint_s_share_is_spread_over_all_others() {
    on_both(|poller| {
        for (dead, each) in [(&[1][..], 4), (&[0, 2], 6), (&[1, 2], 6), (&[0, 1], 6)] {
            let mut upstreams = Upstreams::new(poller, 2, 4, dead);
            let mut shares = [0; 4];
            (0..12).for_each(|_| shares[upstreams.next()] += 1);
            let expected = [0, 1, 2, 3].map(|at| if dead.contains(&at) { 0 } else { each });
            assert_eq!(shares, expected);
            drop(upstreams.open);
            upstreams.server.stop();
        }
    });
}

/// After a refusal the next endpoint is tried.
#[test]
fn an_endpoint_that_refuses_is_passed_over() {
    on_both(|poller| {
        let behind = Server::echo(poller, 1);
        let endpoints = [dead_address(), dead_address(), behind.address("echo")];
        let front = Server::start(&(runtime(poller, 1) + &proxy(&endpoints)));
        for _ in 0..6 {
            ping(&connect(front.address("proxy")));
        }
        front.stop();
        behind.stop();
    });
}

/// Every lane logged once a second. (scylladb/seastar#167.) The number in each line counts the
/// endpoint's failures.
#[test]
fn a_dead_endpoint_has_a_line_a_second_whatever_the_lanes() {
    on_both(|poller| {
        const CLIENTS: usize = 60;
        let dead = [Dormant::new(), Dormant::new()];
        let endpoints = dead.each_ref().map(|one| one.address);
        let config = runtime(poller, 16) + &proxy(&endpoints);
        let begun = now();
        let mut server = Server::start(&config);
        let address = server.address("proxy");
        let clients = (0..CLIENTS).map(|_| TcpStream::connect(address));
        for client in clients.filter_map(Result::ok) {
            patient(&client);
            assert_eq!(read_pattern(&client, 0), (0, End::Reset));
        }
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let most = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        for endpoint in endpoints {
            let its = format!("endpoint={endpoint} cause=connect_refused ");
            let lines = server.log.iter().filter(|line| line.contains(&its));
            let lines: Vec<&String> = lines
                .filter(|line| line.contains("cannot connect"))
                .collect();
            assert!((1..=most).contains(&lines.len()), "{:#?}", server.log);
            let times = |line: &&String| {
                let times = line.split(' ').find_map(|word| word.strip_prefix("times="));
                times.unwrap().parse::<usize>().unwrap()
            };
            let told: usize = lines.iter().map(times).sum();
            assert!(told <= CLIENTS, "more than its own: {:#?}", server.log);
        }
    });
}

/// No line reported an endpoint's recovery.
#[test]
fn an_endpoint_that_answers_again_is_named_once() {
    on_both(|poller| {
        let (first, second) = (listener(), Dormant::new());
        let endpoint = second.address;
        let server = Server::start(&(runtime(poller, 4) + &proxy(&[first.1, endpoint])));
        first.0.set_nonblocking(true).unwrap();
        let mut upstreams = Upstreams {
            server,
            listeners: vec![first.0],
            open: Vec::new(),
        };
        // One session of two tries the second endpoint first, and the first endpoint serves both.
        // No connect is pending when the second listener opens, nor when both clients leave.
        upstreams.together(4);
        let line = upstreams.server.await_line("cannot connect");
        assert!(line.contains(&format!("endpoint={endpoint} ")), "{line}");
        let second = second.into_listener(true);
        second.set_nonblocking(true).unwrap();
        upstreams.listeners.push(second);
        upstreams.together(4);
        let line = upstreams.server.await_line("answers again");
        assert!(line.contains(&format!("endpoint={endpoint} ")), "{line}");
        for word in ["upstream=\"up\"", "away_for=", "failures="] {
            assert!(line.contains(word), "{line}");
        }
        upstreams.together(8);
        let Upstreams {
            mut server,
            listeners,
            open,
        } = upstreams;
        drop((open, listeners));
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{:#?}", server.log);
        let again = |line: &&String| line.contains("answers again");
        assert_eq!(
            server.log.iter().filter(again).count(),
            1,
            "{:#?}",
            server.log
        );
    });
}
