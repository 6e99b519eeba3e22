//! Makes the document from the plan and the results. Pure, except that `Invocation::new` reads the
//! environment.

use std::time::{Duration, SystemTime};

use super::engine::{Costs, Results};
use super::verdict::{self, Asked};
use crate::args::{Arrival, CloseChoice, Direction, ProxyVersion};
use crate::load::recorder::Recorder;
use crate::load::work::{Length, Work};
use crate::outcome::{
    Distribution, Environment, Generator, Latencies, Loop, Outcome, SCHEMA, Server, Shape, Totals,
    Verdict,
};
use crate::plan::build::Plan;
use crate::stats::float;

/// The facts known before the load.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    arguments: Vec<String>,
    started_unix_ms: u64,
    environment: Environment,
}

impl Invocation {
    /// Reads the environment.
    pub(crate) fn new(arguments: Vec<String>) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            arguments,
            started_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            environment: Environment::here(),
        }
    }
}

/// The document of one load.
pub(crate) fn outcome(invocation: &Invocation, plan: &Plan, results: &Results) -> Outcome {
    let recorder = &results.recorder;
    let mut outcome = Outcome {
        schema: SCHEMA,
        corelane_bench: env!("CARGO_PKG_VERSION").to_owned(),
        arguments: invocation.arguments.clone(),
        verb: plan.verb.to_owned(),
        started_unix_ms: invocation.started_unix_ms,
        environment: invocation.environment.clone(),
        target: plan.target.clone(),
        shape: shape(plan, results),
        totals: totals(plan, recorder, results.elapsed),
        latency: latencies(plan, recorder),
        lateness: plan
            .load
            .pace
            .map(|_| Distribution::new(&recorder.lateness)),
        series: results.series.clone(),
        first_reply: recorder.first_reply.clone(),
        server: plan
            .target
            .pid
            .zip(results.costs.as_ref())
            .map(|(pid, costs)| server(pid, costs, plan, recorder)),
        server_metrics: results.server_metrics.clone().and_then(Result::ok),
        generator: generator(results),
        system: results.system.clone(),
        errors: recorder.errors.summary(),
        thresholds: Vec::new(),
        verdict: Verdict::default(),
        interrupted: results.interrupted,
        sweep: None,
        duel: None,
    };
    outcome.verdict = verdict::of(
        &outcome,
        Asked {
            conditions: &plan.conditions,
            objective: plan.objective.as_ref(),
        },
    );
    outcome.verdict.notes.extend(plan.remarks.iter().cloned());
    let unread = results
        .server_metrics
        .iter()
        .filter_map(|read| read.as_ref().err());
    outcome.verdict.notes.extend(unread.cloned());
    outcome
}

fn shape(plan: &Plan, results: &Results) -> Shape {
    let load = &plan.load;
    let (duration, count) = match load.length {
        Length::For(duration) => (Some(duration), None),
        Length::Count(count) => (None, Some(count)),
    };
    let (mut close, mut direction) = (None, None);
    match load.work {
        Work::Exchange => {}
        Work::Churn(CloseChoice::Fin) => close = Some("fin"),
        Work::Churn(CloseChoice::Rst) => close = Some("rst"),
        Work::Bulk(Direction::Up) => direction = Some("up"),
        Work::Bulk(Direction::Down) => direction = Some("down"),
        Work::Bulk(Direction::Both) => direction = Some("both"),
    }
    let sized = direction.is_none();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Shape {
        loop_: match load.pace {
            Some(_) => Loop::Open,
            None => Loop::Closed,
        },
        lanes: plan.lanes,
        poller: pollers(results.back_ends.iter().map(ToString::to_string)),
        connections: load.connections,
        rate: load.pace.map(|pace| pace.rate),
        arrival: load.pace.map(|pace| match pace.arrival {
            Arrival::Constant => "constant".to_owned(),
            Arrival::Poisson => "poisson".to_owned(),
        }),
        size: sized.then(|| load.sizes.to_string()),
        request: load
            .script
            .as_ref()
            .map(|script| script.message.to_string()),
        reply: load
            .script
            .as_ref()
            .map(|script| script.message.reply.to_string()),
        opening: load.script.as_ref().and_then(|script| {
            let opening = script.opening.as_ref()?;
            Some(format!("{opening}, answered by {}", opening.reply))
        }),
        size_mean: sized.then(|| load.sizes.mean()),
        pipeline: u32::try_from(load.pipeline).unwrap_or(u32::MAX),
        verify: load.verify,
        ramp_ns: nanos(load.ramp),
        warmup_ns: nanos(plan.warmup),
        duration_ns: duration.map(nanos),
        count,
        hold_ns: plan.hold.map(nanos),
        storm: load.storm,
        close: owned(close),
        direction: owned(direction),
        source: plan.source.clone(),
        congestion: load.congestion.clone(),
        proxy: owned(load.proxy.map(|version| match version {
            ProxyVersion::V1 => "v1",
            ProxyVersion::V2 => "v2",
        })),
    }
}

