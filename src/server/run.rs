//! Runs the server: starts the lanes, waits for signals, drains.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::access::{self, AccessChange, AccessControl, AccessEnd, AccessSettings};
use super::answers::Answers;
use super::command::{Command, LaneSenders};
use super::control::ControlSockets;
use super::error::{ServerError, chain};
use super::here;
use super::in_service::InService;
use super::inherited::Inherited;
use super::lane::{self, LanePlan, Opened};
use super::log::{self, LogEnd};
use super::log_control::LogControl;
use super::memory::arenas;
use super::plan::{Fixed, Plan};
use super::process::{PidFile, change_account, create_logs};
use super::reached::Reached;
use super::reload::{Next, Origin, Reloads};
use super::sandbox::Sandbox;
use super::service::ServiceReports;
use super::signals;
use super::supervision::{Event, Events, Pollers, Server};
use super::watching::watch;
use crate::config::Config;
use crate::control::ToLane;
use crate::runtime::LaneOptions;
use crate::sys::{self, StackReader};

/// The limits that may refuse a thread.
const NO_THREAD: &str = "cannot start a thread; raise the limits on processes and memory \
                         (ulimit -u, TasksMax, MemoryMax)";
/// How long another process may hold a port before the start fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves `config` until a signal, then drains. A reload reads `origin` again. The log also has the
/// reason of a failure.
///
/// # Errors
/// See [`ServerError`].
pub(crate) fn run(config: &Config, origin: &Origin) -> Result<(), ServerError> {
    let (mut inherited, log) = match prepare(config) {
        Ok(prepared) => prepared,
        Err(error) => {
            // There is no log yet.
            say(&error);
            return Err(error);
        }
    };
    let (version, pid) = (env!("CARGO_PKG_VERSION"), process::id());
    tracing::info!(
        version,
        pid,
        configuration = origin.to_string(),
        "corelane starts"
    );
    inherited.announce();
    let control = log.as_ref().map(LogEnd::control);
    let result = match serve(config, origin, &mut inherited, control) {
        Err(stopped @ ServerError::Stopped) => {
            tracing::info!("{stopped}");
            Ok(())
        }
        result => result,
    };
    match (&result, &log) {
        (Ok(()), _) => {}
        // The same form as the mistakes in the configuration's text.
        (Err(ServerError::Config(errors)), Some(log)) => log.plain(&errors.to_string()),
        // One line per mistake, with the position in the file.
        (Err(ServerError::Taken(errors) | ServerError::Config(errors)), _) => {
            for line in errors.to_string().lines() {
                tracing::error!("{line}");
            }
        }
        (Err(error), _) => tracing::error!("the server failed: {}", chain(error)),
    }
    if let Some(log) = log {
        let has_file = log.control().has_file();
        log.finish();
        if let (Err(error), true) = (&result, has_file) {
            // For who started the server, and does not look into the file.
            say(error);
        }
    }
    result
}

/// Tells standard error why the server failed, without the log.
fn say(error: &ServerError) {
    let text = match error {
        // Begins with the file and the line.
        ServerError::Config(errors) | ServerError::Taken(errors) => errors.to_string(),
        error => format!("corelane: the server failed: {}", chain(error)),
    };
    _ = writeln!(io::stderr(), "{text}");
}

fn prepare(config: &Config) -> Result<(Inherited, Option<LogEnd>), ServerError> {
    let inherited = Inherited::settle().map_err(system("cannot take signals"))?;
    // Before the first thread: each thread has an arena of its own.
    if let Some(arenas) = arenas(&inherited.given().memory) {
        sys::limit_arenas(arenas);
    }
    create_logs(config);
    let log = log::start(&config.log, system(NO_THREAD)).map_err(|error| error.placed(config))?;
    Ok((inherited, log))
}

fn system(what: &'static str) -> impl Fn(io::Error) -> ServerError {
    move |error| ServerError::System { what, error }
}

