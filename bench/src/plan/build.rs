//! Builds the plan of each verb from the arguments and checks it on this machine: target, poller,
//! number of connections. Starts nothing.

use std::process;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use corelane::buf::PoolOptions;
use corelane::poller::PollerOptions;
use corelane::runtime::LaneOptions;

use super::checks;
use super::error::PlanError;
use super::target::resolve;
use crate::args::condition::Condition;
use crate::args::sizes::Sizes;
use crate::args::values::DuelTarget;
use crate::args::{
    BulkArguments, ChurnArguments, CommonArguments, Direction, DuelArguments, IdleArguments,
    LoadArguments, PollerChoice, RunArguments, ScriptArguments, SweepArguments, TargetArguments,
};
use crate::load::schedule::Pace;
use crate::load::script::{Delimiter, Reply, Request, Script};
use crate::load::work::{Length, Load, Work};
use crate::outcome;
use crate::procfs::socket_owner;
use crate::scrape::Url;

const DURATION: Duration = Duration::from_secs(10);
const WARMUP: Duration = Duration::from_secs(1);
/// The most buffers of a connection: a queue to send, a received queue, as many in verification,
/// and the buffers of a receive that completes before its cancel.
const CONNECTION_BUFFERS: usize = 8;
/// The largest address space of a lane's buffers: 16 GiB.
const BUFFERS_MAX: usize = 1 << 20;

/// The plan of one load.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) verb: &'static str,
    pub(crate) target: outcome::Target,
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
    pub(crate) lanes: u32,
    pub(crate) load: Load,
    /// Time between the last connect and the first message.
    pub(crate) hold: Option<Duration>,
    pub(crate) warmup: Duration,
    /// The text of `--source`.
    pub(crate) source: Option<String>,
    /// The conditions of `--fail-if`.
    pub(crate) conditions: Vec<Condition>,
    /// The objective of a sweep's steps.
    pub(crate) objective: Option<Condition>,
    /// The page of `--metrics`.
    pub(crate) metrics: Option<Url>,
    /// Notes for the reader of the results, known before the load.
    pub(crate) remarks: Vec<String>,
}

/// The differences between the verbs.
struct Outline<'a> {
    verb: &'static str,
    target: &'a str,
    pid: Option<u32>,
    metrics: Option<Url>,
    name: Option<String>,
    work: Work,
    sizes: Sizes,
    script: Option<Script>,
    pipeline: u32,
    length: Length,
    connections: u32,
    pace: Option<Pace>,
    warmup: Duration,
}

impl<'a> Outline<'a> {
    fn new(verb: &'static str, target: &'a TargetArguments, work: Work, length: Length) -> Self {
        Self {
            verb,
            target: &target.target,
            pid: target.server_pid,
            metrics: target.metrics.clone(),
            name: None,
            work,
            sizes: Sizes::Fixed(64),
            script: None,
            pipeline: 1,
            length,
            connections: 1,
            pace: None,
            warmup: Duration::ZERO,
        }
    }

    /// With scripted messages, if the arguments have them.
    fn with_script(self, arguments: &ScriptArguments) -> Self {
        match script(arguments) {
            None => self,
            Some(script) => Self {
                sizes: Sizes::Fixed(script.message.bytes.len() as u64),
                script: Some(script),
                ..self
            },
        }
    }

    fn with_load(self, load: &LoadArguments, rate: Option<f64>) -> Self {
        Self {
            sizes: load.size.clone(),
            pipeline: load.pipeline,
            connections: load.connections,
            pace: rate.map(|rate| Pace {
                rate,
                arrival: load.arrival,
            }),
            ..self
        }
        .with_script(&load.script)
    }
}

impl Plan {
    pub(crate) fn run(arguments: &RunArguments) -> Result<Self, PlanError> {
        let (length, warmup) = length(arguments.count, arguments.duration, arguments.warmup);
        let outline = Outline::new("run", &arguments.target, Work::Exchange, length);
        let outline = outline.with_load(&arguments.load, arguments.rate);
        let mut plan = Self::new(Outline { warmup, ..outline }, &arguments.common)?;
        plan.load.ramp = arguments.ramp;
        Ok(plan)
    }

