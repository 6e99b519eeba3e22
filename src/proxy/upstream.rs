//! Upstreams: a named set of endpoints, and connecting to one of them.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use super::deadline::Timeouts;
use super::record::Cause;
use crate::net::{self, SocketOptions, Stream};
use crate::runtime::{Handle, Time, timeout};

/// How often failing connects of an upstream are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

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

/// The endpoints that a listener relays to; one lane's.
#[derive(Debug)]
pub struct Upstream {
    options: UpstreamOptions,
    /// The endpoint and the source whose turn it is.
    endpoint: Cell<usize>,
    source: Cell<usize>,
    /// Failures since they were last logged.
    failures: Cell<u64>,
    logged: Cell<Option<Time>>,
}

impl Upstream {
    /// Each lane has its own; `first` says where its rounds begin, so that the lanes do not all
    /// begin with the same endpoint.
    ///
    /// # Panics
    /// When there is no endpoint.
    #[must_use]
    pub fn new(options: UpstreamOptions, first: usize) -> Self {
        assert!(
            !options.endpoints.is_empty(),
            "the configuration sees to it"
        );
        Self {
            endpoint: Cell::new(first % options.endpoints.len()),
            source: Cell::new(first),
            options,
            failures: Cell::new(0),
            logged: Cell::new(None),
        }
    }

    /// The endpoint of that index.
    pub(super) fn endpoint(&self, index: usize) -> SocketAddr {
        self.options.endpoints[index]
    }

    /// Connects to the next endpoint in turn, and says which that is; if it does not answer to the
    /// one after it, within the tries and the time that there are. Nothing has been sent by then,
    /// so nothing is ever sent twice.
    pub(super) async fn connect(
        &self,
        lane: &Handle,
        timeouts: &Timeouts,
        tries: &Cell<u8>,
    ) -> Result<(Stream, usize), Cause> {
        let endpoints = &self.options.endpoints;
        let first = self.endpoint.get();
        self.endpoint.set((first + 1) % endpoints.len());
        let end = lane.now() + timeouts.connect_total;
        let mut cause = Cause::ConnectTimeout;
        let in_turn = (first..endpoints.len()).chain(0..first);
        for index in in_turn.take(self.options.tries) {
            let endpoint = endpoints[index];
            if lane.now() >= end {
                break;
            }
            tries.set(tries.get().saturating_add(1));
            let limit = lane.sleep_until(end.min(lane.now() + timeouts.connect));
            let error = match timeout(limit, pin!(self.dial(lane, endpoint))).await {
                Ok(Ok(stream)) => return Ok((stream, index)),
                Ok(Err(error)) => error,
                Err(elapsed) => io::Error::new(io::ErrorKind::TimedOut, elapsed),
            };
            cause = cause_of(&error);
            self.report(endpoint, &error, cause, lane.now());
            if cause == Cause::LocalResources && !net::is_out_of_ports(&error) {
                // Another endpoint needs a descriptor, too.
                break;
            }
        }
        Err(cause)
    }

    /// Connects to one endpoint, from the next source address that has a port left.
    async fn dial(&self, lane: &Handle, endpoint: SocketAddr) -> io::Result<Stream> {
        let sources = &self.options.source;
        let fitting = || {
            sources
                .iter()
                .filter(|source| source.is_ipv4() == endpoint.is_ipv4())
        };
        let count = fitting().count();
        if count == 0 {
            return net::connect(lane, endpoint, None, &self.options.socket).await;
        }
        let first = self.source.get();
        self.source.set(first.wrapping_add(1));
        let mut out_of_ports = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for &source in fitting().cycle().skip(first % count).take(count) {
            match net::connect(lane, endpoint, Some(source), &self.options.socket).await {
                Err(error) if net::is_out_of_ports(&error) => out_of_ports = error,
                result => return result,
            }
        }
        Err(out_of_ports)
    }

    fn report(&self, endpoint: SocketAddr, error: &io::Error, cause: Cause, now: Time) {
        let times = self.failures.get() + 1;
        self.failures.set(times);
        if self
            .logged
            .get()
            .is_some_and(|at| now.since(at) < LOG_INTERVAL)
        {
            return;
        }
        self.failures.set(0);
        self.logged.set(Some(now));
        let upstream = self.options.name.as_str();
        tracing::warn!(upstream, %endpoint, %error, %cause, times, "cannot connect");
    }
}

/// Whose fault it is. What this machine lacks is never blamed on an endpoint.
fn cause_of(error: &io::Error) -> Cause {
    if net::is_local(error) {
        return Cause::LocalResources;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => Cause::ConnectTimeout,
        // Reset or broken: it had taken the connection, and let it go without a word.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => Cause::ConnectRefused,
        _ => Cause::ConnectUnreachable,
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io;

    use super::{Cause, cause_of};
    use crate::net;

    /// Case 31: what this machine lacks is its own fault; what the other end or the way says is
    /// not.
    #[test]
    fn every_error_of_a_connect_has_its_cause() {
        for (code, cause) in [
            (libc::EMFILE, Cause::LocalResources),
            (libc::ENFILE, Cause::LocalResources),
            (libc::ENOBUFS, Cause::LocalResources),
            (libc::ENOMEM, Cause::LocalResources),
            (libc::EADDRNOTAVAIL, Cause::LocalResources),
            (libc::ECONNREFUSED, Cause::ConnectRefused),
            (libc::ECONNRESET, Cause::ConnectRefused),
            (libc::EPIPE, Cause::ConnectRefused),
            (libc::ETIMEDOUT, Cause::ConnectTimeout),
            (libc::EHOSTUNREACH, Cause::ConnectUnreachable),
            (libc::ENETUNREACH, Cause::ConnectUnreachable),
            (libc::EACCES, Cause::ConnectUnreachable),
            (libc::EPERM, Cause::ConnectUnreachable),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(cause_of(&error), cause, "{error}");
            assert_eq!(net::is_local(&error), cause == Cause::LocalResources);
            let is_out_of_ports = code == libc::EADDRNOTAVAIL;
            assert_eq!(net::is_out_of_ports(&error), is_out_of_ports, "{error}");
        }
        let error = io::Error::new(io::ErrorKind::TimedOut, "ours");
        assert_eq!(cause_of(&error), Cause::ConnectTimeout);
        assert!(!net::is_local(&error));
    }
}
