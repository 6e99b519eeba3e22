//! The values of the answers, with the names of the JSON. Built by the main thread and the lanes.

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::Serialize;

use super::lanes::{Found, Lane};
use super::stats_view::{EndpointFacts, ListenerFacts, Nanos};
use super::verdict::HealthView;
use crate::runtime::{Description, TcpInfo, Time};
use crate::stats::nanos;

/// How far the life of the process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Not every listener accepts yet.
    Starting,
    Serving,
    /// Sessions may end; no listener accepts.
    Stopping,
}

/// The process, from the main thread.
#[derive(Clone, Debug)]
pub(crate) struct ProcessView {
    pub(crate) state: State,
    pub(crate) started: SystemTime,
    pub(crate) uptime_s: u64,
    pub(crate) generation: u32,
    pub(crate) configuration: String,
    pub(crate) sessions_live: usize,
    pub(crate) sessions_max: usize,
    pub(crate) access_log: AccessLogView,
}

/// The access log, with the counts of lines since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AccessLogView {
    pub(crate) is_on: bool,
    pub(crate) written: u64,
    pub(crate) dropped: u64,
}

/// `GET /v1/status`
#[derive(Debug, Serialize)]
pub(super) struct StatusView {
    version: &'static str,
    pid: u32,
    state: State,
    started: String,
    uptime_s: u64,
    configuration: String,
    generation: u32,
    sessions: SessionsView,
    access_log: AccessLogView,
    lanes: Vec<LaneView>,
}

#[derive(Debug, Serialize)]
struct SessionsView {
    live: usize,
    max: usize,
}

/// A lane with the counters since the start.
#[derive(Debug, Serialize)]
struct LaneView {
    lane: usize,
    poller: &'static str,
    cpu: Option<usize>,
    busy_ns: u64,
    run_queue: u64,
    sessions: u64,
    sessions_begun: u64,
    sessions_ended: u64,
    turns: u64,
    polls: u64,
    panics: u64,
    accept_failures: u64,
    permit_waits: u64,
    buffer_waits: u64,
    buffers_in_use: u64,
    buffers_max: usize,
    received_bytes: u64,
    sent_bytes: u64,
    stalls: u64,
    stall_longest_us: u64,
    stall: Nanos,
    turn: Nanos,
    queue_delay: Nanos,
    switch_pause: Nanos,
}

/// `GET /v1/lanes`
#[derive(Debug, Serialize)]
pub(super) struct LanesView {
    lanes: Vec<LaneView>,
}

impl LanesView {
    pub(super) fn new(lanes: &[Lane]) -> Self {
        Self {
            lanes: lanes.iter().enumerate().map(LaneView::new).collect(),
        }
    }
}

impl StatusView {
    pub(super) fn new(process: ProcessView, lanes: &[Lane]) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            state: process.state,
            started: rfc3339(process.started),
            uptime_s: process.uptime_s,
            configuration: process.configuration,
            generation: process.generation,
            sessions: SessionsView {
                live: process.sessions_live,
                max: process.sessions_max,
            },
            access_log: process.access_log,
            lanes: lanes.iter().enumerate().map(LaneView::new).collect(),
        }
    }
}

impl LaneView {
    fn new((lane, of): (usize, &Lane)) -> Self {
        let stats = &of.stats;
        Self {
            lane,
            poller: of.poller,
            cpu: of.cpu,
            busy_ns: nanos((of.busy)()),
            run_queue: stats.run_queue.value(),
            sessions: stats.sessions(),
            sessions_begun: stats.begun.value(),
            sessions_ended: stats.ended.value(),
            turns: stats.turns.value(),
            polls: stats.polls.value(),
            panics: stats.panics.value(),
            accept_failures: stats.accept_failures.value(),
            permit_waits: stats.permit_waits.value(),
            buffer_waits: stats.buffer_waits.value(),
            received_bytes: stats.received_bytes.value(),
            sent_bytes: stats.sent_bytes.value(),
            buffers_in_use: stats.buffers.value(),
            buffers_max: of.buffers_max,
            stalls: stats.stalls.value(),
            stall_longest_us: stats.stall_longest_us.value(),
            stall: Nanos::from(&stats.stall),
            turn: Nanos::from(&stats.turn),
            queue_delay: Nanos::from(&stats.queue_delay),
            switch_pause: Nanos::from(&stats.switch_pause),
        }
    }
}

