//! The load in the plan: target and shape.

use serde::{Deserialize, Serialize};

/// The target of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The name in a duel.
    pub name: Option<String>,
    /// The target argument: `localhost:7007`.
    pub given: String,
    /// The resolved address.
    pub address: String,
    /// The server's process on this machine.
    pub pid: Option<u32>,
}

/// The trigger of the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// The previous reply. While the server stalls the client sends nothing, so the latency differs
    /// from the latency that users see.
    Closed,
    /// The clock, independent of the server.
    Open,
}

/// The shape of a load. Options without a meaning for the verb are `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The trigger of the next message.
    #[serde(rename = "loop")]
    pub loop_: Loop,
    /// Number of threads that generate the load.
    pub lanes: u32,
    /// `io_uring`, `epoll`, or `io_uring+epoll`.
    pub poller: String,
    /// Number of connections; with `churn`, of concurrent ones.
    pub connections: u32,
    /// Messages a second over all connections; open loop only.
    pub rate: Option<f64>,
    /// `constant` or `poisson`; open loop only.
    pub arrival: Option<String>,
    /// The message size argument: `64`, `64:90,16384:10`, `lognormal:1024,2`.
    pub size: Option<String>,
    /// The mean size in bytes.
    pub size_mean: Option<f64>,
    /// The scripted request, as text with escapes.
    pub request: Option<String>,
    /// The scripted reply: `everything up to \r\n`, `7 bytes`, `exactly +PONG\r\n`.
    pub reply: Option<String>,
    /// The script's opening and its reply, in the same form.
    pub opening: Option<String>,
    /// Maximum number of messages in flight on a connection.
    pub pipeline: u32,
    /// Whether every received byte was compared.
    pub verify: bool,
    /// Time over which the connections started.
    pub ramp_ns: u64,
    /// Time between ramp and measured time.
    pub warmup_ns: u64,
    /// The measured time, unless a count was set.
    pub duration_ns: Option<u64>,
    /// The number of measured messages, if set.
    pub count: Option<u64>,
    /// Time for which the connections were held.
    pub hold_ns: Option<u64>,
    /// Whether all connections were opened at once (`idle --storm`).
    pub storm: bool,
    /// `fin` or `rst` (`churn`).
    pub close: Option<String>,
    /// `up`, `down` or `both` (`bulk`).
    pub direction: Option<String>,
    /// The text of `--source`.
    pub source: Option<String>,
    /// Congestion control of the connections, if set.
    pub congestion: Option<String>,
    /// `v1` or `v2`, if each connection starts with a PROXY header.
    pub proxy: Option<String>,
}
