//! The rounds as they were measured: what goes into the JSON file, and what the table is made of.

use std::collections::BTreeMap;

use corelane_bench::outcome::Environment;
use serde::{Deserialize, Serialize};

use crate::measure::Values;

/// All that one invocation measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The command line.
    pub(crate) command: String,
    /// When it began, UTC.
    pub(crate) date: String,
    pub(crate) took_s: u64,
    pub(crate) environment: Environment,
    pub(crate) server_core: usize,
    pub(crate) client_core: usize,
    pub(crate) warmup_ms: u64,
    pub(crate) slice_ms: u64,
    pub(crate) servers: Vec<Described>,
    pub(crate) cells: Vec<Measured>,
    /// Ctrl-C ended it early.
    pub(crate) interrupted: bool,
}

/// A server, as the table lists it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) tuned: String,
    /// Why it was not measured.
    pub(crate) skipped: Option<String>,
}

/// One cell's rounds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) cell: String,
    /// What was found out before the rounds, in words.
    pub(crate) notes: Vec<String>,
    pub(crate) rounds: Vec<Round>,
    /// Server and message, for each slice that gave nothing.
    pub(crate) failures: Vec<(String, String)>,
}

/// One round: each server once.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Round {
    /// In this order.
    pub(crate) order: Vec<String>,
    /// By server.
    pub(crate) values: BTreeMap<String, Values>,
}

impl Measured {
    /// A server's figure in each round that has it.
    pub(crate) fn figure(&self, server: &str, key: &str) -> Vec<f64> {
        let rounds = self.rounds.iter();
        rounds
            .filter_map(|round| round.value(server, key))
            .collect()
    }

    /// One server's figure divided by another's, inside each round that has both.
    pub(crate) fn ratios(&self, of: &str, to: &str, key: &str) -> Vec<f64> {
        let rounds = self.rounds.iter();
        rounds
            .filter_map(|round| Some(round.value(of, key)? / round.value(to, key)?))
            .filter(|ratio| ratio.is_finite())
            .collect()
    }
}

impl Round {
    fn value(&self, server: &str, key: &str) -> Option<f64> {
        self.values.get(server)?.get(key).copied()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use corelane_bench::outcome::Environment;

    use super::{Described, Measured, Results, Round};

    /// What one invocation measured, with Envoy left out.
    pub(crate) fn results(cells: Vec<Measured>) -> Results {
        Results {
            command: "bench/peers/run --quick".to_owned(),
            date: "2026-01-01".to_owned(),
            took_s: 61,
            environment: Environment::here(),
            server_core: 0,
            client_core: 1,
            warmup_ms: 100,
            slice_ms: 500,
            servers: vec![Described {
                name: "envoy".to_owned(),
                version: String::new(),
                tuned: String::new(),
                skipped: Some("envoy could not be built or installed".to_owned()),
            }],
            cells,
            interrupted: false,
        }
    }

    /// Rounds of one figure: a row is a server and its value in each round.
    pub(crate) fn measured(key: &str, rows: &[(&str, &[f64])]) -> Measured {
        let count = rows
            .iter()
            .map(|(_, values)| values.len())
            .max()
            .unwrap_or(0);
        let rounds = (0..count).map(|at| Round {
            order: Vec::new(),
            values: rows
                .iter()
                .filter_map(|(name, values)| Some((name, values.get(at)?)))
                .map(|(name, value)| ((*name).to_owned(), [(key.to_owned(), *value)].into()))
                .collect(),
        });
        Measured {
            rounds: rounds.collect(),
            ..Measured::default()
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let measured = measured("cpu", &[("a", &[2.0, 30.0, 5.0]), ("b", &[1.0, 10.0])]);
        // Drift of ten times between the rounds is not in them.
        assert_eq!(measured.ratios("a", "b", "cpu"), [2.0, 3.0]);
        assert_eq!(measured.ratios("a", "none", "cpu"), [0.0; 0]);
        assert_eq!(measured.figure("a", "cpu"), [2.0, 30.0, 5.0]);
        assert_eq!(measured.figure("a", "rate"), [0.0; 0]);
    }
}
