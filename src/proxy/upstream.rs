//! Upstreams: a named set of endpoints, and connecting to one of them.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::deadline::Timeouts;
use super::end_reason::EndReason;
use super::endpoint::Endpoint;
use crate::net::{self, SocketOptions, Stream, Unconnected};
use crate::runtime::{LogInterval, Time, either, timeout};

/// What an upstream is made of.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// What it is called in the configuration.
    pub name: String,
    /// Where it can be reached; at least one.
    pub endpoints: Vec<SocketAddr>,
    /// How many endpoints are tried for one session, at most.
    pub tries: usize,
    /// Addresses to connect from, in turn; none: the system chooses.
    pub source: Vec<IpAddr>,
    /// Options of its sockets.
    pub socket: SocketOptions,
}

/// How long a connect by fast open waits for the client's first bytes. A client that speaks first
/// sends them right behind the last segment of its handshake, so that they are late by what delays
/// one segment more than another; one that waits for a greeting waits so much longer for it.
const FIRST_BYTES: Duration = Duration::from_millis(5);
/// How often a try for which this machine lacked a descriptor or memory is made again. Seldom: the
/// first try has its socket before its client is accepted.
const RETRY: Duration = Duration::from_millis(20);

/// A client's session while it has no upstream.
pub(super) struct Opening<'a> {
    pub(super) client: &'a Stream,
    /// A socket for the first try.
    pub(super) spare: Cell<Option<Unconnected>>,
    /// The client's first bytes are on their way to an endpoint that may have accepted them: what
    /// becomes of the client meanwhile is looked at when that is known.
    pub(super) hands_over: Cell<bool>,
    /// How many bytes of the client the endpoint that answered has got.
    pub(super) sent: Cell<usize>,
}

/// The endpoints that a listener relays to. One for all lanes, so that they take turns together.
#[derive(Debug)]
pub struct Upstream {
    options: UpstreamOptions,
    endpoints: Vec<Endpoint>,
    families: [Option<SocketAddr>; 2],
    /// Of the endpoints.
    turns: Turns,
    /// Of the source addresses, for each endpoint: a turn over all would meet that of the
    /// endpoints, and give each endpoint the same sources again and again.
    source_turns: Vec<Turns>,
    /// Connects that failed for what this machine lacks.
    local_failures: LogInterval,
}

/// Counts turns, for all lanes. In a cache line of its own (two, since processors fetch two at
/// once): every new session writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Turns(AtomicUsize);

impl Turns {
    /// Takes the next turn among so many.
    fn take(&self, among: usize) -> usize {
        self.0.fetch_add(1, Relaxed) % among
    }
}

impl Upstream {
    /// An upstream whose first turn is its first endpoint's.
    ///
    /// # Panics
    /// When there is no endpoint.
    #[must_use]
    pub fn new(options: UpstreamOptions) -> Arc<Self> {
        assert!(
            !options.endpoints.is_empty(),
            "the configuration sees to it"
        );
        let endpoints = options.endpoints.iter();
        let of_family = |is_v6| endpoints.clone().copied().find(|at| at.is_ipv6() == is_v6);
        Arc::new(Self {
            families: [of_family(false), of_family(true)],
            endpoints: endpoints.clone().map(|&at| Endpoint::new(at)).collect(),
            turns: Turns::default(),
            source_turns: endpoints.map(|_| Turns::default()).collect(),
            options,
            local_failures: LogInterval::default(),
        })
    }

    /// The endpoint of that index.
    pub(super) fn endpoint(&self, index: usize) -> SocketAddr {
        self.endpoints[index].address
    }

    /// Connects to the endpoint `first`, and if it does not answer to the one of the next turn,
    /// within the tries and the time that there are; says which has answered. Nothing has been sent
    /// by then that is not sent again, and nothing is but by fast open.
    ///
    /// If this machine lacks a descriptor or memory the client waits for it, and no endpoint is
    /// blamed: the socket of a try before has gone back, so that one comes free soon.
    pub(super) async fn connect(
        &self,
        opening: &Opening<'_>,
        first: usize,
        timeouts: &Timeouts,
        tries: &Cell<u8>,
    ) -> Result<(Stream, usize), EndReason> {
        let lane = opening.client.lane();
        let end = lane.now() + timeouts.connect_total;
        if self.options.socket.fast_open {
            let limit = lane.sleep_until(lane.now() + FIRST_BYTES);
            // Without any it is a connect as others are.
            either(pin!(opening.client.arrived()), limit).await;
        }
        let most = self.options.tries.min(self.endpoints.len());
        let mut cause = EndReason::ConnectTimeout;
        let (mut index, mut tried) = (first, Vec::new());
        while lane.now() < end {
            tries.set(u8::try_from(tried.len() + 1).unwrap_or(u8::MAX));
            let limit = lane.sleep_until(end.min(lane.now() + timeouts.connect));
            let dialled = timeout(limit, pin!(self.dial(opening, index))).await;
            opening.hands_over.set(false);
            let error = match dialled {
                Ok(Ok(stream)) => {
                    self.endpoints[index].answered(&self.options.name, lane.now());
                    return Ok((stream, index));
                }
                Ok(Err(error)) => error,
                Err(elapsed) => io::Error::new(io::ErrorKind::TimedOut, elapsed),
            };
            cause = cause_of(&error);
            self.report(index, &error, cause, lane.now());
            if cause == EndReason::LocalResources && !net::is_out_of_ports(&error) {
                // Another endpoint needs a descriptor, too.
                lane.sleep_until(end.min(lane.now() + RETRY)).await;
                continue;
            }
            tried.push(index);
            if tried.len() == most {
                break;
            }
            index = self.next_untried(&tried);
        }
        Err(cause)
    }

