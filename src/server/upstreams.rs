//! The upstreams for the control plane: their state, and changes of the administrative state and
//! the weight of endpoints. An upstream without a listener counts too.

use super::discovered::Discovered;
use super::in_service::InService;
use super::reload::Reloads;
use crate::config::nearest_in_words;
use crate::control::{
    AdminState, EndpointChange, EndpointFacts, EndpointView, HealthView, SourceView, UpstreamView,
};
use crate::proxy::{self, EndpointState, Upstream};
use crate::sys;

/// The upstreams of the present generation, in the order of the configuration.
pub(super) fn views(of: &Reloads, found: &Discovered) -> Vec<UpstreamView> {
    let now = sys::now();
    let sources = |name: &str| -> Vec<SourceView> {
        let mut own = of.config().upstreams.iter().filter(|one| one.name == name);
        let sources = own.next().into_iter().flat_map(|one| one.sources());
        sources.map(|source| found.view(source, now)).collect()
    };
    let view = |upstream: &Upstream| UpstreamView {
        name: upstream.name().to_string(),
        queued: upstream.queued(),
        endpoints: upstream.endpoint_states(now).map(endpoint).collect(),
        sources: sources(upstream.name()),
    };
    let upstreams = of.service.generation().upstreams();
    upstreams.map(|upstream| view(upstream)).collect()
}

/// Sets an administrative state or a weight and logs both. Returns the endpoint after the change,
/// or says which name or address is unknown.
pub(super) fn set_state(
    service: &InService,
    change: &EndpointChange,
) -> Result<EndpointView, String> {
    let upstreams = service.generation().upstreams();
    let Some(upstream) = upstreams.clone().find(|of| **of.name() == *change.upstream) else {
        let names: Vec<&str> = upstreams.map(|of| &**of.name()).collect();
        let meant = nearest_in_words(&change.upstream, &names);
        return Err(format!(
            "there is no upstream {:?}; {meant}",
            change.upstream
        ));
    };
    let (state, now) = (change.state.map(state), sys::now());
    let Some(changed) = upstream.set_endpoint(change.endpoint, state, change.weight, now) else {
        let known = upstream.endpoint_states(now).map(|of| of.address);
        let known: Vec<String> = known.map(|at| at.to_string()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let (name, at) = (&change.upstream, change.endpoint.to_string());
        let meant = nearest_in_words(&at, &known);
        return Err(format!("upstream {name:?} has no endpoint {at:?}; {meant}"));
    };
    let (upstream, sessions) = (&**upstream.name(), changed.sessions);
    tracing::info!(
        upstream,
        endpoint = %changed.address,
        state = changed.admin_word(),
        weight = changed.weight,
        sessions,
        "an operator has changed an endpoint"
    );
    Ok(endpoint(changed))
}

fn endpoint(of: EndpointState) -> EndpointView {
    EndpointView {
        address: of.address,
        admin_state: of.admin_word(),
        weight: of.weight,
        level: of.level,
        max_sessions: of.max_sessions,
        sessions: of.sessions,
        health: HealthView::default(),
        state: match of.failing {
            None => "answering",
            Some(_) => "failing",
        },
        failures: of.failures,
        failing_ms: of
            .failing
            .and_then(|time| u64::try_from(time.as_millis()).ok()),
        facts: EndpointFacts(of.stats),
    }
}

fn state(of: AdminState) -> proxy::AdminState {
    match of {
        AdminState::Ready => proxy::AdminState::Ready,
        AdminState::Drain => proxy::AdminState::Drain,
        AdminState::Maintenance => proxy::AdminState::Maintenance,
    }
}
