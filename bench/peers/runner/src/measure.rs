//! One slice: some work done to one server, and what it cost. Every figure of a cell is made here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use corelane_bench::outcome::Outcome;

use crate::cells::Work;
use crate::held::Held;
use crate::instance::{Instance, Place, Upstream};
use crate::load::{self, Load, Standing};
use crate::process::Process;
use crate::procfs::{self, Core, float};

/// Bytes that pass on each connection in a burst.
const BURST_BYTES: usize = 64 << 10;
/// How long a server has to give back what a burst took.
const SETTLE: Duration = Duration::from_secs(1);
/// How long an idle server is watched.
const IDLE_WATCHED: Duration = Duration::from_secs(2);
/// From so many connections on a slice is longer.
const MANY: u32 = 5000;
/// One cycle through so many takes 100 ms.
const MANY_SLICES: u32 = 3;
/// A p99.9 takes 10,000 messages.
const LATENCY_SLICES: u32 = 2;
/// A p99 takes 1,000 messages, and those that a bulk transfer holds up come late.
const ELEPHANT_SLICES: u32 = 4;
/// Attaching to a process that runs takes milliseconds.
const ATTACH_MAX: u32 = 400;

/// Figures by their keys.
pub(crate) type Values = BTreeMap<String, f64>;

/// How long a slice takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) warmup: Duration,
    pub(crate) measured: Duration,
}

/// What a slice is made of beside the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) place: &'a Place,
    pub(crate) slice: Slice,
    /// Messages a second at half of the limit's knee, for [`Work::Latency`].
    pub(crate) half_knee: Option<f64>,
    /// Where the client's document is kept.
    pub(crate) keep: &'a Path,
}

/// What has to stand behind a proxy for this work.
pub(crate) fn upstream(work: Work) -> Upstream {
    match work {
        Work::Bulk {
            direction: "up", ..
        } => Upstream::Sink,
        Work::Bulk {
            direction: "down", ..
        } => Upstream::Source,
        Work::Elephant { .. } => Upstream::FairEcho,
        _ => Upstream::Echo,
    }
}

/// Whether each slice needs a server that has done nothing yet.
pub(crate) fn needs_fresh_server(work: Work) -> bool {
    matches!(work, Work::Memory { .. } | Work::Idle { .. })
}

/// About how long one slice takes with all that is around it, to share out a budget. The constants
/// are what it took here beside the slice.
pub(crate) fn takes(work: Work, slice: Slice) -> Duration {
    let slice = slice.warmup + slice.measured;
    let (slices, beside) = match work {
        Work::Exchange { connections, .. } if connections >= MANY => (MANY_SLICES, 1000),
        Work::Latency { .. } => (LATENCY_SLICES, 200),
        Work::Elephant { .. } => (2 * ELEPHANT_SLICES, 1000),
        Work::Memory { .. } | Work::Idle { .. } => (0, 10_000),
        Work::Storm { .. } => (0, 2000),
        Work::SystemCalls { .. } => (0, 1500),
        Work::Exchange { .. } | Work::Churn | Work::Bulk { .. } => (1, 200),
    };
    slice * slices + Duration::from_millis(beside)
}

