//! The command line, and what it says by itself about cells, servers, rounds and files.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cells::{CELLS, Cell};
use crate::measure::Slice;
use crate::servers::{SERVERS, Server};

/// With 100 ms before, a slice of every server in every cell, ten times, takes about half an hour.
const SLICE_MS: u64 = 500;
const WARMUP_MS: u64 = 100;
const ROUNDS: u32 = 10;
/// Enough to see every server work, and to say nothing about it.
const QUICK: (u32, u64) = (2, 200);

/// Measures corelane, the limit and the peers side by side, and writes the results
///
/// Every server runs alone on one core; in each round every server has one slice, in an order that
/// turns. Exits with 0 if all went well, 1 if not.
#[derive(Debug, Parser)]
#[command(name = "bench/peers/run")]
pub(crate) struct Options {
    /// Rounds of each cell [default: 10]; below 6 there are no intervals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Only these cells, by name or number: echo-1,7
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = cell)]
    cells: Vec<String>,
    /// Only these servers, by name: corelane,c-epoll
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = server)]
    servers: Vec<String>,
    /// How long a slice is measured, in milliseconds [default: 500]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(50..=60_000))]
    slice: Option<u64>,
    /// Two rounds of short slices: shows that all work, says nothing about how well
    #[arg(long)]
    quick: bool,
    /// Spend about so many minutes, with as many rounds as they allow up to --rounds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: Option<u32>,
    /// The page; the folder of the same name with .d appended has the full report (report.md), the
    /// JSON of all rounds and the HTML reports
    #[arg(long, value_name = "FILE", default_value = "target/peers/RESULTS.md")]
    pub(crate) out: PathBuf,
    /// Measure nothing: exchange verified bytes, half-close and reset through every server
    #[arg(long)]
    pub(crate) check: bool,
    /// Measure nothing: write page and report again, from the rounds of an earlier run
    /// (FILE.d/rounds.json)
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// The core that each server has to itself
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core of the load client and of the upstream; not the servers'
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) client_core: usize,
    /// The folder that bench/peers/install made
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: PathBuf,
    /// As it was typed, for the page
    #[arg(long, env = "PEERS_COMMAND", hide = true, default_value = "peers")]
    pub(crate) command: String,
}

impl Options {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
            .unwrap_or(if self.quick { QUICK.0 } else { ROUNDS })
    }

    pub(crate) fn slice(&self) -> Slice {
        let measured = self
            .slice
            .unwrap_or(if self.quick { QUICK.1 } else { SLICE_MS });
        Slice {
            warmup: Duration::from_millis(WARMUP_MS),
            measured: Duration::from_millis(measured),
        }
    }

    pub(crate) fn cells(&self) -> Vec<&'static Cell> {
        let wanted =
            |cell: &&Cell| self.cells.is_empty() || self.cells.iter().any(|name| names(cell, name));
        CELLS.iter().filter(wanted).collect()
    }

    pub(crate) fn wants(&self, server: &Server) -> bool {
        self.servers.is_empty() || self.servers.iter().any(|name| name == server.name)
    }

    /// The folder of everything except the page.
    pub(crate) fn documents(&self) -> PathBuf {
        let mut name = self.out.clone().into_os_string();
        name.push(".d");
        name.into()
    }
}

fn names(cell: &Cell, name: &str) -> bool {
    cell.name == name || cell.number.to_string() == name
}

fn cell(name: &str) -> Result<String, String> {
    match CELLS.iter().any(|cell| names(cell, name)) {
        true => Ok(name.to_owned()),
        false => {
            let known: Vec<&str> = CELLS.iter().map(|cell| cell.name).collect();
            Err(format!("cells are {}", known.join(", ")))
        }
    }
}

fn server(name: &str) -> Result<String, String> {
    match SERVERS.iter().any(|server| server.name == name) {
        true => Ok(name.to_owned()),
        false => {
            let known: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
            Err(format!("servers are {}", known.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Options;

    fn options(text: &str) -> Options {
        let words = "run --programs p ".to_owned() + text;
        Options::try_parse_from(words.split_whitespace()).unwrap()
    }

    #[test]
    fn the_definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_number_is_all_of_its_cells() {
        let names: Vec<&str> = options("--cells 6,echo-1")
            .cells()
            .iter()
            .map(|cell| cell.name)
            .collect();
        assert_eq!(names, ["echo-1", "proxy-50", "proxy-1000"]);
        assert!(Options::try_parse_from(["run", "--programs", "p", "--cells", "none"]).is_err());
    }

    #[test]
    fn quick_is_overridden_by_what_is_said() {
        let quick = options("--quick --rounds 6");
        assert_eq!(
            (quick.rounds(), quick.slice().measured.as_millis()),
            (6, 200)
        );
        assert_eq!(options("").rounds(), 10);
    }
}