fn serve(
    config: &Config,
    origin: &Origin,
    inherited: &mut Inherited,
    log: Option<&LogControl>,
) -> Result<(), ServerError> {
    // Before the first wait, so that every wait obeys a stop.
    let (sender, events) = channel();
    let signalled = Arc::default();
    signals::forward(
        sender.clone(),
        Event::Request,
        log.cloned(),
        Arc::clone(&signalled),
    )
    .map_err(system("cannot take signals"))?;
    let mut events = Events::new(events);
    let mut pause = |time| events.pause(time);
    let given = inherited.given();
    let (plan, warnings) = here::plan(config, &given, &mut pause)?;
    for warning in warnings {
        tracing::warn!(at = warning.place(), "{}", warning.text());
    }
    let Plan { fixed, changeable } = plan;
    let mut service = InService::new(fixed.lanes.len());
    let passed = inherited.take_passed();
    passed.warn_of_unused(config);
    service.take_passed(passed);
    let prepared = service.bind(changeable, sys::now() + PATIENCE, &mut pause);
    let prepared = prepared.map_err(|error| error.placed(config))?;
    let mut first = Next::first(config.clone(), prepared);
    let access = AccessChange::prepare(&AccessSettings::of(config), log);
    let access = access.map_err(|error| error.placed(config))?;
    let _pid_file = PidFile::create(&config.process).map_err(|error| error.placed(config))?;
    let control = ControlSockets::open(config).map_err(|error| error.placed(config))?;
    // Without stacks, stalls are told all the same.
    let stacks = StackReader::new().ok();
    // Before a lane starts, so that every ring and descriptor belongs to the new user.
    change_account(&config.process, first.sockets()).map_err(|error| error.placed(config))?;
    let sandbox = Sandbox::apply(config, fixed.options.back_end);
    let options = sandbox.options(fixed.options);
    let threads = sandbox.starting(|| start_lanes(&fixed, options, &sender));
    let threads = threads.map_err(system(NO_THREAD))?;

    let reloads = Reloads::new(
        origin.clone(),
        given,
        config.clone(),
        log.cloned(),
        service,
        sandbox,
    );
    let mut server = Server::new(events, sender.clone(), threads, reloads);
    server.answer_with(Answers::new());
    let pollers = server.await_start(fixed.lanes.len())?;
    let (lanes, log) = (&server.lanes, log.cloned());
    let orders = server
        .reloads
        .sandbox
        .starting(|| control.serve(lanes, &pollers.of_lanes, &fixed, sender, log));
    server.orders = Some(orders.map_err(system("cannot start the control plane"))?);
    server.await_sources(&mut first)?;
    let access = start_access(&mut server, access, &signalled).map_err(system(NO_THREAD))?;
    first.listen().map_err(|error| error.placed(config))?;
    server.switch(first);
    server.await_switch()?;
    server.watch();
    let reached = start_watching(&mut server, fixed.options.pool.buffers_max, stacks);
    let mut reached = reached.map_err(system(NO_THREAD))?;
    // Who waits for the readiness finds the process as it stays: its threads and descriptors.
    server.reloads.sandbox.close();
    announce(&fixed, &server.reloads.service, &pollers);
    server.report_to(ServiceReports::from_environment());
    let signal = server.serve()?;
    server.reloads.service.remove_files();
    let drained = server.drain(signal);
    reached.sum_up();
    // What the last sessions have pushed.
    drop(access);
    drained?.announce();
    Ok(())
}

/// Starts the thread of the watchdog.
fn start_watching(
    server: &mut Server,
    buffers_max: usize,
    stacks: Option<StackReader>,
) -> io::Result<Reached> {
    let (limit, bound) = {
        let service = &server.reloads.service;
        (
            Arc::clone(service.limit()),
            service.changeable().bound.clone(),
        )
    };
    let reached = Reached::new(limit, bound, buffers_max, server.remotes());
    let (remotes, counters, bounds) = (server.remotes(), reached.clone(), server.bounds());
    let start = || watch(remotes, counters, bounds, stacks);
    server.reloads.sandbox.starting(start)?;
    Ok(reached)
}