impl Bench<'_> {
    /// Does the work, and adds the shares of both cores that were busy meanwhile.
    ///
    /// # Errors
    /// The server or the load failed.
    pub(crate) fn measure(&self, work: Work, instance: &Instance) -> io::Result<Values> {
        let (server_core, client_core) = (self.place.server_core, self.place.client_core);
        let before = (Core::now(server_core)?, Core::now(client_core)?);
        let mut values = self.work(work, instance)?;
        let after = (Core::now(server_core)?, Core::now(client_core)?);
        for (key, busy) in [
            ("server_core", after.0.busy_since(before.0)),
            ("client_core", after.1.busy_since(before.1)),
        ] {
            values.extend(busy.map(|busy| (key.to_owned(), busy)));
        }
        Ok(values)
    }

    fn work(&self, work: Work, instance: &Instance) -> io::Result<Values> {
        match work {
            Work::Exchange { connections, bytes } => {
                let many = connections >= MANY;
                let cycles = self.longer(if many { MANY_SLICES } else { 1 });
                let (connections, bytes) = (connections.to_string(), bytes.to_string());
                let arguments = ["--connections", &connections, "--size", &bytes];
                per_message(&cycles.load("run", &arguments, instance)?)
            }
            Work::Churn => per_message(&self.load("churn", &["--connections", "50"], instance)?),
            Work::Bulk { streams, direction } => {
                let streams = streams.to_string();
                let arguments = ["--streams", &streams, "--direction", direction];
                Ok(per_gigabyte(&self.load("bulk", &arguments, instance)?))
            }
            Work::Latency { connections } => self.latency(connections, instance),
            Work::Storm { connections } => self.storm(connections, instance),
            Work::Memory { connections } => self.memory(connections, instance),
            Work::Idle { connections } => self.idle(connections, instance),
            Work::SystemCalls {
                connections,
                messages,
            } => self.system_calls(connections, messages, instance),
            Work::Elephant { connections, rate } => self.elephant(connections, rate, instance),
        }
    }

    /// Runs a verb for one slice.
    fn load(&self, verb: &str, arguments: &[&str], instance: &Instance) -> io::Result<Outcome> {
        let pid = instance.pid().to_string();
        let address = instance.address();
        let (warmup, measured) = (text(self.slice.warmup), text(self.slice.measured));
        let mut all = vec![verb, &address, "--server-pid", &pid];
        all.extend(["--warmup", &warmup, "--duration", &measured]);
        all.extend(arguments);
        load::run(&all, self.place, Some(self.keep))
    }

    /// The same with slices so many times as long.
    fn longer(&self, times: u32) -> Self {
        let slice = Slice {
            warmup: self.slice.warmup * times,
            measured: self.slice.measured * times,
        };
        Self { slice, ..*self }
    }

    fn latency(&self, connections: u32, instance: &Instance) -> io::Result<Values> {
        let rate = self
            .half_knee
            .ok_or_else(|| io::Error::other("the limit has no knee"))?;
        let (connections, rate) = (connections.to_string(), format!("{rate:.0}"));
        let arguments = [
            "--connections",
            &connections,
            "--rate",
            &rate,
            "--arrival",
            "poisson",
        ];
        let outcome = self
            .longer(LATENCY_SLICES)
            .load("run", &arguments, instance)?;
        let mut values = per_message(&outcome)?;
        if !outcome.verdict.valid {
            values.insert("invalid".to_owned(), 1.0);
        }
        let Some(percentiles) = outcome.latency.first().map(|times| &times.percentiles) else {
            return Ok(values);
        };
        for (key, value) in [
            ("p50", percentiles.p50),
            ("p99", percentiles.p99),
            ("p999", percentiles.p99_9),
        ] {
            values.extend(value.map(|nanos| (key.to_owned(), float(nanos) / 1e3)));
        }
        Ok(values)
    }

    fn storm(&self, connections: u32, instance: &Instance) -> io::Result<Values> {
        let (address, connections) = (instance.address(), connections.to_string());
        let arguments = [
            "idle",
            &address,
            "--connections",
            &connections,
            "--duration",
            "0s",
            "--storm",
        ];
        let outcome = load::run(&arguments, self.place, Some(self.keep))?;
        let mut values = Values::new();
        values.extend(
            outcome
                .totals
                .connecting_ns
                .map(|ns| ("time".to_owned(), float(ns) / 1e6)),
        );
        let overflows = outcome.system.listen_overflows;
        values.extend(overflows.map(|count| ("overflows".to_owned(), float(count))));
        Ok(values)
    }

    fn memory(&self, connections: u32, instance: &Instance) -> io::Result<Values> {
        let (pid, interrupt) = (instance.pid(), &self.place.interrupt);
        // What the first connection makes a server load for good is not the second one's.
        drop(Held::open(&instance.address(), 10, interrupt)?);
        let own = || procfs::own_bytes(pid).map(float);
        let before = own()?;
        let held = Held::open(&instance.address(), connections, interrupt)?;
        interrupt.sleep(SETTLE)?;
        let idle = own()? - before;
        let burst: Vec<u8> = (0..BURST_BYTES).map(|at| (at % 251) as u8).collect();
        held.exchange(&burst, interrupt)?;
        interrupt.sleep(SETTLE)?;
        let after = own()? - before;
        let mut values = Values::from([("bytes".to_owned(), idle / f64::from(connections))]);
        // Of a server that holds nothing at all there is no ratio to tell.
        if idle >= 4096.0 {
            values.insert("burst".to_owned(), after / idle);
        }
        values.insert("bytes_after".to_owned(), after / f64::from(connections));
        Ok(values)
    }

    fn idle(&self, connections: u32, instance: &Instance) -> io::Result<Values> {
        let (pid, interrupt) = (instance.pid(), &self.place.interrupt);
        let _held = Held::open(&instance.address(), connections, interrupt)?;
        interrupt.sleep(SETTLE)?;
        let before = procfs::cpu_ns(pid)?;
        interrupt.sleep(IDLE_WATCHED)?;
        let cpu = procfs::cpu_ns(pid)?.saturating_sub(before);
        let share = 100.0 * float(cpu) / 1e9 / IDLE_WATCHED.as_secs_f64();
        Ok(Values::from([("core".to_owned(), share)]))
    }

    fn system_calls(
        &self,
        connections: u32,
        messages: u32,
        instance: &Instance,
    ) -> io::Result<Values> {
        let (place, pid) = (self.place, instance.pid());
        let counts = place.scratch.join("strace.txt");
        let arguments: Vec<String> = [
            "-c",
            "-f",
            "-p",
            &pid.to_string(),
            "-o",
            &counts.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec();
        let log = place.scratch.join("strace.log");
        let program = place.programs.join("strace");
        let (core, interrupt) = (place.client_core, &place.interrupt);
        let mut strace = Process::start("strace", &program, &arguments, core, &log, interrupt)?;
        for look in 0.. {
            if traced(pid) {
                break;
            }
            if look == ATTACH_MAX {
                return Err(strace.failed("does not attach"));
            }
            interrupt.sleep(Duration::from_millis(5))?;
        }
        let (connections, messages) = (connections.to_string(), messages.to_string());
        let address = instance.address();
        let arguments = [
            "run",
            &address,
            "--connections",
            &connections,
            "--count",
            &messages,
        ];
        let outcome = load::run(&arguments, place, Some(self.keep))?;
        strace.interrupt();
        strace.wait(Duration::from_secs(10))?;
        let calls = total_calls(&fs::read_to_string(counts)?)
            .ok_or_else(|| strace.failed("has counted nothing"))?;
        let calls = float(calls) / float(outcome.totals.messages.max(1));
        Ok(Values::from([("calls".to_owned(), calls)]))
    }

    fn elephant(&self, connections: u32, rate: u32, instance: &Instance) -> io::Result<Values> {
        let (connections, rate) = (connections.to_string(), rate.to_string());
        let arguments = ["--connections", &connections, "--rate", &rate];
        let longer = self.longer(ELEPHANT_SLICES);
        let p99 = || -> io::Result<f64> {
            let outcome = longer.load("run", &arguments, instance)?;
            let p99 = outcome
                .latency
                .first()
                .and_then(|times| times.percentiles.p99);
            let p99 = p99.ok_or_else(|| io::Error::other("too few messages for a p99"))?;
            Ok(float(p99) / 1e3)
        };
        let without = p99()?;
        let address = instance.address();
        let bulk = [
            "bulk",
            &address,
            "--direction",
            "both",
            "--warmup",
            "0s",
            "--duration",
            "30s",
        ];
        let bulk = Load::start("elephant", Standing::Behind, &bulk, self.place)?;
        let with = p99();
        bulk.stop()?;
        let with = with?;
        let values = [
            ("without", without),
            ("with", with),
            ("ratio", with / without),
        ];
        Ok(values.map(|(key, value)| (key.to_owned(), value)).into())
    }
}

