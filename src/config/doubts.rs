//! Settings that are allowed but cannot be intended.
//!
//! Called by `Config::warnings` for a configuration without errors. Only written settings are
//! doubted, never defaults. A warning names the setting without effect and the fix.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::access_log::AccessTarget;
use super::bind::{Bind, BindTo};
use super::errors::Reason;
use super::file::File;
use super::health::{self, Check, Health};
use super::listener::{Listener, Service};
use super::log::LogTarget;
use super::units;
use super::upstream::Upstream;
use super::{Config, Control, Dashboard, OnRemoved, SocketOptions};

/// A key of the control socket without effect: key, reason and remedy.
fn control(
    control: &Control,
    file: &File<'_>,
) -> Option<(&'static str, &'static str, &'static str)> {
    let written = |keys: &[&'static str]| keys.iter().copied().find(|key| file.has(key));
    if control.socket.is_none() {
        let why = "there is no control socket";
        let key = written(&["control.mode", "control.read", "control.operate"])?;
        return Some((key, why, "control.socket, too, or leave it out"));
    }
    // Without the write permission of group and others, only the owner and root connect.
    let admits_others = control.mode & 0o022 != 0;
    let key = match (control.read.is_empty(), control.operate.is_empty()) {
        (false, _) => "control.read",
        (true, false) => "control.operate",
        (true, true) => return None,
    };
    let why = "control.mode lets no further user connect";
    (!admits_others).then_some((key, why, "control.mode = \"0666\", too, or leave it out"))
}

/// A dashboard for nobody or for everybody: key, reason and remedy.
fn dashboard(
    dashboard: &Dashboard,
    file: &File<'_>,
) -> Option<(&'static str, &'static str, &'static str)> {
    if dashboard.bind.is_none() {
        let key = "dashboard.token_file";
        let has_key = file.has(key) && dashboard.token_file.is_some();
        let why = "there is no dashboard";
        return has_key.then_some((key, why, "dashboard.bind, too, or leave it out"));
    }
    let why = "whoever reaches this address sees all clients, and the token crosses the network \
               as it is";
    let write = "a loopback address, and reach it by ssh -L or behind a proxy with TLS";
    dashboard
        .is_exposed()
        .then_some(("dashboard.bind", why, write))
}

/// Keys of the access log without effect: key, reason and remedy.
fn access_log(config: &Config, file: &File<'_>) -> Vec<(&'static str, &'static str, &'static str)> {
    let of = &config.access_log;
    let path = match &of.target {
        Some(AccessTarget::File(path)) => Some(path),
        _ => None,
    };
    let mut found = Vec::new();
    let is_rotated = file.has("access_log.rotate") && of.rotate.is_some();
    if is_rotated && path.is_none() {
        let write = "the path of a file as access_log.target, too, or leave it out";
        found.push(("access_log.rotate", "the target is no file", write));
    }
    if file.has("access_log.keep") && (path.is_none() || of.rotate.is_none()) {
        let write = "access_log.rotate and a file as access_log.target, too, or leave it out";
        found.push(("access_log.keep", "no file is renamed", write));
    }
    if let (Some(path), LogTarget::File(log)) = (path, &config.log.target)
        && path == log
    {
        let why = "log.target is the same file, so no program can read one of the two alone";
        found.push(("access_log.target", why, "the path of another file"));
    }
    found
}

/// Adds every warning to the list of `file`, which is the text of `config`.
pub(super) fn find(config: &Config, file: &File<'_>) {
    let doubt = |key: String, why: &'static str, write: String| {
        file.refuse(&key, Reason::Senseless { why, write });
    };
    if let Some((key, why, write)) = control(&config.control, file) {
        doubt(key.to_owned(), why, write.to_owned());
    }
    if let Some((key, why, write)) = dashboard(&config.dashboard, file) {
        doubt(key.to_owned(), why, write.to_owned());
    }
    for (key, why, write) in access_log(config, file) {
        doubt(key.to_owned(), why, write.to_owned());
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let path = format!("listener[{index}]");
        timeouts(listener, file, &path);
        keepalive(listener, file, &path);
        socket(&listener.socket, file, &path);
        drain_over(listener.on_removed, file, &path, "on_removed");
        sockets(listener, file, &path);
        if let Service::Proxy { upstream } = listener.service {
            connects(listener, &config.upstreams[upstream], file, &path);
        }
    }
    let used = config.listeners.iter().filter_map(|of| match of.service {
        Service::Proxy { upstream } => Some(upstream),
        Service::Echo => None,
    });
    let used: BTreeSet<usize> = used.collect();
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let path = format!("upstream[{index}]");
        socket(&upstream.socket, file, &path);
        drain_over(upstream.on_removed, file, &path, "on_removed");
        health(&upstream.health, file, &path);
        if !used.contains(&index) {
            let write = "its name as the upstream of a listener, or leave it out";
            doubt(
                format!("{path}.name"),
                "no listener uses this upstream",
                write.to_owned(),
            );
        }
        let tries = format!("{path}.tries");
        let endpoints = upstream.endpoints.len();
        if upstream.tries > endpoints && !upstream.has_sources() && file.has(&tries) {
            doubt(
                tries,
                "more than there are endpoints, each of which is tried once",
                format!("{endpoints} at most, or more endpoints"),
            );
        }
    }
}

