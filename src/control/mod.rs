//! The control plane: the admin API on a local socket, health and metrics on a TCP port, and the
//! dashboard on another.
//!
//! One thread, `control`, with an ordinary async runtime. The server starts the thread with plain
//! values and ways to ask (`parts.rs`): lanes answer between two turns, the main thread answers
//! between two events. The control thread never touches the socket of a session, and no lane ever
//! waits for the control thread.
//!
//! A request goes `listening.rs` (accept, limits) → `http.rs` (bounds, browsers) → `route.rs` →
//! `access.rs` → `answering.rs`. To add a route: a variant of `Route` with a method and a path, an
//! arm in `Answering::answer`, and an entry of `docs/openapi.json`; tests compare the three.

mod access;
mod answering;
mod ask;
mod asking;
mod body;
mod dashboard;
mod discovery;
mod downfall;
mod endpoint_change;
mod ends;
mod filter;
mod health;
mod http;
mod lanes;
mod listening;
mod metrics;
mod orders;
mod parts;
mod random;
mod refusal;
mod reload_view;
mod removal;
mod removed;
mod reply;
mod reserve;
mod route;
mod seat;
mod stats_view;
#[cfg(test)]
mod tests;
mod thread;
mod token;
mod trace;
mod verdict;
mod view;

pub(crate) use self::access::Access;
pub(crate) use self::ask::Ask;
pub(crate) use self::discovery::{FoundEndpoint, Report, Wanted, look_once};
pub(crate) use self::endpoint_change::{AdminState, EndpointChange};
pub(crate) use self::filter::Filter;
pub(crate) use self::health::{Seen, Watch, Watched};
pub(crate) use self::lanes::{Found, Lane, Page, SLOTS_MAX, Shown, ToLane};
pub(crate) use self::metrics::{EndpointHealth, MetricFacts};
pub(crate) use self::orders::{Order, Orders};
pub(crate) use self::parts::{CHECKS_MAX, Limits, Parts, Sockets};
pub(crate) use self::reload_view::{Addresses, Reloaded};
pub(crate) use self::removed::{Removal, Removed};
pub(crate) use self::reply::Reply;
pub(crate) use self::stats_view::{EndpointFacts, ListenerFacts};
pub(crate) use self::thread::start;
pub(crate) use self::token::Token;
pub(crate) use self::verdict::HealthView;
pub(crate) use self::view::{
    AccessLogView, EndpointView, GenerationView, ListenerView, ProcessView, SourceView, State,
    UpstreamView,
};
