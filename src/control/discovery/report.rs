//! The reports of a source: a full set of endpoints, or why there is no answer.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::config::{Endpoint, EndpointSource};
use crate::sys::{self, Time};

/// A source asks at most once in this time, also if told to ask.
const ASKS_APART: Duration = Duration::from_secs(1);

/// An answer of a source, or a failure.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) source: EndpointSource,
    /// All endpoints of the source, in order; an error is in words.
    pub(crate) answer: Result<Vec<FoundEndpoint>, String>,
    pub(crate) at: Time,
    /// When the source is asked again; `None` for a source that reports changes unasked.
    pub(crate) next: Option<Time>,
}

/// An endpoint of a source. `None` is the value of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundEndpoint {
    pub(crate) address: SocketAddr,
    pub(crate) weight: Option<u16>,
    /// 0 is used first.
    pub(crate) level: Option<u8>,
    /// Of a source that has all keys of an endpoint.
    pub(crate) whole: Option<Endpoint>,
}

impl FoundEndpoint {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            weight: None,
            level: None,
            whole: None,
        }
    }

    /// An endpoint with keys. Without any, the keys of the configuration hold.
    pub(super) fn whole(of: &Endpoint) -> Self {
        if *of == Endpoint::plain(of.address) {
            return Self::at(of.address);
        }
        Self {
            weight: Some(of.weight),
            level: Some(of.level),
            whole: Some(*of),
            ..Self::at(of.address)
        }
    }
}

/// Where reports go.
pub(super) type Sink = Arc<dyn Fn(Report) + Send + Sync>;

/// The way of the reports of one source.
pub(super) struct Reports {
    pub(super) source: EndpointSource,
    pub(super) to: Sink,
    /// Told to ask again.
    pub(super) refresh: Arc<Notify>,
    /// The number of impossible addresses of the last answer.
    pub(super) left_out: AtomicUsize,
}

/// Whether a connection can go there. As for written endpoints, but a link-local address has no
/// interface here.
fn is_possible(address: SocketAddr) -> bool {
    let is_elsewhere = match address.ip() {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let ip = address.ip();
    address.port() != 0 && !is_elsewhere && !ip.is_unspecified() && !ip.is_multicast()
}

impl Reports {
    /// All endpoints; `holds` is the time until the next look.
    /// Addresses that no connection reaches are left out, and logged when their number changes.
    pub(super) fn found(&self, mut endpoints: Vec<FoundEndpoint>, holds: Option<Duration>) {
        let all = endpoints.len();
        endpoints.retain(|one| is_possible(one.address));
        let left_out = all - endpoints.len();
        if self.left_out.swap(left_out, Relaxed) != left_out && left_out > 0 {
            let source = self.source.to_string();
            tracing::warn!(
                source,
                left_out,
                "addresses that no connection reaches are left out"
            );
        }
        self.send(Ok(endpoints), holds);
    }

    /// No answer; `pause` is the time until the next try.
    pub(super) fn failed(&self, why: String, pause: Option<Duration>) {
        self.send(Err(why), pause);
    }

    fn send(&self, answer: Result<Vec<FoundEndpoint>, String>, next: Option<Duration>) {
        let at = sys::now();
        (self.to)(Report {
            source: self.source.clone(),
            answer,
            at,
            next: next.map(|time| at + time),
        });
    }

    /// Waits this long; returns whether the source is told to ask again.
    pub(super) async fn pause_or_told(&self, time: Duration) -> bool {
        timeout(time, self.refresh.notified()).await.is_ok()
    }

    /// Waits this long, or until told to ask again.
    pub(super) async fn pause(&self, time: Duration) {
        sleep(ASKS_APART.min(time)).await;
        let rest = time.saturating_sub(ASKS_APART);
        _ = timeout(rest, self.refresh.notified()).await;
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_possible;

    #[test]
    fn addresses_that_no_connection_reaches_are_known() {
        for (address, expected) in [
            ("10.0.0.1:5", true),
            ("[2001:db8::1]:5", true),
            ("127.0.0.1:5", true),
            ("10.0.0.1:0", false),
            ("0.0.0.0:5", false),
            ("[::]:5", false),
            ("224.0.0.1:5", false),
            ("[ff02::1]:5", false),
            ("255.255.255.255:5", false),
            ("[fe80::1]:5", false),
        ] {
            assert_eq!(is_possible(address.parse().unwrap()), expected, "{address}");
        }
    }
}
