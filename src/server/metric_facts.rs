//! The values of the main thread for a page of metrics.

use std::sync::Arc;

use super::discovered::Discovered;
use super::in_service::InService;
use crate::control::{EndpointHealth, MetricFacts, ProcessView};
use crate::proxy::{EndpointState, Upstream};
use crate::sys;

/// The process, and everything with counters: of removed names too, as long as these are kept.
pub(super) fn facts(process: &ProcessView, service: &InService, found: &Discovered) -> MetricFacts {
    let (now, known) = (sys::now(), service.known());
    let generations = service.generations();
    let health = |upstream: &Arc<Upstream>| {
        let name = Arc::clone(upstream.name());
        let states = upstream.endpoint_states(now);
        let of = move |state: EndpointState| EndpointHealth {
            upstream: Arc::clone(&name),
            address: state.address,
            admin_state: state.admin.word(),
            is_failing: state.failing.is_some(),
        };
        states.map(of).collect::<Vec<_>>()
    };
    let listeners = known.listeners.iter(now);
    let endpoints = known.upstreams.stats(now);
    MetricFacts {
        started: process.started,
        sessions_live: process.sessions_live,
        sessions_max: process.sessions_max,
        generation: process.generation,
        generation_age_s: generations.last().map_or(0, |present| present.age_s),
        generations_past: generations.len().saturating_sub(1),
        access_log: process.access_log,
        listeners: listeners
            .map(|(name, of)| (Arc::clone(name), Arc::clone(of)))
            .collect(),
        endpoints: endpoints
            .map(|(key, of)| (key.clone(), Arc::clone(of)))
            .collect(),
        sources: found.views(now),
        queued: service
            .generation()
            .upstreams()
            .map(|of| (Arc::clone(of.name()), of.queued()))
            .collect(),
        health: service.generation().upstreams().flat_map(health).collect(),
    }
}
