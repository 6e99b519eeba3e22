//! Questions of the control thread to the main thread, each with the way of the answer.

use super::discovery::Report;
use super::endpoint_change::EndpointChange;
use super::metrics::MetricFacts;
use super::reload_view::Reloaded;
use super::reply::Reply;
use super::view::{EndpointView, GenerationView, ListenerView, ProcessView, UpstreamView};

/// A question to the main thread, answered between two events.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The process.
    Process(Reply<ProcessView>),
    /// The configuration in force, as meant.
    Config(Reply<serde_json::Value>),
    /// The generations, oldest first.
    Generations(Reply<Vec<GenerationView>>),
    /// The listeners, in the order of the configuration.
    Listeners(Reply<Vec<ListenerView>>),
    /// The upstreams, in the order of the configuration.
    Upstreams(Reply<Vec<UpstreamView>>),
    /// The values of a page of metrics.
    Metrics(Reply<MetricFacts>),
    /// Read the configuration again, and put it into service unless `dry_run`. The answer says why
    /// nothing has changed, if so.
    Reload {
        dry_run: bool,
        reply: Reply<Result<Reloaded, String>>,
    },
    /// Accept no more at a listener, or accept again. The answer says why nothing has changed, if
    /// so.
    Pause {
        listener: String,
        is_paused: bool,
        reply: Reply<Result<(), String>>,
    },
    /// Set the administrative state or the weight of an endpoint. The answer is the endpoint after
    /// the change, or names what is unknown.
    SetEndpoint {
        change: EndpointChange,
        reply: Reply<Result<EndpointView, String>>,
    },
    /// Notes what a source of endpoints tells.
    Found(Report),
    /// Have the sources of an upstream asked now. The answer is their number, or names what is
    /// unknown.
    Refresh {
        upstream: String,
        reply: Reply<Result<usize, String>>,
    },
    /// Stop as by a signal.
    Stop(Reply<()>),
}