    /// The plan of a sweep's first step.
    pub(crate) fn sweep(arguments: &SweepArguments) -> Result<Self, PlanError> {
        let (from, to) = (arguments.from, arguments.to);
        if from > to {
            return Err(PlanError(format!(
                "--from {from} --to {to}: the first rate is above the highest"
            )));
        }
        let length = Length::For(arguments.step);
        let outline = Outline::new("sweep", &arguments.target, Work::Exchange, length);
        let outline = outline.with_load(&arguments.load, Some(from));
        let warmup = arguments.warmup;
        let mut plan = Self::new(Outline { warmup, ..outline }, &arguments.common)?;
        plan.objective = Some(arguments.slo.clone());
        Ok(plan)
    }

    pub(crate) fn churn(arguments: &ChurnArguments) -> Result<Self, PlanError> {
        let (length, warmup) = length(arguments.count, arguments.duration, arguments.warmup);
        let work = Work::Churn(arguments.close);
        let outline = Outline {
            sizes: arguments.size.clone(),
            connections: arguments.connections,
            pace: arguments.rate.map(|rate| Pace {
                rate,
                arrival: arguments.arrival,
            }),
            warmup,
            ..Outline::new("churn", &arguments.target, work, length)
        };
        Self::new(outline.with_script(&arguments.script), &arguments.common)
    }

    /// Connections that are held, then one message on each.
    pub(crate) fn idle(arguments: &IdleArguments) -> Result<Self, PlanError> {
        let length = Length::Count(arguments.connections.into());
        let outline = Outline {
            sizes: Sizes::Fixed(arguments.touch),
            connections: arguments.connections,
            ..Outline::new("idle", &arguments.target, Work::Exchange, length)
        };
        let mut plan = Self::new(outline.with_script(&arguments.script), &arguments.common)?;
        plan.hold = Some(arguments.duration);
        plan.load.storm = arguments.storm;
        Ok(plan)
    }

    pub(crate) fn bulk(arguments: &BulkArguments) -> Result<Self, PlanError> {
        let work = Work::Bulk(arguments.direction);
        let length = Length::For(arguments.duration);
        let outline = Outline {
            connections: arguments.streams,
            warmup: arguments.warmup,
            ..Outline::new("bulk", &arguments.target, work, length)
        };
        let mut plan = Self::new(outline, &arguments.common)?;
        // Received bytes are compared only if the server echoes.
        plan.load.verify &= arguments.direction == Direction::Both;
        Ok(plan)
    }

    /// The plans of a duel's two targets.
    pub(crate) fn duel(arguments: &DuelArguments) -> Result<[Self; 2], PlanError> {
        let [a, b] = &arguments.sides[..] else {
            return Err(PlanError("a duel has two targets".to_owned()));
        };
        if a.name == b.name {
            let name = &a.name;
            return Err(PlanError(format!(
                "{name}={name}: the two targets need different names"
            )));
        }
        let plan = |of: &DuelTarget| {
            let target = TargetArguments {
                target: of.target.clone(),
                server_pid: of.pid,
                metrics: None,
            };
            let length = Length::For(arguments.slice);
            let outline = Outline::new("duel", &target, Work::Exchange, length);
            let outline = outline.with_load(&arguments.load, arguments.rate);
            let outline = Outline {
                name: Some(of.name.clone()),
                warmup: arguments.warmup,
                ..outline
            };
            Self::new(outline, &arguments.common)
        };
        Ok([plan(a)?, plan(b)?])
    }