/// Of messages, or of connections made and closed.
fn per_message(outcome: &Outcome) -> io::Result<Values> {
    let server = outcome.server.as_ref();
    let cpu = server.and_then(|server| server.cpu_per_message_ns);
    let rate = outcome.totals.messages_per_second;
    match (cpu, rate) {
        (Some(cpu), Some(rate)) => {
            Ok([("cpu".to_owned(), cpu / 1e3), ("rate".to_owned(), rate)].into())
        }
        _ => Err(io::Error::other(
            "no message came back in the measured time",
        )),
    }
}

/// A byte counts each time that it passes the server: both ways, twice.
fn per_gigabyte(outcome: &Outcome) -> Values {
    let totals = &outcome.totals;
    let bytes = float(totals.sent_bytes + totals.received_bytes);
    let mut values = Values::new();
    if bytes > 0.0 {
        let cpu = outcome.server.as_ref().and_then(|server| server.cpu_ns);
        values.extend(cpu.map(|nanos| ("cpu_gb".to_owned(), float(nanos) / bytes)));
        let gbit = bytes * 8.0 / float(totals.elapsed_ns.max(1));
        values.insert("gbit".to_owned(), gbit);
    }
    values
}

/// Whether a tracer is attached to every thread.
fn traced(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    tasks.flatten().all(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status
            .lines()
            .any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}

/// The fourth column of the last line of `strace -c`, whose name is `total`.
fn total_calls(table: &str) -> Option<u64> {
    let line = table
        .lines()
        .find(|line| line.trim_end().ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// As the client reads it.
fn text(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::total_calls;

    #[test]
    fn reads_the_total_of_strace() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.262648          52      5002           io_uring_enter\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.262648          52      5002           total\n";
        assert_eq!(total_calls(table), Some(5002));
        assert_eq!(total_calls(""), None);
    }
}
