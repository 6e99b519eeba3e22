//! Measurements: totals, latencies, the series over time, and resource use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::connection_error::{ConnectionError, ErrorKind};
use super::distribution::{Distribution, Packed, Percentiles};
use crate::stats::float;

/// Counts of the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// The length of the measured time.
    pub elapsed_ns: u64,
    /// Connections opened over the whole run.
    pub connections_opened: u64,
    /// Failed connects.
    pub connections_failed: u64,
    /// Messages with a complete reply; with `churn`, connections from connect to close.
    pub messages: u64,
    /// The same a second; `None` without measured time.
    pub messages_per_second: Option<f64>,
    /// Messages due; open loop only.
    pub due: Option<u64>,
    /// Due messages still unsent at the end because their connections waited for replies; open loop
    /// only. No histogram contains their latencies, so with many of them the reported latencies are
    /// lower bounds.
    pub unsent: Option<u64>,
    /// Sent bytes.
    pub sent_bytes: u64,
    /// The same a second.
    pub sent_bytes_per_second: Option<f64>,
    /// Received bytes.
    pub received_bytes: u64,
    /// The same a second.
    pub received_bytes_per_second: Option<f64>,
    /// From the start of the first handshake to the end of the last.
    pub connecting_ns: Option<u64>,
}

impl Totals {
    /// Adds the counts of a further load and computes the rates again.
    pub(crate) fn add(&mut self, more: &Self) {
        self.elapsed_ns += more.elapsed_ns;
        self.connections_opened += more.connections_opened;
        self.connections_failed += more.connections_failed;
        self.messages += more.messages;
        self.sent_bytes += more.sent_bytes;
        self.received_bytes += more.received_bytes;
        let add = |sum: Option<u64>, more: Option<u64>| more.map(|more| sum.unwrap_or(0) + more);
        self.due = add(self.due, more.due);
        self.unsent = add(self.unsent, more.unsent);
        let seconds = float(self.elapsed_ns) / 1e9;
        let rate = |amount: u64| (seconds > 0.0).then(|| float(amount) / seconds);
        self.messages_per_second = rate(self.messages);
        self.sent_bytes_per_second = rate(self.sent_bytes);
        self.received_bytes_per_second = rate(self.received_bytes);
    }
}

/// Latencies by the start of the measured interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the due time of a message; open loop only.
    pub intended: Option<Distribution>,
    /// The same without send lateness: the latency from a client without delays.
    pub on_time: Option<Distribution>,
    /// From the send of a message.
    pub service: Option<Distribution>,
    /// From the first SYN to the established connection.
    pub connect: Option<Distribution>,
}

impl Latencies {
    /// The latency that matters first: from the due time in an open loop, service time in a closed
    /// loop.
    #[must_use]
    pub fn first(&self) -> Option<&Distribution> {
        self.intended.as_ref().or(self.service.as_ref())
    }
}

/// A row of the series: one interval of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Start of the row, relative to the measured time. Negative in ramp and warm-up.
    pub start_ns: i64,
    /// Length of the row: one second, or more in a very long run. The last row may be shorter.
    pub length_ns: u64,
    /// Replies a second; with `churn`, connections.
    pub rate: f64,
    /// Sent bytes a second.
    pub sent_bytes_per_second: f64,
    /// Received bytes a second.
    pub received_bytes_per_second: f64,
    /// Latency of the row's replies: from the due time in an open loop, service time in a closed
    /// loop.
    pub latency: Percentiles,
    /// The whole distribution; `None` without replies.
    pub histogram: Option<Packed>,
    /// Errors in the row.
    pub errors: u64,
    /// Open connections at the end of the row.
    pub connections: u32,
    /// The busiest lane's share of a core, without spinning.
    pub generator_cores: Option<f64>,
    /// Cores used by the server's process.
    pub server_cores: Option<f64>,
    /// Memory of the server's process at the end of the row (resident set).
    pub server_rss_bytes: Option<u64>,
}

/// The server's process with all its threads; `None` for values that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The process ID.
    pub pid: u32,
    /// Number of threads at the end.
    pub threads: Option<u32>,
    /// CPU time in the measured time.
    pub cpu_ns: Option<u64>,
    /// CPU time a message.
    pub cpu_per_message_ns: Option<f64>,
    /// CPU time for a gigabyte (10^9 bytes) sent or received by the client.
    pub cpu_per_gigabyte_ns: Option<f64>,
    /// CPU time during the connects, for each connection.
    pub cpu_per_connection_ns: Option<f64>,
    /// CPU time during the hold (`idle`).
    pub cpu_hold_ns: Option<u64>,
    /// CPU time from before the first connection to the end of the measured time.
    pub cpu_total_ns: Option<u64>,
    /// Memory before the first connection (resident set, without socket buffers).
    pub rss_before_bytes: u64,
    /// Memory at the end of the hold, or of the measured time.
    pub rss_held_bytes: Option<u64>,
    /// Additional memory for each connection.
    pub rss_per_connection_bytes: Option<f64>,
}

/// Resource use of this program in the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// CPU time of all lanes, spinning included.
    pub cpu_ns: Option<u64>,
    /// CPU time spent spinning to be on time.
    pub spin_ns: Option<u64>,
    /// The busiest lane's share of a core, without spinning.
    pub busiest_lane_cores: Option<f64>,
    /// The largest share of the measured time that a lane was ready to run without a CPU.
    pub waited_share: Option<f64>,
}

/// Counters of the whole machine during the run; `None` where the system has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// Overflows of accept queues on this machine (`ListenOverflows`).
    pub listen_overflows: Option<u64>,
    /// Handshakes dropped for any reason (`ListenDrops`).
    pub listen_drops: Option<u64>,
    /// Retransmitted segments (`RetransSegs`).
    pub retransmits: Option<u64>,
    /// CPU time stolen by the hypervisor, in percent.
    pub steal_percent: Option<f64>,
}

/// Errors of the connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Number of errors.
    pub total: u64,
    /// Number of errors by kind, without kinds of none.
    pub kinds: BTreeMap<ErrorKind, u64>,
    /// The first errors in full.
    pub first: Vec<ConnectionError>,
}