    fn new(outline: Outline<'_>, common: &CommonArguments) -> Result<Self, PlanError> {
        let (lanes, connections) = (common.lanes, outline.connections);
        let asked = format!("{} {connections}", outline.work.connections_option());
        if lanes > connections {
            return Err(PlanError(format!(
                "--lanes {lanes}: more lanes than connections ({asked})"
            )));
        }
        let sources = common.source.as_ref();
        checks::descriptors(&asked, connections, lanes)?;
        checks::ports(
            &asked,
            connections,
            sources.map_or(0, |sources| sources.addresses.len()),
        )?;
        checks::congestion(common.congestion.as_deref())?;
        let back_end = checks::back_end(common.poller)?;
        outline.pid.map_or(Ok(()), checks::server)?;
        let address = resolve(outline.target)?;
        let remarks = outline
            .pid
            .and_then(|pid| socket_owner::doubt(pid, address));
        checks::sources(sources, address)?;
        let exact = outline.script.as_ref().map(Script::is_verified);
        let load = Load {
            work: outline.work,
            sizes: outline.sizes,
            verify: exact.unwrap_or(!common.no_verify),
            script: outline.script.map(Arc::new),
            pipeline: outline.pipeline as usize,
            length: outline.length,
            connections,
            pace: outline.pace,
            ramp: Duration::ZERO,
            storm: false,
            seed: seed(),
            address,
            sources: sources.map_or_else(|| [].into(), |sources| sources.addresses[..].into()),
            congestion: common.congestion.clone(),
            proxy: common.proxy,
        };
        Ok(Self {
            verb: outline.verb,
            target: outcome::Target {
                name: outline.name,
                given: outline.target.to_owned(),
                address: address.to_string(),
                pid: outline.pid,
            },
            options: LaneOptions {
                seed: load.seed,
                ..options(back_end, connections.div_ceil(lanes))
            },
            may_fall_back: common.poller == PollerChoice::Auto,
            lanes,
            load,
            hold: None,
            warmup: outline.warmup,
            source: sources.map(|sources| sources.text.clone()),
            conditions: common.fail_if.clone(),
            objective: None,
            metrics: outline.metrics,
            remarks: remarks.into_iter().collect(),
        })
    }
}

/// The scripted dialogue; `None` for patterns.
fn script(arguments: &ScriptArguments) -> Option<Script> {
    let reply = |until: &Option<Arc<[u8]>>, bytes: Option<u64>, exact: &Option<Arc<[u8]>>| {
        let until = until
            .clone()
            .map(|bytes| Reply::Until(Delimiter::new(bytes)));
        let exact = exact.clone().map(Reply::Exact);
        let counted = bytes.map(Reply::Bytes);
        until.or(counted).or(exact)
    };
    let (until, exact) = (&arguments.opening_until, &arguments.opening_expect);
    let opening = reply(until, arguments.opening_bytes, exact).map(|reply| Request {
        bytes: arguments.opening.clone().unwrap_or_default(),
        reply,
    });
    Some(Script {
        message: Request {
            bytes: arguments.send.clone()?,
            reply: reply(&arguments.until, arguments.reply_bytes, &arguments.expect)?,
        },
        opening,
    })
}

fn length(
    count: Option<u64>,
    duration: Option<Duration>,
    warmup: Option<Duration>,
) -> (Length, Duration) {
    match count {
        Some(count) => (Length::Count(count), warmup.unwrap_or_default()),
        None => (
            Length::For(duration.unwrap_or(DURATION)),
            warmup.unwrap_or(WARMUP),
        ),
    }
}

/// Two concurrent runs against one server need different seeds, or a server that mixes their bytes
/// up would go unnoticed.
fn seed() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_secs() << 32 ^ u64::from(process::id())
}

fn options(back_end: corelane::poller::BackEnd, connections: u32) -> LaneOptions {
    let poller = PollerOptions::default();
    let floor = 2 * usize::from(poller.receive_buffers);
    let buffers = floor + CONNECTION_BUFFERS * connections as usize;
    LaneOptions {
        poller,
        pool: PoolOptions {
            buffers_max: buffers.min(BUFFERS_MAX),
            ..PoolOptions::default()
        },
        ..LaneOptions::new(back_end)
    }
}
