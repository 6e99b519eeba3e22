//! The configuration, as the options of each layer: once, downward, by value.

use std::time::Duration;

use crate::config;
use crate::net::SocketOptions;
use crate::proxy::{Timeouts, UpstreamOptions};

pub(super) fn timeouts(_listener: &config::Listener) -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(3),
        connect_total: Duration::from_secs(10),
        idle: Some(Duration::from_secs(600)),
        half_close: Duration::from_secs(60),
        lifetime: None,
        lifetime_jitter_percent: 10,
    }
}

pub(super) fn listener_socket(_listener: &config::Listener) -> SocketOptions {
    SocketOptions::default()
}

pub(super) fn upstream(upstream: &config::Upstream) -> UpstreamOptions {
    UpstreamOptions {
        name: upstream.name.clone(),
        endpoints: upstream.endpoints.clone(),
        tries: 3,
        source: Vec::new(),
        socket: SocketOptions::default(),
    }
}
