//! The configuration, as the options of each layer: once, downward, by value.

use crate::config;
use crate::net::{Keepalive, SocketOptions};
use crate::proxy::{Balance, EndpointOptions, Timeouts, UpstreamOptions};

pub(super) fn timeouts(written: &config::Timeouts) -> Timeouts {
    Timeouts {
        connect: written.connect,
        connect_total: written.connect_total,
        idle: written.idle,
        half_close: written.half_close,
        lifetime: written.lifetime,
        lifetime_jitter_percent: written.lifetime_jitter,
    }
}

pub(crate) fn socket(written: &config::SocketOptions) -> SocketOptions {
    let keepalive = |keepalive: config::Keepalive| Keepalive {
        idle: keepalive.idle,
        interval: keepalive.interval,
        count: keepalive.count,
    };
    SocketOptions {
        nodelay: written.nodelay,
        keepalive: written.keepalive.map(keepalive),
        user_timeout: written.user_timeout,
        send_buffer: written.send_buffer,
        receive_buffer: written.receive_buffer,
        notsent_lowat: written.notsent_lowat,
        congestion: written.congestion.clone(),
        fast_open: written.fast_open,
        freebind: written.freebind,
    }
}

pub(super) fn upstream(written: &config::Upstream) -> UpstreamOptions {
    let endpoints = written.endpoints.iter().map(|of| endpoint(of, written));
    UpstreamOptions {
        name: written.name.clone(),
        endpoints: endpoints.collect(),
        queue: written.queue,
        queue_timeout: written.queue_timeout,
        balance: balance(written.balance),
        hash_prefix: written.hash_prefix,
        tries: written.tries,
        source: written.source.clone(),
        socket: socket(&written.socket),
    }
}

fn balance(written: config::Balance) -> Balance {
    match written {
        config::Balance::RoundRobin => Balance::RoundRobin,
        config::Balance::LeastSessions => Balance::LeastSessions,
        config::Balance::TwoChoices => Balance::TwoChoices,
        config::Balance::First => Balance::First,
        config::Balance::Random => Balance::Random,
        config::Balance::Hash => Balance::Hash,
        config::Balance::Maglev => Balance::Maglev,
    }
}

fn endpoint(written: &config::Endpoint, of: &config::Upstream) -> EndpointOptions {
    let most = written.max_sessions.or(of.endpoint_max_sessions);
    EndpointOptions {
        address: written.address,
        weight: written.weight,
        level: written.level,
        max_sessions: most.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
    }
}
