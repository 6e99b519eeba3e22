//! The reports of a source: a full set of endpoints, or why there is no answer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::config::EndpointSource;
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
}

impl FoundEndpoint {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            weight: None,
            level: None,
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
}

impl Reports {
    /// All endpoints; `holds` is the time until the next look.
    pub(super) fn found(&self, endpoints: Vec<FoundEndpoint>, holds: Option<Duration>) {
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
