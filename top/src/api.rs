//! The answers of the admin API, as far as the view shows them.
//!
//! Every field has a default, so that a server of another version can be shown: a number that the
//! server does not give is `None`, and its column disappears.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// `GET /v1/status`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) state: String,
    pub(crate) version: String,
    pub(crate) pid: u64,
    pub(crate) uptime_s: u64,
    pub(crate) configuration: String,
    pub(crate) generation: u64,
    pub(crate) sessions: Live,
    pub(crate) lanes: Vec<Lane>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Live {
    pub(crate) live: u64,
    pub(crate) max: u64,
}

/// A lane of `GET /v1/status`, and of `GET /v1/lanes` with more.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Lane {
    pub(crate) lane: u64,
    pub(crate) poller: String,
    pub(crate) cpu: Option<u64>,
    pub(crate) sessions: u64,
    pub(crate) sessions_begun: u64,
    pub(crate) turns: u64,
    pub(crate) polls: u64,
    pub(crate) run_queue: Option<u64>,
    /// Time outside the poller's waits.
    pub(crate) busy_ns: Option<u64>,
    pub(crate) stalls: Option<u64>,
    pub(crate) permit_waits: u64,
    pub(crate) buffer_waits: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// `GET /v1/lanes`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Lanes {
    pub(crate) lanes: Vec<Lane>,
}

/// A listener of `GET /v1/listeners`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) upstream: Option<String>,
    pub(crate) addresses: Vec<String>,
    pub(crate) state: String,
    #[serde(flatten)]
    pub(crate) flow: Flow,
}

/// An upstream of `GET /v1/upstreams`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// An endpoint of an upstream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    pub(crate) admin_state: String,
    pub(crate) sessions: u64,
    pub(crate) health: String,
    pub(crate) state: String,
    pub(crate) failures: u64,
    pub(crate) failing_ms: Option<u64>,
    #[serde(flatten)]
    pub(crate) flow: Flow,
}

/// What passes a listener or an endpoint, from a server that counts it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    pub(crate) sessions_live: Option<u64>,
    pub(crate) sessions_begun: Option<u64>,
    /// Accepted connections that wait for a place.
    pub(crate) queued: Option<u64>,
    /// By the word of the end.
    pub(crate) sessions_ended: BTreeMap<String, u64>,
    pub(crate) from_client_bytes: Option<u64>,
    pub(crate) to_client_bytes: Option<u64>,
    /// By the cause.
    pub(crate) connect_failures: Option<BTreeMap<String, u64>>,
    pub(crate) waited: Option<Histogram>,
    pub(crate) connect: Option<Histogram>,
    pub(crate) first_byte: Option<Histogram>,
    pub(crate) life: Option<Histogram>,
}

/// Percentiles since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Histogram {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

/// A page of `GET /v1/sessions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Session>,
    pub(crate) cursor: Option<String>,
}

/// A session in a page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) lane: u64,
    pub(crate) listener: String,
    pub(crate) service: String,
    pub(crate) stage: String,
    pub(crate) generation: u64,
    pub(crate) client: String,
    pub(crate) upstream: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) age_ms: u64,
    pub(crate) idle_ms: u64,
    pub(crate) is_ending: bool,
    pub(crate) from_client_bytes: u64,
    pub(crate) to_client_bytes: u64,
}

impl Session {
    /// How far the session is.
    pub(crate) fn stage(&self) -> &str {
        if self.is_ending {
            "ending"
        } else {
            &self.stage
        }
    }
}

/// `GET /v1/sessions/ID`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WholeSession {
    #[serde(flatten)]
    pub(crate) session: Session,
    /// `TCP_INFO`, with the names of the server.
    pub(crate) client_tcp: Option<Map<String, Value>>,
    pub(crate) endpoint_tcp: Option<Map<String, Value>>,
}
