//! What was counted and measured: totals, latencies, the series over time, and what it all cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::connection_error::{ConnectionError, ErrorKind};
use super::distribution::{Distribution, Packed, Percentiles};
use crate::stats::float;

/// Counts of the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// How long was measured.
    pub elapsed_ns: u64,
    /// Connections that were opened, over all the run.
    pub connections_opened: u64,
    /// Connections that could not be opened.
    pub connections_failed: u64,
    /// Messages that came back whole; of `churn`, connections made, used and closed.
    pub messages: u64,
    /// The same a second; `None` when nothing was measured.
    pub messages_per_second: Option<f64>,
    /// Messages that were due by the clock; open loop only.
    pub due: Option<u64>,
    /// Messages that were due and had not been sent at the end, their connections still waiting for
    /// answers; open loop only. Their latencies are not in any histogram: where there are many, the
    /// latencies shown are lower bounds.
    pub unsent: Option<u64>,
    /// Bytes handed over.
    pub sent_bytes: u64,
    /// The same a second.
    pub sent_bytes_per_second: Option<f64>,
    /// Bytes that came back.
    pub received_bytes: u64,
    /// The same a second.
    pub received_bytes_per_second: Option<f64>,
    /// From the first handshake to the last; of `idle`, the storm.
    pub connecting_ns: Option<u64>,
}

impl Totals {
    /// Adds the counts and times of a later load, and computes the rates anew.
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

/// Latencies, each by where it is counted from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the moment at which a message was meant to leave; open loop only.
    pub intended: Option<Distribution>,
    /// The same without what the client was late with each: what it would be had all left on time.
    pub on_time: Option<Distribution>,
    /// From the moment at which it was handed over.
    pub service: Option<Distribution>,
    /// From the first SYN until the connection was there.
    pub connect: Option<Distribution>,
}

impl Latencies {
    /// The one to look at first: from the intended time if there is one, else the service time.
    #[must_use]
    pub fn first(&self) -> Option<&Distribution> {
        self.intended.as_ref().or(self.service.as_ref())
    }
}

/// One row of the series: an interval of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// From the beginning of the load to the beginning of this row. Negative in ramp and warm-up.
    pub start_ns: i64,
    /// How long the row is: one second, or more in a very long run; the last one may be shorter.
    pub length_ns: u64,
    /// Messages a second that came back; of `churn`, connections.
    pub rate: f64,
    /// Bytes handed over a second.
    pub sent_bytes_per_second: f64,
    /// Bytes that came back a second.
    pub received_bytes_per_second: f64,
    /// Of what came back in the row: from the intended time in an open loop, else service time.
    pub latency: Percentiles,
    /// The same, whole; `None` when nothing came back.
    pub histogram: Option<Packed>,
    /// ErrorCounts in the row.
    pub errors: u64,
    /// Connections open at its end.
    pub connections: u32,
    /// The busiest lane's share of a core, spinning apart.
    pub generator_cores: Option<f64>,
    /// Cores that the server's process used.
    pub server_cores: Option<f64>,
    /// Its memory at the row's end (resident set).
    pub server_rss_bytes: Option<u64>,
}

/// The server's process, all its threads included; `None` what could not be read at the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Which one.
    pub pid: u32,
    /// How many threads it had at the end.
    pub threads: Option<u32>,
    /// CPU time in the measured time.
    pub cpu_ns: Option<u64>,
    /// The same for each message.
    pub cpu_per_message_ns: Option<f64>,
    /// The same for a gigabyte (10^9 bytes) that the client sent or received.
    pub cpu_per_gigabyte_ns: Option<f64>,
    /// CPU time while the connections were opened, for each.
    pub cpu_per_connection_ns: Option<f64>,
    /// CPU time while the connections were held (`idle`).
    pub cpu_hold_ns: Option<u64>,
    /// From before the first connection to the end of the measured time.
    pub cpu_total_ns: Option<u64>,
    /// Memory before the first connection (resident set; socket buffers are the kernel's).
    pub rss_before_bytes: u64,
    /// At the end of the hold, or of the measured time.
    pub rss_held_bytes: Option<u64>,
    /// What came to it, for each connection.
    pub rss_per_connection_bytes: Option<f64>,
}

/// What the load cost this program in the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// CPU time of all lanes, spinning included.
    pub cpu_ns: Option<u64>,
    /// What of it was spent awake for want of anything to do, so as not to be late.
    pub spin_ns: Option<u64>,
    /// The busiest lane's share of a core, without its spinning.
    pub busiest_lane_cores: Option<f64>,
    /// The largest share of the measured time for which a lane was ready to run and had no CPU.
    pub waited_share: Option<f64>,
}

/// What the whole machine counted in the run; `None` where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// Times that a listener's queue was full (`ListenOverflows`), on this machine.
    pub listen_overflows: Option<u64>,
    /// Handshakes dropped for that or another reason (`ListenDrops`).
    pub listen_drops: Option<u64>,
    /// Segments sent again (`RetransSegs`).
    pub retransmits: Option<u64>,
    /// Share of all CPU time that the hypervisor kept for others, in percent.
    pub steal_percent: Option<f64>,
}

/// What went wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// How often anything did.
    pub total: u64,
    /// How often each kind did; a kind that did not is not here.
    pub kinds: BTreeMap<ErrorKind, u64>,
    /// The first few in full.
    pub first: Vec<ConnectionError>,
}
