//! The machine of a load, as far as it affects the results. Contains no name of the machine or its
//! owner.

use std::fs;
use std::thread;

use corelane::sys;
use serde::{Deserialize, Serialize};

/// Facts about the machine; `None` where the system does not report them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `Linux 6.18.0`.
    pub kernel: Option<String>,
    /// The model of the first processor.
    pub cpu: Option<String>,
    /// Processors available to this program.
    pub cores: Option<u32>,
    /// The system's default congestion control.
    pub congestion: Option<String>,
    /// The limit on descriptors of this program.
    pub descriptors_max: Option<u64>,
    /// The maximum length of an accept queue (`net.core.somaxconn`).
    pub somaxconn: Option<u32>,
    /// The first and the last local port.
    pub ports: Option<(u16, u16)>,
    /// Load averages over 1, 5 and 15 minutes, from before the load.
    pub loadavg: Option<[f64; 3]>,
}

impl Environment {
    /// Reads the facts now.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let cores = thread::available_parallelism().ok();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").map(|text| format!("Linux {}", text.trim())),
            cpu: read("/proc/cpuinfo").as_deref().and_then(cpu_model),
            cores: cores.and_then(|cores| u32::try_from(cores.get()).ok()),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control")
                .map(|text| text.trim().to_owned()),
            descriptors_max: sys::file_limit().ok().map(|limit| limit as u64),
            somaxconn: read("/proc/sys/net/core/somaxconn")
                .and_then(|text| text.trim().parse().ok()),
            ports: read("/proc/sys/net/ipv4/ip_local_port_range")
                .as_deref()
                .and_then(port_range),
            loadavg: read("/proc/loadavg").as_deref().and_then(loadavg),
        }
    }
}

/// `model name` of `/proc/cpuinfo`; absent on ARM.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Two ports, separated by blanks.
pub(crate) fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut ports = text.split_whitespace().map(|port| port.parse().ok());
    Some((ports.next()??, ports.next()??))
}

/// The first three fields of proc_loadavg(5).
fn loadavg(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_whitespace().map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??])
}

#[cfg(test)]
mod tests {
    use super::{cpu_model, loadavg, port_range};

    #[test]
    fn reads_what_linux_writes() {
        let cpuinfo = "processor\t: 0\nmodel name\t: An Engine @ 1 MHz\nprocessor\t: 1\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("An Engine @ 1 MHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
        assert_eq!(port_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(port_range("32768"), None);
        assert_eq!(loadavg("0.10 1.00 2.5 1/99 7\n"), Some([0.1, 1.0, 2.5]));
        assert_eq!(loadavg(""), None);
    }
}
