//! What a corelane server counted during a load, by its metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The difference of the server's metrics from the first connect to the end of the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerMetrics {
    /// The page.
    pub url: String,
    /// CPU time of all lanes.
    pub cpu_ns: Option<u64>,
    /// Histograms of times, without those of no time.
    pub times: Vec<ServerTimes>,
    /// Ended sessions by reason, without reasons of none.
    pub ended: BTreeMap<String, u64>,
}

/// The times of a histogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerTimes {
    /// The name of the metric.
    pub metric: String,
    /// The number of times.
    pub count: u64,
    /// Their mean.
    pub mean_ns: f64,
    /// The least bound of the histogram that half of the times do not exceed; `None` above the last
    /// bound.
    pub p50_max_ns: Option<u64>,
    /// The same of 90 percent.
    pub p90_max_ns: Option<u64>,
    /// The same of 99 percent.
    pub p99_max_ns: Option<u64>,
}
