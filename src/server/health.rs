//! The endpoints of a generation for the health checks of the control plane.
//!
//! Called by the main thread at the start and behind each reload.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::reload::Reloads;
use crate::config::Health;
use crate::control::{Seen, Watch, Watched};
use crate::net::socket_closed_by_fin;
use crate::proxy::{EndpointState, Upstream};
use crate::sys::{self, OsSocket};

/// An endpoint by its place in an upstream.
struct Place {
    upstream: Arc<Upstream>,
    index: usize,
}

impl Watched for Place {
    fn set_usable(&self, is_usable: bool) {
        self.upstream.set_usable(self.index, is_usable);
    }

    fn start_slowly(&self, over: Duration) {
        self.upstream.start_slowly(self.index, sys::now(), over);
    }

    fn seen(&self) -> Seen {
        let (connects, resets) = self.upstream.failures_in_row(self.index);
        Seen { connects, resets }
    }

    fn is_ready(&self) -> bool {
        self.upstream.is_ready(self.index)
    }

    fn socket(&self, to: SocketAddr) -> io::Result<OsSocket> {
        let (source, options) = self.upstream.socket_of_check(self.index, to);
        socket_closed_by_fin(to, source, options)
    }
}

/// The endpoints to watch, by the configuration in service.
pub(super) fn watches(of: &Reloads) -> Vec<Watch> {
    let upstreams = of.service.generation().upstreams();
    let options = of.config().upstreams.iter().map(|of| &of.health);
    let watched = upstreams.zip(options).filter(|(_, of)| of.is_on());
    watched
        .flat_map(|(of, health)| of_upstream(of, health))
        .collect()
}

fn of_upstream(upstream: &Arc<Upstream>, health: &Health) -> Vec<Watch> {
    let health = Arc::new(health.clone());
    let watch = |(index, of): (usize, EndpointState)| Watch {
        upstream: Arc::clone(upstream.name()),
        address: of.address,
        level: of.level,
        health: Arc::clone(&health),
        endpoint: Box::new(Place {
            upstream: Arc::clone(upstream),
            index,
        }),
    };
    let states = upstream.endpoint_states(sys::now());
    states.enumerate().map(watch).collect()
}