/// Starts the thread of the access log, even without one: a reload may switch it on.
fn start_access(
    server: &mut Server,
    change: AccessChange,
    signalled: &OnceLock<AccessControl>,
) -> io::Result<AccessEnd> {
    let send = |senders: &LaneSenders| -> Box<dyn Fn(ToLane) + Send> {
        let commands = senders.commands.clone();
        Box::new(move |command| commands.send(Command::Sessions(command)))
    };
    let lanes = access::Lanes(server.lanes.iter().map(send).collect());
    let log = server.reloads.service.access();
    let access = server
        .reloads
        .sandbox
        .starting(|| access::start(log, lanes))?;
    let control = access.control();
    _ = signalled.set(control.clone());
    control.apply(change);
    server.reloads.access = Some(control.clone());
    Ok(access)
}

/// Starts the lanes' threads.
fn start_lanes(
    fixed: &Fixed,
    options: LaneOptions,
    events: &Sender<Event>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let lanes = fixed.lanes.iter().enumerate();
    let threads = lanes.map(|(index, &cpu)| {
        let lane = LanePlan {
            index,
            cpu,
            options: LaneOptions {
                // Not the same random numbers, and lifetimes, on every lane.
                seed: RandomState::new().build_hasher().finish(),
                ..options
            },
            may_fall_back: fixed.may_fall_back,
        };
        spawn(lane, events.clone())
    });
    threads.collect()
}

/// Opens a lane on a thread of its own. The thread obeys commands until the lane ends, and reports
/// the end last.
fn spawn(plan: LanePlan, to: Sender<Event>) -> io::Result<JoinHandle<()>> {
    let index = plan.index;
    thread::Builder::new()
        .name(format!("lane-{index}"))
        .spawn(move || {
            let serve = || {
                let Opened { lane, refused } = lane::open(&plan)?;
                let back_end = lane.handle().back_end();
                let (serving, senders) = lane::Serving::new(lane, index);
                // The main thread reads events until every lane has ended.
                drop(to.send(Event::Started {
                    lane: index,
                    senders,
                    back_end,
                    refused,
                }));
                serving.serve()
            };
            let result = match panic::catch_unwind(AssertUnwindSafe(serve)) {
                Ok(result) => result.map_err(|error| ServerError::Lane { lane: index, error }),
                Err(_) => Err(ServerError::LanePanicked { lane: index }),
            };
            drop(to.send(Event::Ended {
                lane: index,
                result,
            }));
        })
}

/// Logs the running server in a few lines.
fn announce(fixed: &Fixed, service: &InService, pollers: &Pollers) {
    let changeable = service.changeable();
    let planned = fixed.options.back_end;
    let others = pollers.of_lanes.iter().filter(|&&one| one != planned);
    let fallen_back = others.clone().count();
    // The poller of most lanes.
    let (mut poller, mut why) = (planned, fixed.why.clone());
    if let (Some(&other), Some(error)) = (others.clone().next(), &pollers.refused) {
        let lanes = pollers.of_lanes.len();
        tracing::warn!(%error, "{planned} was refused to {fallen_back} of {lanes} lanes: {other}");
        if fallen_back == lanes {
            (poller, why) = (other, format!("{planned} was refused: {error}"));
        }
    }
    let lanes_on_another_poller = pollers
        .of_lanes
        .iter()
        .filter(|&&one| one != poller)
        .count();
    let cpus: Vec<usize> = fixed.lanes.iter().copied().flatten().collect();
    tracing::info!(
        lanes = fixed.lanes.len(),
        pinned_to = ?cpus,
        %poller,
        why,
        lanes_on_another_poller = (lanes_on_another_poller > 0).then_some(lanes_on_another_poller),
        max_sessions = changeable.max_sessions,
        bound_by = changeable.bound.word(),
        memory_limit = changeable.bound.memory(),
        "ready"
    );
}
