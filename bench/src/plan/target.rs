//! Resolves the target: a host name or an address becomes one address.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::PlanError;

/// The longest connect to one of several addresses.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// Resolves a target once. Of several addresses, returns the first that accepts a connection.
pub(crate) fn resolve(target: &str) -> Result<SocketAddr, PlanError> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return check_port(target, address);
    }
    let has_port = target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        return Err(PlanError(format!(
            "{target:?} is not HOST:PORT: write 127.0.0.1:7007, [::1]:7007 or localhost:7007"
        )));
    }
    let addresses: Vec<SocketAddr> = target
        .to_socket_addrs()
        .map_err(|error| PlanError(format!("cannot resolve {target:?}: {error}")))?
        .collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE_MAX).is_ok();
    let chosen = match &addresses[..] {
        [] => return Err(PlanError(format!("{target:?} has no address"))),
        [one] => one,
        // If no address accepts, the run reports the error.
        [first, ..] => addresses.iter().find(answers).unwrap_or(first),
    };
    check_port(target, *chosen)
}

fn check_port(target: &str, address: SocketAddr) -> Result<SocketAddr, PlanError> {
    match address.port() {
        0 => Err(PlanError(format!(
            "{target:?}: port 0 cannot be connected to"
        ))),
        _ => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets() {
        for target in ["127.0.0.1:7007", "[::1]:7007"] {
            assert_eq!(resolve(target).unwrap().to_string(), target);
        }
        let form = |target: &str| {
            format!(
                "{target:?} is not HOST:PORT: write 127.0.0.1:7007, [::1]:7007 or localhost:7007"
            )
        };
        for target in [
            "localhost",
            "127.0.0.1",
            "localhost:http",
            ":7",
            "h:65536",
            "",
        ] {
            assert_eq!(resolve(target).unwrap_err().to_string(), form(target));
        }
        assert_eq!(
            resolve("127.0.0.1:0").unwrap_err().to_string(),
            "\"127.0.0.1:0\": port 0 cannot be connected to"
        );
    }
}