/// A configuration in force, or of living sessions.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GenerationView {
    pub(crate) generation: u32,
    /// Whether new sessions begin with this generation.
    pub(crate) is_current: bool,
    pub(crate) age_s: u64,
    pub(crate) listeners: usize,
    pub(crate) upstreams: usize,
}

/// A listener.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListenerView {
    pub(crate) name: String,
    pub(crate) generation: u32,
    pub(crate) service: &'static str,
    pub(crate) upstream: Option<String>,
    /// As bound: with a port chosen by the system.
    pub(crate) addresses: Vec<String>,
    /// "accepting", "paused" or "stopped".
    pub(crate) state: &'static str,
    #[serde(flatten)]
    pub(crate) facts: ListenerFacts,
}

/// An upstream of the current generation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UpstreamView {
    pub(crate) name: String,
    /// Sessions that wait for a place at an endpoint.
    pub(crate) queued: usize,
    pub(crate) endpoints: Vec<EndpointView>,
    /// Where further endpoints come from, in the order of the configuration.
    pub(crate) sources: Vec<SourceView>,
}

/// `POST /v1/upstreams/refresh`
#[derive(Debug, Serialize)]
pub(super) struct RefreshedView {
    pub(super) upstream: String,
    /// The number of sources that are asked.
    pub(super) asked: usize,
}

/// A source of endpoints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SourceView {
    /// As in the configuration.
    pub(crate) source: String,
    /// "waiting" for the first answer; "answered"; "empty" while no endpoint is believed;
    /// "stale" if the last look has failed and the last answer stands; "failing" without an answer.
    pub(crate) state: &'static str,
    /// The number of endpoints in force.
    pub(crate) endpoints: usize,
    /// The time since the last answer, with endpoints or believed without.
    pub(crate) answer_age_s: Option<u64>,
    /// Why the last look has failed.
    pub(crate) error: Option<String>,
    /// The time until the next look; none if the source tells by itself.
    pub(crate) next_in_s: Option<u64>,
    /// Looks with an answer, looks that failed, and changes of the endpoints.
    pub(crate) answers: u64,
    pub(crate) failures: u64,
    pub(crate) changes: u64,
}

/// An endpoint, judged by checks and by the latest connects.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndpointView {
    pub(crate) address: SocketAddr,
    /// "ready", "drain" or "maintenance", as an operator has set; "drain" with a weight of 0.
    pub(crate) admin_state: &'static str,
    pub(crate) weight: u16,
    pub(crate) level: u8,
    /// The most sessions; `None` without a limit.
    pub(crate) max_sessions: Option<usize>,
    /// Sessions of the endpoint; connecting sessions count.
    pub(crate) sessions: usize,
    /// The verdict of the health checks, which the control thread adds.
    #[serde(flatten)]
    pub(crate) health: HealthView,
    /// "answering" until a connect fails, and then "failing" until a connect succeeds.
    pub(crate) state: &'static str,
    /// Failures since the last answer, and the time since the first failure.
    pub(crate) failures: u64,
    pub(crate) failing_ms: Option<u64>,
    #[serde(flatten)]
    pub(crate) facts: EndpointFacts,
}

/// `POST /v1/upstreams/endpoint`
#[derive(Debug, Serialize)]
pub(super) struct ChangedEndpointView {
    pub(super) upstream: String,
    #[serde(flatten)]
    pub(super) endpoint: EndpointView,
    /// Sessions to end now, or within the given time.
    pub(super) ending: usize,
}

/// A session in a page.
#[derive(Debug, Serialize)]
pub(super) struct SessionView {
    id: u64,
    lane: usize,
    at: String,
    listener: String,
    service: &'static str,
    stage: &'static str,
    generation: u32,
    client: String,
    upstream: Option<String>,
    endpoint: Option<SocketAddr>,
    age_ms: u64,
    idle_ms: u64,
    is_ending: bool,
    from_client_bytes: u64,
    to_client_bytes: u64,
}

