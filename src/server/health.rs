//! The endpoints of a generation for the health checks of the control plane.
//!
//! Called by the main thread at the start and behind each reload.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::reload::Reloads;
use crate::config::Health;
use crate::control::{Verdict, Watch, Watched};
use crate::net::socket_closed_by_fin;
use crate::proxy::Upstream;
use crate::sys::{self, OsSocket};

/// An endpoint by its place in an upstream.
struct Place {
    upstream: Arc<Upstream>,
    index: usize,
}

impl Watched for Place {
    fn set(&self, verdict: Verdict) {
        let is_usable = verdict != Verdict::Down;
        self.upstream.set_usable(self.index, is_usable);
    }

    fn socket(&self, to: SocketAddr) -> io::Result<OsSocket> {
        let (source, options) = self.upstream.socket_of_check(self.index, to);
        socket_closed_by_fin(to, source, options)
    }
}

/// The endpoints to check, by the configuration in service.
pub(super) fn watches(of: &Reloads) -> Vec<Watch> {
    let upstreams = of.service.generation().upstreams();
    let options = of.config().upstreams.iter().map(|of| &of.health);
    let checked = upstreams.zip(options).filter(|(_, of)| of.check.is_some());
    checked
        .flat_map(|(of, health)| of_upstream(of, health))
        .collect()
}

fn of_upstream(upstream: &Arc<Upstream>, health: &Health) -> Vec<Watch> {
    let health = Arc::new(health.clone());
    let watch = |(index, address)| Watch {
        upstream: Arc::clone(upstream.name()),
        address,
        health: Arc::clone(&health),
        endpoint: Box::new(Place {
            upstream: Arc::clone(upstream),
            index,
        }),
    };
    let states = upstream.endpoint_states(sys::now());
    states.map(|of| of.address).enumerate().map(watch).collect()
}
