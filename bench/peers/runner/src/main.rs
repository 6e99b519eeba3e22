//! Runs corelane, the limit and the peers side by side and writes the results: `bench/peers/run`
//! starts it with everything built. Options in, cells measured one after the other, files out.

mod cells;
mod check;
mod figures;
mod held;
mod instance;
mod judge;
mod load;
mod measure;
mod options;
mod page;
mod process;
mod procfs;
mod results;
mod rounds;
mod servers;
mod table;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use corelane_bench::outcome::Environment;

use crate::cells::Cell;
use crate::instance::{Place, missing};
use crate::options::Options;
use crate::page::Page;
use crate::process::Interrupt;
use crate::results::{Described, Measured, Results};
use crate::rounds::Rounds;
use crate::servers::{SERVERS, Server};
use crate::table::Table;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench/peers/run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False: something that was asked for could not be done.
fn run(options: &Options) -> io::Result<bool> {
    if let Some(from) = &options.from {
        return write_again(from, options).map(|()| true);
    }
    // Before this process is bound to one core.
    let environment = Environment::here();
    let place = place(options)?;
    let servers: Vec<&'static Server> = SERVERS
        .iter()
        .filter(|server| options.wants(server))
        .collect();
    if options.check {
        return check::run(&servers, &place);
    }
    let cells = options.cells();
    let began = Instant::now();
    let mut results = Results {
        command: options.command.clone(),
        date: date()?,
        took_s: 0,
        environment,
        server_core: options.server_core,
        client_core: options.client_core,
        warmup_ms: millis(options.slice().warmup),
        slice_ms: millis(options.slice().measured),
        servers: described(&servers, &place),
        cells: Vec::new(),
        interrupted: false,
    };
    let weights: Vec<f64> = cells
        .iter()
        .map(|cell| weight(cell, &servers, &place, options))
        .collect();
    for (at, cell) in cells.iter().enumerate() {
        let share = weights[..=at].iter().sum::<f64>() / weights.iter().sum::<f64>();
        let rounds = Rounds {
            place: &place,
            slice: options.slice(),
            count: options.rounds(),
            until: options
                .minutes
                .map(|minutes| began + budget(minutes).mul_f64(share)),
            documents: options.documents(),
        };
        let servers = of_cell(cell, &servers, &place);
        eprintln!("{}: {} servers", cell.name, servers.len());
        let mut measured = Measured {
            cell: cell.name.to_owned(),
            ..Measured::default()
        };
        let done = rounds.measure(cell, &servers, &mut measured);
        results.cells.push(measured);
        results.took_s = began.elapsed().as_secs();
        results.interrupted = done.is_err();
        // After each cell, so that no measurement is lost; the page is written once.
        keep(&results, options)?;
        if results.interrupted {
            break;
        }
    }
    write(&results, options)?;
    let reported = report(&results, &place, &options.documents());
    eprintln!("{}", options.out.display());
    Ok(!results.interrupted && reported)
}

fn place(options: &Options) -> io::Result<Place> {
    let interrupt = Interrupt::install()?;
    let scratch = options.documents().join("scratch");
    fs::create_dir_all(&scratch)?;
    // Beside the load client: the servers' core is theirs alone.
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(options.client_core);
    rustix::thread::sched_setaffinity(None, &cores)
        .map_err(|error| io::Error::other(format!("no core {}: {error}", options.client_core)))?;
    Ok(Place {
        programs: fs::canonicalize(&options.programs).map_err(|error| {
            io::Error::other(format!(
                "{}: {error}; run bench/peers/install",
                options.programs.display()
            ))
        })?,
        scratch: fs::canonicalize(scratch)?,
        server_core: options.server_core,
        client_core: options.client_core,
        interrupt,
    })
}

/// The servers that have a part in a cell.
fn of_cell(cell: &Cell, servers: &[&'static Server], place: &Place) -> Vec<&'static Server> {
    let bulk = matches!(cell.work, cells::Work::Bulk { .. });
    servers
        .iter()
        .copied()
        .filter(|server| match cell.servers.is_empty() {
            // Two lanes are only measured where they are asked for.
            true => (bulk || !server.bulk_only) && !server.name.contains("2-lanes"),
            false => cell.servers.contains(&server.name),
        })
        .filter(|server| server.services.contains(&cell.service))
        .filter(|server| missing(server, cell.service, place).is_none())
        .collect()
}

/// About how long a cell takes, in seconds, to share out a budget.
fn weight(cell: &Cell, servers: &[&'static Server], place: &Place, options: &Options) -> f64 {
    let count = of_cell(cell, servers, place).len();
    let rounds = f64::from(options.rounds().min(cell.rounds_max));
    let each = measure::takes(cell.work, options.slice()).as_secs_f64();
    each * rounds * u32::try_from(count).map_or(1.0, f64::from)
}

fn described(servers: &[&'static Server], place: &Place) -> Vec<Described> {
    let versions = fs::read_to_string(place.programs.join("versions")).unwrap_or_default();
    let version = |server: &Server| {
        let mut lines = versions.lines().filter_map(|line| line.split_once('\t'));
        let of = lines.find(|(name, _)| {
            let rest = server.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        of.map_or_else(|| "unknown".to_owned(), |(_, version)| version.to_owned())
    };
    servers
        .iter()
        .map(|server| Described {
            name: server.name.to_owned(),
            version: version(server),
            tuned: server.tuned.to_owned(),
            skipped: server
                .services
                .iter()
                .find_map(|service| missing(server, *service, place)),
        })
        .collect()
}

/// What `--from` reads.
fn keep(results: &Results, options: &Options) -> io::Result<()> {
    let json = serde_json::to_string_pretty(results).map_err(io::Error::other)?;
    fs::write(options.documents().join("rounds.json"), json + "\n")
}

/// The page, and beside it the full report.
fn write(results: &Results, options: &Options) -> io::Result<()> {
    fs::write(&options.out, Page(results).to_string())?;
    fs::create_dir_all(options.documents())?;
    let report = options.documents().join("report.md");
    fs::write(report, Table(results).to_string())
}

/// Page and report of rounds that were measured earlier.
fn write_again(from: &Path, options: &Options) -> io::Result<()> {
    let results = fs::read_to_string(from)
        .and_then(|text| serde_json::from_str::<Results>(&text).map_err(io::Error::other));
    let results = results.map_err(|error| {
        let from = from.display();
        io::Error::other(format!(
            "--from {from}: {error}; it wants rounds.json of a run"
        ))
    })?;
    write(&results, options)
}

/// One HTML file for each cell, of the client's documents of the last round.
fn report(results: &Results, place: &Place, documents: &Path) -> bool {
    let mut good = true;
    for measured in &results.cells {
        let Ok(entries) = fs::read_dir(documents.join(&measured.cell)) else {
            continue;
        };
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        // Where the runner itself holds the connections, there are none.
        if files.is_empty() {
            continue;
        }
        files.sort();
        let html = documents.join(format!("{}.html", measured.cell));
        let made = Command::new(place.programs.join("corelane-bench"))
            .arg("report")
            .args(files)
            .arg("--html")
            .arg(html)
            .output();
        match made {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().next().unwrap_or_default();
                eprintln!("report of {}: {said}", measured.cell);
                good = false;
            }
            Err(error) => {
                eprintln!("report of {}: {error}", measured.cell);
                good = false;
            }
        }
    }
    good
}

/// UTC, to the minute.
fn date() -> io::Result<String> {
    let output = Command::new("date").args(["-u", "+%F %R UTC"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn budget(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
