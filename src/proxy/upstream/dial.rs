//! Connecting a session to an endpoint, within its tries and its time: from the source addresses,
//! and by fast open if the upstream has this option.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use super::choose::{Choice, Seeker};
use super::lease::Lease;
use super::log;
use super::shared::Upstream;
use crate::net::{self, Stream, Unconnected};
use crate::proxy::deadline::Timeouts;
use crate::proxy::end_reason::{EndReason, Failure};
use crate::runtime::{ErrorCode, PeerAddress, Time, either, timeout};
use crate::stats::micros;

/// How long a connect by fast open waits for the client's first bytes. A client that speaks first
/// sends its bytes right behind the last segment of its handshake, so the delay is the difference
/// between two segments. A client that waits for a greeting gets the greeting so much later.
const FIRST_BYTES: Duration = Duration::from_millis(5);
/// The pause before a new try after this machine had no descriptor or memory. Rare: the socket of
/// the first try exists before the accept.
const RETRY: Duration = Duration::from_millis(20);

/// A session without an upstream connection, as the upstream sees the session.
pub(in crate::proxy) struct Dialling<'a> {
    pub(in crate::proxy) client: &'a Stream,
    /// The client's address.
    pub(in crate::proxy) address: PeerAddress,
    /// The index of the session's lane.
    pub(in crate::proxy) lane: usize,
    pub(in crate::proxy) timeouts: &'a Timeouts,
    /// For the endpoint of the present try.
    pub(in crate::proxy) lease: &'a Lease,
    /// Endpoints tried so far, the present one included.
    pub(in crate::proxy) tries: &'a Cell<u8>,
    /// A socket for the first try.
    pub(in crate::proxy) spare: &'a Cell<Option<Unconnected>>,
    pub(in crate::proxy) first_bytes: &'a FirstBytes,
}

/// The client's first bytes, which fast open sends with the SYN.
#[derive(Debug, Default)]
pub(in crate::proxy) struct FirstBytes {
    /// An endpoint may have received the bytes: a SYN with the bytes is on its way.
    pub(in crate::proxy) are_on_the_way: Cell<bool>,
    /// How many of the bytes went to the endpoint that has answered.
    pub(in crate::proxy) sent: Cell<usize>,
}

impl Upstream {
    /// Connects to the endpoint of the session's lease. After a failure, leases the next ready
    /// endpoint and connects there, as long as tries and time are left. Only fast open sends bytes
    /// before an endpoint has answered; the next try sends the bytes of a failed try again.
    ///
    /// If this machine has no descriptor or memory left, the client waits and no endpoint is
    /// blamed. The failed try has closed its socket, so a descriptor is free soon.
    ///
    /// # Panics
    /// If the session has no lease.
    pub(in crate::proxy) async fn connect(
        &self,
        dialling: &Dialling<'_>,
    ) -> Result<Stream, Failure> {
        let (lane, timeouts) = (dialling.client.lane(), dialling.timeouts);
        let end = lane.now() + timeouts.connect_total;
        if self.options.socket.fast_open {
            let limit = lane.sleep_until(lane.now() + FIRST_BYTES);
            // Without bytes at the limit, the SYN goes out without data.
            either(pin!(dialling.client.arrived()), limit).await;
        }
        let most = self.options.tries.min(self.endpoints.len());
        let (mut cause, mut last) = (EndReason::ConnectTimeout, None);
        let mut index = dialling.lease.endpoint().expect("chosen before");
        let mut tried = Vec::new();
        while lane.now() < end {
            let tries = u8::try_from(tried.len() + 1).unwrap_or(u8::MAX);
            dialling.tries.set(tries);
            let stats = self.endpoint_stats(index, dialling.lane);
            stats.attempts.add(1);
            let begun = lane.now();
            let limit = lane.sleep_until(end.min(begun + timeouts.connect));
            let dialled = timeout(limit, pin!(self.dial(dialling, index))).await;
            dialling.first_bytes.are_on_the_way.set(false);
            let error = match dialled {
                Ok(Ok(stream)) => {
                    let took = lane.now().since(begun);
                    stats.connect.record(micros(took));
                    self.answered(index, lane.now());
                    return Ok(stream);
                }
                Ok(Err(error)) => error,
                Err(elapsed) => io::Error::new(io::ErrorKind::TimedOut, elapsed),
            };
            cause = cause_of(&error);
            cause
                .cause_index()
                .into_iter()
                .for_each(|cause| stats.failures.count(cause));
            last = error.raw_os_error().map(|_| ErrorCode::of(&error));
            self.failed(index, &error, cause, lane.now());
            if cause == EndReason::LocalResources && !net::is_out_of_ports(&error) {
                // The next endpoint needs a descriptor, too.
                lane.sleep_until(end.min(lane.now() + RETRY)).await;
                continue;
            }
            tried.push(index);
            if tried.len() == most {
                break;
            }
            let seeker = Seeker {
                lane,
                client: dialling.address,
                tried: &tried,
                is_called: true,
            };
            let Choice::Claimed(next) = self.choose(&seeker) else {
                break;
            };
            index = next.index();
            dialling.lease.take(self, next, lane);
        }
        Err(Failure {
            reason: cause,
            error: last,
        })
    }

