//! What is said of the numbers: whether they can be believed, and whether they are good enough.

use serde::{Deserialize, Serialize};

/// A threshold of `--fail-if`, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// As given: `p99>2ms`.
    pub condition: String,
    /// What was measured, in nanoseconds, messages a second, percent or a count; `None` when the
    /// sample does not support it.
    pub measured: Option<f64>,
    /// Whether the condition held, so that the run failed. A figure that could not be measured
    /// fails too: nobody may take silence for a pass.
    pub failed: bool,
}

/// Whether the numbers can be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// No reason against it.
    pub valid: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
    /// What a reader should know, though the numbers stand.
    pub notes: Vec<String>,
}

/// One reason not to believe the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Which.
    pub doubt: Doubt,
    /// The same in words, with the figures.
    pub message: String,
}

/// The reasons that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Messages left late, and more than a tenth of one of the percentiles comes of that.
    SendLateness,
    /// An open loop's lane used more than 85 % of a core: the client was measured, not the server.
    GeneratorSaturated,
    /// A lane waited for a CPU for more than a tenth of the measured time, or a hypervisor kept
    /// more than a tenth of this machine's.
    GeneratorStarved,
    /// Nothing came back within the measured time.
    NothingMeasured,
}
