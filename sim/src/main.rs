//! Runs corelane on a simulated kernel: a campaign over many seeds, or a single seed.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use corelane_sim::sim::{Campaign, Cut, Report, Violation, campaign, explain};
use corelane_sim::sys::now;
use corelane_sim::sys::sim::{Fault, Faults};

/// Runs the whole server on a simulated kernel; a seed determines every order and every fault.
///
/// Exits with 0 if every invariant held, 1 if one was broken, 2 for a usage error.
#[derive(Debug, Parser)]
#[command(name = "corelane-sim", version)]
struct Arguments {
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Run this seed alone and print its last events
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// With --seed: switch these faults off
    #[arg(long, value_name = "FAULT", value_delimiter = ',', value_parser = fault)]
    without: Vec<Fault>,
    /// With --seed: run at most this many clients
    #[arg(long, value_name = "N")]
    clients: Option<usize>,
    /// With --seed: how many of the last events to print
    #[arg(long, value_name = "N", default_value_t = 80)]
    events: usize,
    /// Threads [default: one for each CPU]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print how often each fault struck and each mark was passed
    #[arg(long)]
    marks: bool,
    /// Fail if a fault never struck or a mark was never passed
    #[arg(long)]
    all_marks: bool,
}

fn fault(text: &str) -> Result<Fault, String> {
    let all = Fault::ALL.iter();
    let found = all.copied().find(|fault| format!("{fault:?}") == text);
    found.ok_or_else(|| format!("write one of {:?}", Fault::ALL))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::stdout();
    let result = match arguments.seed {
        Some(seed) => one(seed, &arguments, &mut out),
        None => many(&arguments, &mut out),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        // Also when nobody reads what is written.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn one(seed: u64, arguments: &Arguments, out: &mut impl Write) -> io::Result<bool> {
    let mut faults = Faults::NONE;
    arguments
        .without
        .iter()
        .for_each(|&fault| faults.add(fault));
    let given = arguments.clients.is_some() || !arguments.without.is_empty();
    let clients = arguments.clients;
    let cut = given.then_some(Cut { faults, clients });
    match explain(seed, cut) {
        Ok(outcome) => {
            writeln!(
                out,
                "seed {seed}: every invariant held; {} connections, trace {:016x}, faults {:?}",
                outcome.connections, outcome.trace, outcome.faults
            )?;
            Ok(true)
        }
        Err((violation, cut, faults, words)) => {
            for line in &words[words.len().saturating_sub(arguments.events)..] {
                writeln!(out, "  {line}")?;
            }
            writeln!(out, "faults: {faults:?}")?;
            writeln!(out, "seed {seed}: {violation}")?;
            writeln!(out, "again: {}", command(seed, &cut))?;
            Ok(false)
        }
    }
}

/// The command that repeats a failure.
fn command(seed: u64, cut: &Cut) -> String {
    let mut text = format!("cargo run --release -p corelane-sim -- --seed {seed}");
    if let Some(clients) = cut.clients {
        text.push_str(&format!(" --clients {clients}"));
    }
    let without: Vec<String> = cut
        .faults
        .iter()
        .map(|fault| format!("{fault:?}"))
        .collect();
    if !without.is_empty() {
        text.push_str(&format!(" --without {}", without.join(",")));
    }
    text
}

fn many(arguments: &Arguments, out: &mut impl Write) -> io::Result<bool> {
    let threads = arguments
        .threads
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let what = Campaign {
        from: arguments.from,
        seeds: arguments.seeds,
        threads,
    };
    let began = now();
    let interval = if io::stderr().is_terminal() { 1 } else { 10 };
    let mut shown = began;
    let progress = |seeds: u64, connections: u64, failures: usize| {
        if now().since(shown) < Duration::from_secs(interval) {
            return;
        }
        shown = now();
        let line = rates(seeds, connections, now().since(began));
        // A closed stderr is no failure.
        drop(writeln!(io::stderr(), "{line}, {failures} failures"));
    };
    let failure = |seed: u64, violation: &Violation, cut: &Cut| {
        let again = command(seed, cut);
        drop(writeln!(
            io::stderr(),
            "seed {seed}: {violation}\nagain: {again}"
        ));
    };
    let report = campaign(&what, progress, failure);
    let line = rates(report.seeds, report.connections, now().since(began));
    writeln!(out, "{line}")?;
    tell(&report, arguments, out)
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rates(seeds: u64, connections: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    format!(
        "{seeds} seeds, {connections} simulated connections in {seconds:.1} s: {:.0} seeds/s, \
         {:.0} connections/s",
        seeds as f64 / seconds,
        connections as f64 / seconds
    )
}

fn tell(report: &Report, arguments: &Arguments, out: &mut impl Write) -> io::Result<bool> {
    if arguments.marks {
        for (name, count) in report.marks.counts() {
            writeln!(out, "{count:>14} {name}")?;
        }
    }
    for (seed, violation, cut) in &report.failures {
        writeln!(out, "seed {seed}: {violation}")?;
        writeln!(out, "again: {}", command(*seed, cut))?;
    }
    let missing = report.marks.missing();
    if !missing.is_empty() {
        writeln!(out, "never happened: {}", missing.join(", "))?;
    }
    Ok(report.failures.is_empty() && (missing.is_empty() || !arguments.all_marks))
}