/// Keys of health checks without a use for the kind of check.
fn health(health: &Health, file: &File<'_>, path: &str) {
    let of_health = format!("{path}.health");
    drain_over(health.rules.on_down, file, &of_health, "on_down");
    let own = Check::own_keys(health.check.as_ref());
    for key in health::KEYS_OF_CHECKS {
        let (path, why) = (
            format!("{path}.health.{key}"),
            "this check has no use for it",
        );
        if !own.contains(&key) && file.has(&path) {
            let write = "a health.check that has, or leave it out".to_owned();
            file.refuse(&path, Reason::Senseless { why, write });
        }
    }
}

/// Keys without a socket for them.
fn sockets(listener: &Listener, file: &File<'_>, path: &str) {
    let doubt = |key: &str, why: &'static str, write: &str| {
        let write = write.to_owned();
        file.refuse(&format!("{path}.{key}"), Reason::Senseless { why, write });
    };
    let is_passed = |bind: &Bind| matches!(bind.to, BindTo::Systemd(_));
    let has_tcp = listener.addresses().next().is_some();
    if !has_tcp && !listener.bind.iter().any(is_passed) && file.has(&format!("{path}.socket")) {
        let write = "an IP address in `bind`, or leave it out";
        doubt("socket", "a unix socket has none of these options", write);
    }
    if !listener.has_unix_file() && file.has(&format!("{path}.unix")) {
        let write = "a path in `bind`, or leave it out";
        doubt("unix", "no unix socket of this listener has a file", write);
    }
    let is_everywhere = |address: SocketAddr| address.ip().is_unspecified();
    if listener.socket.freebind && has_tcp && listener.addresses().all(is_everywhere) {
        let write = "false, or an address that this machine may lack";
        doubt(
            "socket.freebind",
            "every machine has the addresses of `bind`",
            write,
        );
    }
}

/// A duration in quotes, in an operator's spelling.
fn quoted(duration: Duration) -> String {
    format!("\"{}\"", units::show(duration))
}

/// Time limits that are never reached, since a shorter limit ends the session first.
fn timeouts(listener: &Listener, file: &File<'_>, path: &str) {
    let of = &listener.timeouts;
    let key = |name: &str| format!("{path}.timeouts.{name}");
    let doubt = |name: &str, why: &'static str, write: String| {
        if file.has(&key(name)) {
            file.refuse(&key(name), Reason::Senseless { why, write });
        }
    };
    if let (Some(lifetime), Some(idle)) = (of.lifetime, of.idle)
        && lifetime < idle
    {
        doubt(
            "lifetime",
            "shorter than timeouts.idle, which so never ends a session",
            format!(
                "{} or more, or a shorter idle, or idle = \"off\"",
                quoted(idle)
            ),
        );
    }
    if let Some(idle) = of.idle
        && of.half_close > idle
    {
        doubt(
            "half_close",
            "longer than timeouts.idle, so a session gets more time once one end is gone",
            format!("{} or less, or a longer idle", quoted(idle)),
        );
    }
    if let Some(lifetime) = of.lifetime
        && of.half_close > lifetime
    {
        doubt(
            "half_close",
            "longer than timeouts.lifetime, which ends the session before",
            format!("{} or less, or a longer lifetime", quoted(lifetime)),
        );
    }
}

/// The time of a drain that never happens, by the rule of this key.
fn drain_over(rule: OnRemoved, file: &File<'_>, path: &str, of: &str) {
    let key = format!("{path}.drain_over");
    if !matches!(rule, OnRemoved::Drain { .. }) && file.has(&key) {
        let why = match of {
            "on_down" => "on_down drains nothing",
            _ => "on_removed drains nothing",
        };
        let write = format!("{of} = \"drain\" too, or no drain_over");
        file.refuse(&key, Reason::Senseless { why, write });
    }
}

/// Probes that are never sent, since the idle timeout ends a silent session first.
fn keepalive(listener: &Listener, file: &File<'_>, path: &str) {
    let key = format!("{path}.socket.keepalive.idle");
    if let (Some(keepalive), Some(idle)) = (listener.socket.keepalive, listener.timeouts.idle)
        && keepalive.idle >= idle
        && file.has(&key)
    {
        file.refuse(
            &key,
            Reason::Senseless {
                why: "no shorter than timeouts.idle, so no silent session lasts until a probe",
                write: format!("less than {}, or a longer timeouts.idle", quoted(idle)),
            },
        );
    }
}

/// A limit on unsent bytes that the buffer never reaches.
fn socket(options: &SocketOptions, file: &File<'_>, path: &str) {
    if let (Some(lowat), Some(buffer)) = (options.notsent_lowat, options.send_buffer)
        && usize::try_from(lowat).is_ok_and(|lowat| lowat >= buffer)
    {
        file.refuse(
            &format!("{path}.socket.notsent_lowat"),
            Reason::Senseless {
                why: "no less than socket.send_buffer, so it limits nothing",
                write: "less, or a larger send_buffer, or \"off\"".to_owned(),
            },
        );
    }
}

/// A timeout for all tries that a single try may use up.
fn connects(listener: &Listener, upstream: &Upstream, file: &File<'_>, path: &str) {
    let of = &listener.timeouts;
    let tries = match upstream.has_sources() {
        true => upstream.tries,
        false => upstream.tries.min(upstream.endpoints.len()),
    };
    let keys = ["connect", "connect_total"].map(|name| format!("{path}.timeouts.{name}"));
    if tries > 1
        && of.connect == of.connect_total
        && let Some(key) = keys.iter().rev().find(|key| file.has(key))
    {
        file.refuse(
            key,
            Reason::Senseless {
                why: "one try may take all of connect_total, so no other endpoint is tried after \
                      one that does not answer",
                write: format!(
                    "a connect_total of {} or more, or a shorter connect, or tries = 1",
                    quoted(of.connect.saturating_mul(2))
                ),
            },
        );
    }
}
