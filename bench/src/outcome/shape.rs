//! What was asked for: the target and the shape of the load.

use serde::{Deserialize, Serialize};

/// Whom a load is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `A` or `B`, in a duel.
    pub name: Option<String>,
    /// As given: `localhost:7007`.
    pub given: String,
    /// The address that it was found at.
    pub address: String,
    /// The server's process on this machine.
    pub pid: Option<u32>,
}

/// What makes the next message leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// The answer to the one before. Its latency is not what users see: a server that stalls is
    /// asked nothing meanwhile.
    Closed,
    /// The clock, whatever the server does.
    Open,
}

/// The load. What a verb has no use for is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// What makes the next message leave.
    #[serde(rename = "loop")]
    pub loop_: Loop,
    /// Threads that make the load.
    pub lanes: u32,
    /// `io_uring`, `epoll`, or both with a plus.
    pub poller: String,
    /// Connections held, or made at a time.
    pub connections: u32,
    /// Messages a second in all; open loop only.
    pub rate: Option<f64>,
    /// `constant` or `poisson`; open loop only.
    pub arrival: Option<String>,
    /// Bytes in a message as asked for: `64`, `64:90,16384:10`, `lognormal:1024,2`.
    pub size: Option<String>,
    /// Its mean in bytes.
    pub size_mean: Option<f64>,
    /// The message itself, where it is not a pattern that comes back: text with escapes.
    pub request: Option<String>,
    /// What an answer to it is: `until \r\n`, `7 bytes`, `exactly +PONG\r\n`.
    pub reply: Option<String>,
    /// What each connection begins with, and what answers that, in the same words.
    pub opening: Option<String>,
    /// Messages under way on a connection at once, at most.
    pub pipeline: u32,
    /// Whether every byte that came back was compared.
    pub verify: bool,
    /// Time over which the connections began.
    pub ramp_ns: u64,
    /// Time before the measured time, after the ramp.
    pub warmup_ns: u64,
    /// The measured time, if it was given.
    pub duration_ns: Option<u64>,
    /// The number of messages, if that was given.
    pub count: Option<u64>,
    /// Time for which connections were held.
    pub hold_ns: Option<u64>,
    /// Whether all connections were opened at once (`idle --storm`).
    pub storm: bool,
    /// `fin` or `rst` (`churn`).
    pub close: Option<String>,
    /// `up`, `down` or `both` (`bulk`).
    pub direction: Option<String>,
    /// Local addresses, as given.
    pub source: Option<String>,
    /// Congestion control of the connections, if one was asked for.
    pub congestion: Option<String>,
    /// `v1` or `v2`, where each connection begins with a PROXY header.
    pub proxy: Option<String>,
}