    /// Connects to an endpoint, from the next source address with a free port.
    async fn dial(&self, dialling: &Dialling<'_>, index: usize) -> io::Result<Stream> {
        let endpoint = &self.endpoints[index];
        let to = endpoint.address;
        let sources = self.options.source.iter();
        let fitting = sources.filter(|source| source.is_ipv4() == to.is_ipv4());
        let count = fitting.clone().count();
        if count == 0 {
            return self.dial_from(None, dialling, to).await;
        }
        let first = endpoint.take_source_turn() % count;
        let mut out_of_ports = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for &source in fitting.cycle().skip(first).take(count) {
            match self.dial_from(Some(source), dialling, to).await {
                Err(error) if net::is_out_of_ports(&error) => out_of_ports = error,
                result => return result,
            }
        }
        Err(out_of_ports)
    }

    /// With fast open the client's first bytes, if any, go with the SYN. A copy stays here until
    /// the endpoint has accepted: the next endpoint may need the bytes.
    async fn dial_from(
        &self,
        source: Option<IpAddr>,
        dialling: &Dialling<'_>,
        to: SocketAddr,
    ) -> io::Result<Stream> {
        let spare = dialling.spare.take().filter(|spare| spare.fits(to));
        let socket = spare.map_or_else(|| self.socket_for(to), Ok)?;
        let (lane, fast_open) = (dialling.client.lane(), self.options.socket.fast_open);
        let first = fast_open.then(|| dialling.client.copy_arrived());
        let Some(first) = first.flatten() else {
            return socket.connect(lane, to, source).await;
        };
        let bytes = first.len();
        let hand_over = || {
            dialling.first_bytes.are_on_the_way.set(true);
            first
        };
        let (stream, sent) = socket.connect_with(lane, to, source, hand_over).await?;
        if sent {
            dialling.client.skip_arrived(bytes);
            dialling.first_bytes.sent.set(bytes);
        }
        Ok(stream)
    }

    fn answered(&self, index: usize, now: Time) {
        let endpoint = &self.endpoints[index];
        if let Some(outage) = endpoint.set_answered(now) {
            log::answers_again(&self.options.name, endpoint, outage);
        }
    }

    fn failed(&self, index: usize, error: &io::Error, cause: EndReason, now: Time) {
        let (name, endpoint) = (&*self.options.name, &self.endpoints[index]);
        if cause == EndReason::LocalResources {
            log::failed_locally(name, &self.local_failures, error, cause, now);
        } else {
            let is_logged = log::failed(name, endpoint, error, cause, now);
            endpoint.set_failed(now, is_logged);
        }
    }
}

/// The reason for which a session ends after the error of its last try. A lack of resources of
/// this machine is never blamed on an endpoint.
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

    use super::cause_of;
    use crate::net;
    use crate::proxy::end_reason::EndReason;

    /// A lack of resources of this machine is no fault of an endpoint.
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
