//! Checks of this machine before the load: descriptors, ports, source addresses, congestion
//! control.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};

use corelane::poller::{BackEnd, io_uring_refusal};
use corelane::sys;

use super::error::PlanError;
use crate::args::PollerChoice;
use crate::args::values::Sources;
use crate::outcome::Environment;
use crate::procfs::server_process::ServerProcess;

/// Descriptors for everything else: standard streams, the result files, the signals, `/proc`.
const SPARE_DESCRIPTORS: usize = 32;
/// Descriptors of a lane: ring or epoll instance, and notifier.
const LANE_DESCRIPTORS: usize = 3;

pub(crate) fn back_end(choice: PollerChoice) -> Result<BackEnd, PlanError> {
    match (choice, io_uring_refusal()) {
        (PollerChoice::Epoll, _) | (PollerChoice::Auto, Some(_)) => Ok(BackEnd::Epoll),
        (PollerChoice::IoUring | PollerChoice::Auto, None) => Ok(BackEnd::IoUring),
        (PollerChoice::IoUring, Some(refusal)) => Err(PlanError(format!(
            "--poller io_uring: {refusal}; permit it, or use --poller auto"
        ))),
    }
}

pub(crate) fn server(pid: u32) -> Result<(), PlanError> {
    match ServerProcess::new(pid).cost() {
        Ok(_) => Ok(()),
        Err(error) => Err(PlanError(format!(
            "--server-pid {pid}: cannot be read: {error} (needs Linux, and the process on this \
             machine)"
        ))),
    }
}

/// Raises the limit on descriptors and checks it. `asked` is the text of the option.
pub(crate) fn descriptors(asked: &str, connections: u32, lanes: u32) -> Result<(), PlanError> {
    enough_descriptors(asked, connections, lanes, sys::file_limit().ok())
}

fn enough_descriptors(
    asked: &str,
    connections: u32,
    lanes: u32,
    limit: Option<usize>,
) -> Result<(), PlanError> {
    let needed = connections as usize + SPARE_DESCRIPTORS + LANE_DESCRIPTORS * lanes as usize;
    match limit {
        Some(limit) if needed > limit => Err(PlanError(format!(
            "{asked}: {needed} descriptors are needed and the limit is \
             {limit}: raise it (ulimit -Hn, LimitNOFILE=)"
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn ports(asked: &str, connections: u32, sources: usize) -> Result<(), PlanError> {
    enough_ports(
        asked,
        connections,
        sources.max(1),
        Environment::here().ports,
    )
}

/// `range` is the first and the last local port.
fn enough_ports(
    asked: &str,
    connections: u32,
    sources: usize,
    range: Option<(u16, u16)>,
) -> Result<(), PlanError> {
    let Some((first, last)) = range else {
        return Ok(());
    };
    let each = usize::from(last.saturating_sub(first)) + 1;
    if connections as usize <= each * sources {
        return Ok(());
    }
    let from = match sources {
        1 => "one source address".to_owned(),
        many => format!("each of {many} source addresses"),
    };
    let needed = (connections as usize).div_ceil(each);
    Err(PlanError(format!(
        "{asked}: {from} allows {each} connections to one target \
         (net.ipv4.ip_local_port_range is {first} to {last}): widen the range, or connect from \
         {needed} addresses (--source 127.0.0.2-{})",
        (needed + 1).min(254)
    )))
}

/// Checks that the source addresses are local and of the target's IP version.
pub(crate) fn sources(sources: Option<&Sources>, target: SocketAddr) -> Result<(), PlanError> {
    for address in sources.iter().flat_map(|sources| &sources.addresses) {
        let refuse = |why: String| Err(PlanError(format!("--source {address}: {why}")));
        if address.is_ipv4() != target.is_ipv4() {
            return refuse(format!("the target {target} has the other IP version"));
        }
        if let Err(error) = bind(*address) {
            return refuse(format!("cannot bind: {error}"));
        }
    }
    Ok(())
}

fn bind(address: IpAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, 0))
}

pub(crate) fn congestion(name: Option<&str>) -> Result<(), PlanError> {
    let known = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
    match (name, known) {
        (Some(name), Ok(known)) => known_congestion(name, known.trim()),
        _ => Ok(()),
    }
}

fn known_congestion(name: &str, known: &str) -> Result<(), PlanError> {
    match known.split_whitespace().any(|other| other == name) {
        true => Ok(()),
        false => Err(PlanError(format!(
            "--congestion {name}: this kernel supports {known}; load the module tcp_{name}, or \
             choose a supported one"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{enough_descriptors, enough_ports, known_congestion, sources};
    use crate::args::values;

    #[test]
    fn descriptors() {
        assert!(enough_descriptors("", 20_000, 1, None).is_ok());
        assert!(enough_descriptors("", 965, 1, Some(1000)).is_ok());
        let refused = enough_descriptors("--connections 966", 966, 1, Some(1000)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "--connections 966: 1001 descriptors are needed and the limit is 1000: raise it \
             (ulimit -Hn, LimitNOFILE=)"
        );
    }

    #[test]
    fn ports() {
        let usual = Some((32_768, 60_999));
        assert!(enough_ports("", 28_232, 1, usual).is_ok());
        assert!(enough_ports("", 56_464, 2, usual).is_ok());
        assert!(enough_ports("", 1_000_000, 1, None).is_ok());
        assert_eq!(
            enough_ports("--streams 28233", 28_233, 1, usual)
                .unwrap_err()
                .to_string(),
            "--streams 28233: one source address allows 28232 connections to one target \
             (net.ipv4.ip_local_port_range is 32768 to 60999): widen the range, or connect from 2 \
             addresses (--source 127.0.0.2-3)"
        );
        let two = enough_ports("", 60_000, 2, usual).unwrap_err().to_string();
        assert!(
            two.contains("each of 2 source addresses allows 28232"),
            "{two}"
        );
    }

    #[test]
    fn foreign_sources() {
        let target = "127.0.0.1:7007".parse().unwrap();
        let check = |text: &str| sources(Some(&values::sources(text).unwrap()), target);
        assert!(check("127.0.0.2-9").is_ok());
        let other = check("::1").unwrap_err().to_string();
        let text = "--source ::1: the target 127.0.0.1:7007 has the other IP version";
        assert_eq!(other, text);
        // Reserved for documentation (RFC 5737).
        let foreign = check("192.0.2.1").unwrap_err().to_string();
        let start = "--source 192.0.2.1: cannot bind: ";
        assert!(foreign.starts_with(start), "{foreign}");
    }

    #[test]
    fn congestion_control() {
        assert!(known_congestion("cubic", "reno cubic").is_ok());
        assert_eq!(
            known_congestion("warp", "reno cubic")
                .unwrap_err()
                .to_string(),
            "--congestion warp: this kernel supports reno cubic; load the module tcp_warp, or \
             choose a supported one"
        );
    }
}