    /// The endpoint whose turn it is.
    pub(super) fn take_turn(&self) -> usize {
        self.turns.take(self.endpoints.len())
    }

    /// Per family, an endpoint of that family.
    pub(super) fn families(&self) -> [Option<SocketAddr>; 2] {
        self.families
    }

    /// The place of an address's family there.
    pub(super) fn family_of(address: SocketAddr) -> usize {
        usize::from(address.is_ipv6())
    }

    /// A socket with this upstream's options, for an endpoint of that family.
    ///
    /// # Errors
    /// See [`Unconnected::open`].
    pub(super) fn socket_for(&self, endpoint: SocketAddr) -> io::Result<Unconnected> {
        Unconnected::open(endpoint, &self.options.socket)
    }

    /// The endpoint of the next turn that this session has not tried. A turn for each try: what a
    /// dead endpoint cannot take is spread over all others, and not the next one's alone.
    fn next_untried(&self, tried: &[usize]) -> usize {
        let count = self.endpoints.len();
        let mut turns = (0..count).map(|_| self.turns.take(count));
        let untried = |index: &usize| !tried.contains(index);
        // Other lanes may have had the turns of all that are left.
        let next = turns.find(untried).or_else(|| (0..count).find(untried));
        next.expect("one is left to try")
    }

    /// Connects to one endpoint, from the next source address that has a port left.
    async fn dial(&self, opening: &Opening<'_>, index: usize) -> io::Result<Stream> {
        let endpoint = self.endpoint(index);
        let sources = &self.options.source;
        let fitting = || {
            sources
                .iter()
                .filter(|source| source.is_ipv4() == endpoint.is_ipv4())
        };
        let count = fitting().count();
        if count == 0 {
            return self.dial_from(None, opening, endpoint).await;
        }
        let first = self.source_turns[index].take(count);
        let mut out_of_ports = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for &source in fitting().cycle().skip(first).take(count) {
            match self.dial_from(Some(source), opening, endpoint).await {
                Err(error) if net::is_out_of_ports(&error) => out_of_ports = error,
                result => return result,
            }
        }
        Err(out_of_ports)
    }

    /// With fast open the client's first bytes go with the SYN, if there are any. They stay here
    /// until the endpoint has accepted: another one may have to be asked.
    async fn dial_from(
        &self,
        source: Option<IpAddr>,
        opening: &Opening<'_>,
        to: SocketAddr,
    ) -> io::Result<Stream> {
        let spare = opening.spare.take().filter(|spare| spare.fits(to));
        let socket = spare.map_or_else(|| self.socket_for(to), Ok)?;
        let (lane, fast_open) = (opening.client.lane(), self.options.socket.fast_open);
        let first = fast_open.then(|| opening.client.copy_arrived());
        let Some(first) = first.flatten() else {
            return socket.connect(lane, to, source).await;
        };
        let bytes = first.len();
        let hand_over = || {
            opening.hands_over.set(true);
            first
        };
        let (stream, sent) = socket.connect_with(lane, to, source, hand_over).await?;
        if sent {
            opening.client.skip_arrived(bytes);
            opening.sent.set(bytes);
        }
        Ok(stream)
    }

    fn report(&self, index: usize, error: &io::Error, cause: EndReason, now: Time) {
        let (upstream, endpoint) = (&*self.options.name, &self.endpoints[index]);
        if cause != EndReason::LocalResources {
            endpoint.failed(upstream, error, cause, now);
        } else if let Some(times) = self.local_failures.note(now) {
            tracing::warn!(upstream, %cause, %error, times, "cannot connect");
        }
    }
}

/// Whose fault it is. What this machine lacks is never blamed on an endpoint.
fn cause_of(error: &io::Error) -> EndReason {
    if net::is_local(error) {
        return EndReason::LocalResources;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => EndReason::ConnectTimeout,
        io::ErrorKind::ConnectionRefused => EndReason::ConnectRefused,
        _ => EndReason::ConnectUnreachable,
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io;

    use super::{EndReason, cause_of};
    use crate::net;

    /// What this machine lacks is its own fault; what the other end or the way says is
    /// not.
    #[test]
    fn every_error_of_a_connect_has_its_cause() {
        for (code, cause) in [
            (libc::EMFILE, EndReason::LocalResources),
            (libc::ENFILE, EndReason::LocalResources),
            (libc::ENOBUFS, EndReason::LocalResources),
            (libc::ENOMEM, EndReason::LocalResources),
            (libc::EADDRNOTAVAIL, EndReason::LocalResources),
            (libc::ECONNREFUSED, EndReason::ConnectRefused),
            (libc::ETIMEDOUT, EndReason::ConnectTimeout),
            (libc::EHOSTUNREACH, EndReason::ConnectUnreachable),
            (libc::ENETUNREACH, EndReason::ConnectUnreachable),
            (libc::EACCES, EndReason::ConnectUnreachable),
            (libc::EPERM, EndReason::ConnectUnreachable),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(cause_of(&error), cause, "{error}");
            assert_eq!(net::is_local(&error), cause == EndReason::LocalResources);
            let is_out_of_ports = code == libc::EADDRNOTAVAIL;
            assert_eq!(net::is_out_of_ports(&error), is_out_of_ports, "{error}");
        }
        let error = io::Error::new(io::ErrorKind::TimedOut, "ours");
        assert_eq!(cause_of(&error), EndReason::ConnectTimeout);
        assert!(!net::is_local(&error));
    }
}