fn totals(plan: &Plan, recorder: &Recorder, elapsed: Duration) -> Totals {
    let rate = |amount: u64| {
        let seconds = elapsed.as_secs_f64();
        (seconds > 0.0).then(|| float(amount) / seconds)
    };
    let by_the_clock = plan.load.pace.is_some();
    let held = !matches!(plan.load.work, Work::Churn(_));
    Totals {
        elapsed_ns: nanos(elapsed),
        connections_opened: recorder.opened,
        connections_failed: match held {
            true => u64::from(plan.load.connections).saturating_sub(recorder.opened),
            false => recorder.failed,
        },
        messages: recorder.messages,
        messages_per_second: rate(recorder.messages),
        due: by_the_clock.then_some(recorder.due + recorder.unsent),
        unsent: by_the_clock.then_some(recorder.unsent),
        sent_bytes: recorder.sent_bytes,
        sent_bytes_per_second: rate(recorder.sent_bytes),
        received_bytes: recorder.received_bytes,
        received_bytes_per_second: rate(recorder.received_bytes),
        connecting_ns: recorder
            .connecting
            .map(|(began, ended)| nanos(ended.since(began))),
    }
}

fn latencies(plan: &Plan, recorder: &Recorder) -> Latencies {
    let messages = !matches!(plan.load.work, Work::Bulk(_));
    let open = plan.load.pace.is_some();
    Latencies {
        intended: (messages && open).then(|| Distribution::new(&recorder.intended)),
        on_time: (messages && open).then(|| Distribution::new(&recorder.on_time)),
        service: messages.then(|| Distribution::new(&recorder.service)),
        connect: Some(Distribution::new(&recorder.connect)),
    }
}

fn server(pid: u32, costs: &Costs, plan: &Plan, recorder: &Recorder) -> Server {
    let Costs {
        before,
        opened,
        start,
        end,
    } = costs;
    let cpu = |from: Option<Duration>, to: Option<Duration>| {
        let (from, to) = from.zip(to)?;
        Some(nanos(to.saturating_sub(from)))
    };
    let [cpu_opened, cpu_start, cpu_end] =
        [opened, start, end].map(|cost| cost.map(|cost| cost.cpu));
    let measured = cpu(cpu_start, cpu_end);
    let each = |cpu: Option<u64>, count: u64| {
        cpu.filter(|_| count > 0)
            .map(|cpu| float(cpu) / float(count))
    };
    let held = match plan.hold {
        Some(_) => start,
        None => end,
    };
    let rss_held = held.map(|cost| cost.rss_bytes);
    let churns = matches!(plan.load.work, Work::Churn(_));
    Server {
        pid,
        threads: end.map(|cost| cost.threads),
        cpu_ns: measured,
        cpu_per_message_ns: each(measured, recorder.messages),
        cpu_per_gigabyte_ns: each(measured, recorder.sent_bytes + recorder.received_bytes)
            .map(|each| 1e9 * each),
        // With `churn`, a message is a connection.
        cpu_per_connection_ns: match churns {
            true => each(measured, recorder.messages),
            false => each(cpu(Some(before.cpu), cpu_opened), recorder.opened),
        },
        cpu_hold_ns: plan.hold.and_then(|_| cpu(cpu_opened, cpu_start)),
        cpu_total_ns: cpu(Some(before.cpu), cpu_end),
        rss_before_bytes: before.rss_bytes,
        rss_held_bytes: rss_held,
        rss_per_connection_bytes: rss_held
            .filter(|_| recorder.opened > 0 && !churns)
            .map(|held| (float(held) - float(before.rss_bytes)) / float(recorder.opened)),
    }
}

fn generator(results: &Results) -> Generator {
    let usage = &results.usage;
    if usage.is_empty() {
        return Generator::default();
    }
    let shares = usage
        .iter()
        .filter(|lane| !lane.wall.is_zero())
        .map(|lane| {
            let busy = lane.cpu.saturating_sub(lane.spun);
            busy.as_secs_f64() / lane.wall.as_secs_f64()
        });
    let waits = usage
        .iter()
        .filter(|lane| !lane.wall.is_zero())
        .map(|lane| lane.waited.as_secs_f64() / lane.wall.as_secs_f64());
    Generator {
        cpu_ns: Some(usage.iter().map(|lane| nanos(lane.cpu)).sum()),
        spin_ns: Some(usage.iter().map(|lane| nanos(lane.spun)).sum()),
        busiest_lane_cores: shares.reduce(f64::max),
        waited_share: waits.reduce(f64::max),
    }
}

/// `io_uring`, or `io_uring+epoll` after a fallback of some lanes.
fn pollers(back_ends: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = back_ends.collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.dedup();
    names.join("+")
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::pollers;

    #[test]
    fn pollers_are_named_once() {
        let names = |list: &[&str]| pollers(list.iter().map(|&name| name.to_owned()));
        assert_eq!(names(&["epoll", "epoll"]), "epoll");
        assert_eq!(names(&["epoll", "io_uring", "epoll"]), "io_uring+epoll");
    }
}
