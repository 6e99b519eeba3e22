//! Whether a server answers: at an address, or at the addresses of a configuration.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use crate::config::{self, Bind, BindTo, Config};
use crate::server;

/// The timeout of a probe's connect.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// No server answers.
pub(super) struct NoAnswer {
    pub(super) target: String,
    pub(super) why: String,
}

/// A target to probe: a host, resolved later, and a port.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse().ok()) {
        Some(1_u16..) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, e.g. 127.0.0.1:7007, [::1]:7007 or localhost:7007".to_owned()),
    }
}

/// Connects and closes, as a health check for containers without any further program.
pub(super) fn probe(target: &str) -> Result<(), NoAnswer> {
    let failure = |why| NoAnswer {
        target: config::escape(target),
        why,
    };
    let addresses = target
        .to_socket_addrs()
        .map_err(|error| failure(format!("the name cannot be looked up: {error}")))?;
    let mut said = Vec::new();
    for address in addresses {
        let why = match TcpStream::connect_timeout(&address, PROBE_PATIENCE) {
            // A connection from the target's own port reaches itself (RFC 9293, 3.5).
            Ok(stream) if stream.local_addr().is_ok_and(|own| own == address) => {
                "only the probe itself".to_owned()
            }
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        said.push(match address.to_string() == target {
            true => why,
            false => format!("{address}: {why}"),
        });
    }
    Err(failure(match said.is_empty() {
        true => "the name has no address".to_owned(),
        false => said.join(", "),
    }))
}

/// Whether every address of a configuration has a listener. Asks the kernel, because a connection
/// would start a session, and a proxy's session would connect to the upstream at each check.
pub(super) fn probe_listeners(config: &Config, path: &Path) -> Result<(), NoAnswer> {
    let binds = config.listeners.iter().flat_map(|listener| &listener.bind);
    let bound = binds.filter(|bind| !bind.is_optional() || server::has_ipv6());
    // An address that the configuration has.
    let is_fixed = |bind: &&Bind| !bind.is_any_port() && !matches!(bind.to, BindTo::Systemd(_));
    let mut fixed = bound.filter(is_fixed).peekable();
    if fixed.peek().is_none() {
        let why = "the system chooses every port of this configuration; write one".to_owned();
        let target = config::escape(&path.display().to_string());
        return Err(NoAnswer { target, why });
    }
    fixed.try_for_each(|bind| {
        let listens = server::listens(&bind.to);
        let target = bind.to.to_string();
        let why = match (listens, &bind.to) {
            (Some(true), _) => return Ok(()),
            (None, BindTo::Tcp(_)) => return probe(&target),
            (Some(false), _) => "no socket listens there",
            (None, _) => "this system does not say whether a socket listens there",
        };
        let why = why.to_owned();
        Err(NoAnswer { target, why })
    })
}
