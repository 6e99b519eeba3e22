//! A proxy between a client and a listener of the test's own, and what its records say.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::{Server, accept, connect, listener, patient, proxy, read_pattern, runtime};

/// A client's socket with this receive buffer holds little, so what it does not read stays with its
/// sender.
const SMALL_BUFFER: usize = 4096;

/// A running proxy and its upstream.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) upstream: TcpListener,
    pub(crate) address: SocketAddr,
    sessions: usize,
}

/// The `key=value` pairs of a session's line.
#[derive(Debug)]
pub(crate) struct Record(BTreeMap<String, String>);

impl Rig {
    pub(crate) fn new(poller: &str) -> Self {
        Self::with(poller, "", "")
    }

    /// With more lines in the table of the listener, and of the upstream.
    pub(crate) fn with(poller: &str, of_listener: &str, of_upstream: &str) -> Self {
        let (upstream, endpoint) = listener();
        Self::before(poller, &[endpoint], upstream, of_listener, of_upstream)
    }

    /// In front of these endpoints.
    pub(crate) fn before(
        poller: &str,
        endpoints: &[SocketAddr],
        upstream: TcpListener,
        of_listener: &str,
        of_upstream: &str,
    ) -> Self {
        let tables =
            proxy(endpoints).replace("[[upstream]]", &format!("{of_listener}\n[[upstream]]"));
        let log = "[log]\nlevel = \"debug\"\n";
        let config = runtime(poller, 1) + log + &tables + of_upstream + "\n";
        Self::of(&config, upstream)
    }

    /// With more lines in the table of the runtime.
    pub(crate) fn with_runtime(poller: &str, of_runtime: &str) -> Self {
        let (upstream, endpoint) = listener();
        let log = "\n[log]\nlevel = \"debug\"\n";
        let config = runtime(poller, 1) + of_runtime + log + &proxy(&[endpoint]);
        Self::of(&config, upstream)
    }

    fn of(config: &str, upstream: TcpListener) -> Self {
        let server = Server::start(config);
        let address = server.address("proxy");
        Self {
            server,
            upstream,
            address,
            sessions: 0,
        }
    }

    pub(crate) fn client(&mut self) -> TcpStream {
        self.sessions += 1;
        connect(self.address)
    }

    /// One more session, of a client of the test's own.
    pub(crate) fn expect_session(&mut self) {
        self.sessions += 1;
    }

    /// A client that takes little before it reads.
    pub(crate) fn small_client(&mut self) -> TcpStream {
        self.sessions += 1;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let client = TcpStream::from(socket);
        patient(&client);
        client
    }

    /// Both ends of one session.
    pub(crate) fn pair(&mut self) -> (TcpStream, TcpStream) {
        let client = self.client();
        (client, accept(&self.upstream))
    }

    /// Waits for the record of a client's session.
    pub(crate) fn record(&mut self, client: SocketAddr) -> Record {
        let its = format!("client={client} ");
        let is_its = |line: &&String| line.contains(" session listener=") && line.contains(&its);
        let line = self.server.log.iter().find(is_its).cloned();
        let line = line.unwrap_or_else(|| self.server.await_line(&its));
        let pairs = line.split(' ').filter_map(|word| word.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()));
        Record(pairs.collect())
    }

    /// Waits until so many sessions have their record.
    pub(crate) fn await_records(&mut self, count: usize) {
        let is_record = |line: &&String| line.contains(" session listener=");
        let mut there = self.server.log.iter().filter(is_record).count();
        while there < count {
            self.server.await_line(" session listener=");
            there += 1;
        }
    }

    /// Stops the proxy; there was one record for each session, and no panic.
    pub(crate) fn stop(mut self) {
        self.server.signal("TERM");
        assert_eq!(self.server.wait(), Some(0), "{:#?}", self.server.log);
        self.assert_records();
    }

    pub(crate) fn assert_records(&self) {
        self.server.assert_calm();
        let lines = self.server.log.iter();
        let records = lines
            .filter(|line| line.contains(" session listener="))
            .count();
        assert_eq!(records, self.sessions, "{:#?}", self.server.log);
    }
}

impl Record {
    pub(crate) fn assert_ended(&self, word: &str) {
        assert_eq!(self.0["ended"], word, "{self:?}");
    }

    pub(crate) fn ended(&self) -> &str {
        &self.0["ended"]
    }

    pub(crate) fn assert_bytes(&self, from_client: usize, to_client: usize) {
        assert_eq!(self.number("from_client_bytes"), from_client, "{self:?}");
        assert_eq!(self.number("to_client_bytes"), to_client, "{self:?}");
    }

    pub(crate) fn number(&self, key: &str) -> usize {
        self.0[key].parse().unwrap()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

/// Reads to the end: how many bytes of the pattern, and which end.
pub(crate) fn drain(stream: &TcpStream) -> (usize, crate::support::End) {
    read_pattern(stream, 0)
}

/// The kernel's queues of a connection on this machine (`/proc/net/tcp`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queues {
    /// Bytes sent and not acknowledged.
    pub(crate) sent: usize,
    /// Bytes received and not read.
    pub(crate) received: usize,
}

/// The queues of the socket that is bound to `local` and connected to `remote`; `None` when there
/// is none, or it is reset.
pub(crate) fn queues(local: SocketAddr, remote: SocketAddr) -> Option<Queues> {
    let (local, remote) = (hexadecimal(local), hexadecimal(remote));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let its = |words: &Vec<String>| words[1] == local && words[2] == remote;
    let words = table.lines().map(words).find(its)?;
    let (sent, received) = words[4].split_once(':').unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    Some(Queues {
        sent: number(sent),
        received: number(received),
    })
}

/// Whether somebody listens there, as the kernel sees it.
pub(crate) fn listens(address: SocketAddr) -> bool {
    let listening = format!("{} 00000000:0000 0A", hexadecimal(address));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.contains(&listening)
}

fn hexadecimal(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("{address}: the tests connect by IPv4");
    };
    let ip: &Ipv4Addr = address.ip();
    format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(ip.octets()),
        address.port()
    )
}