impl SessionView {
    pub(super) fn new(lane: usize, found: &Found, now: Time) -> Self {
        let of: &Description = &found.session;
        Self {
            id: of.id.0,
            lane,
            at: format!("{lane}.{}", found.cursor.slot()),
            listener: of.listener.to_string(),
            service: of.kind,
            stage: of.stage,
            generation: of.generation,
            client: of.client.to_string(),
            upstream: of.upstream.as_deref().map(str::to_owned),
            endpoint: of.endpoint,
            age_ms: millis(now, of.since),
            idle_ms: millis(now, of.active),
            is_ending: of.is_ending,
            from_client_bytes: of.from_client,
            to_client_bytes: of.to_client,
        }
    }
}

/// `GET /v1/sessions`
#[derive(Debug, Serialize)]
pub(super) struct PageView {
    pub(super) sessions: Vec<SessionView>,
    /// Where the next page begins; `None` behind the last.
    pub(super) cursor: Option<String>,
}

/// `GET /v1/sessions/ID`
#[derive(Debug, Serialize)]
pub(super) struct WholeSessionView {
    #[serde(flatten)]
    pub(super) session: SessionView,
    pub(super) client_tcp: Option<TcpView>,
    pub(super) endpoint_tcp: Option<TcpView>,
}

/// `TCP_INFO` of a connection.
#[derive(Debug, Serialize)]
pub(super) struct TcpView {
    state: &'static str,
    rtt_us: u32,
    rtt_variation_us: u32,
    rtt_min_us: u32,
    rto_us: u32,
    congestion_window: u32,
    segment_bytes: u32,
    unacknowledged_segments: u32,
    lost_segments: u32,
    retransmitted_segments: u32,
    last_sent_ms: u32,
    last_received_ms: u32,
    acknowledged_bytes: u64,
    received_bytes: u64,
    unsent_bytes: u32,
    peer_window_bytes: u32,
    delivery_bytes_per_second: u64,
    busy_us: u64,
    window_limited_us: u64,
    buffer_limited_us: u64,
}

impl From<TcpInfo> for TcpView {
    fn from(of: TcpInfo) -> Self {
        Self {
            state: of.state,
            rtt_us: of.rtt_us,
            rtt_variation_us: of.rtt_variation_us,
            rtt_min_us: of.rtt_min_us,
            rto_us: of.rto_us,
            congestion_window: of.congestion_window,
            segment_bytes: of.segment_bytes,
            unacknowledged_segments: of.unacknowledged_segments,
            lost_segments: of.lost_segments,
            retransmitted_segments: of.retransmitted_segments,
            last_sent_ms: of.last_sent_ms,
            last_received_ms: of.last_received_ms,
            acknowledged_bytes: of.acknowledged_bytes,
            received_bytes: of.received_bytes,
            unsent_bytes: of.unsent_bytes,
            peer_window_bytes: of.peer_window_bytes,
            delivery_bytes_per_second: of.delivery_bytes_per_second,
            busy_us: of.busy_us,
            window_limited_us: of.window_limited_us,
            buffer_limited_us: of.buffer_limited_us,
        }
    }
}

/// `POST /v1/sessions/end` and `DELETE /v1/sessions/ID`
#[derive(Debug, Serialize)]
pub(super) struct EndedView {
    /// Sessions to end now, or within the given time.
    pub(super) ending: usize,
    /// Whether the bound left out matching sessions.
    pub(super) more: bool,
}

/// `GET /v1/log` and `PUT /v1/log`
#[derive(Debug, Serialize)]
pub(super) struct LogView {
    pub(super) level: &'static str,
}

/// `POST /v1/stop`
#[derive(Debug, Serialize)]
pub(super) struct StopView {
    pub(super) state: State,
}

fn millis(now: Time, since: Time) -> u64 {
    u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX)
}

/// The time in UTC, to the second (RFC 3339).
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day since 1970-01-01, in years from March on
/// (<https://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::rfc3339;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(time), date);
        }
    }
}
