//! The reload of the configuration by a running process: read, check, bind, and then one switch on
//! each lane. What fails changes nothing.
//!
//! Used by the main thread alone, which does not wait for the lanes: the answers to the switches
//! are events, and the reload is over with the last one.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::command::{Command, LaneSenders, Switched};
use super::error::ServerError;
use super::here;
use super::in_service::{InService, Prepared};
use super::inherited::Given;
use super::point::Steps;
use super::reply::Reply;
use super::sandbox::Sandbox;
use crate::config::{Config, ConfigErrors};
use crate::proxy::Handoff;
use crate::sys;

/// Where the configuration of the process comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `config/default.toml`, in the binary.
    Default,
    /// A file, by an absolute path.
    File(PathBuf),
}

impl Origin {
    /// The file of the configuration.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Default => None,
            Self::File(path) => Some(path),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("embedded default"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub(crate) enum ReloadError {
    /// The process runs the embedded default.
    NoFile,
    /// The file cannot be read.
    Unreadable { path: PathBuf, error: io::Error },
    /// The file has mistakes.
    Mistakes(ConfigErrors),
    /// This machine lacks something.
    Refused(ServerError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str(
                "this process runs the embedded default and has no file to read; start it with \
                 --config FILE",
            ),
            Self::Unreadable { path, error } => {
                write!(f, "{}: cannot be read: {error}", path.display())
            }
            Self::Mistakes(errors) => errors.fmt(f),
            Self::Refused(error) => f.write_str(&super::error::chain(error)),
        }
    }
}

/// A checked configuration whose listeners are bound.
#[derive(Debug)]
pub(super) struct Next {
    config: Config,
    prepared: Prepared,
    /// Keys that keep their value until a restart.
    fixed: Vec<&'static str>,
}

/// A reload that lanes have not all answered.
#[derive(Debug)]
struct Switching {
    unanswered: usize,
    longest_pause: Duration,
    done: Done,
}

/// The result of a reload.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) generation: u32,
    /// Listening points by what became of them.
    pub(super) opened: usize,
    pub(super) replaced: usize,
    pub(super) kept: usize,
    pub(super) closed: usize,
    /// Keys that keep their value until a restart.
    pub(super) fixed: Vec<&'static str>,
    /// The longest time that the switch held a lane.
    pub(super) pause: Duration,
}

/// The configuration of the process over time.
#[derive(Debug)]
pub(super) struct Reloads {
    origin: Origin,
    given: Given,
    config: Config,
    pub(super) service: InService,
    /// The limits of the process, within which later configurations stay.
    pub(super) sandbox: Sandbox,
    switching: Option<Switching>,
}

impl Next {
    /// The first configuration of the process.
    pub(super) fn first(config: Config, prepared: Prepared) -> Self {
        Self {
            config,
            prepared,
            fixed: Vec::new(),
        }
    }

    /// Lets the sockets listen.
    pub(super) fn listen(&self) -> Result<(), ServerError> {
        self.prepared.listen()
    }
}

impl Reloads {
    /// Of a process whose first configuration is prepared, and not in service yet.
    pub(super) fn new(
        origin: Origin,
        given: Given,
        config: Config,
        service: InService,
        sandbox: Sandbox,
    ) -> Self {
        Self {
            origin,
            given,
            config,
            service,
            sandbox,
            switching: None,
        }
    }

    /// The configuration in service.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether lanes have not answered the last switch.
    pub(super) fn is_busy(&self) -> bool {
        self.switching.is_some()
    }

    /// Reads the file again, checks it and binds what is new.
    pub(super) fn prepare(&self) -> Result<Next, ReloadError> {
        let path = self.origin.file().ok_or(ReloadError::NoFile)?;
        let text = fs::read_to_string(path).map_err(|error| ReloadError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let name = path.display().to_string();
        let mut config = Config::parse(&text, &name).map_err(ReloadError::Mistakes)?;
        let fixed = keep_fixed(&self.config, &mut config);
        let lacks = self.sandbox.lacks(&config);
        if !lacks.is_empty() {
            let refused = ServerError::all_placed(lacks, &config);
            return Err(ReloadError::Refused(refused));
        }
        let prepared = self.bind(&config);
        let prepared = prepared.map_err(|error| ReloadError::Refused(error.placed(&config)))?;
        Ok(Next {
            config,
            prepared,
            fixed,
        })
    }

    fn bind(&self, config: &Config) -> Result<Prepared, ServerError> {
        let lanes = self.service.lanes();
        let (changeable, warnings) = here::plan_again(config, lanes, &self.given)?;
        for warning in warnings {
            tracing::warn!(at = warning.place(), "{}", warning.text());
        }
        let now = sys::now();
        let prepared = self.service.bind(changeable, now, &mut |_| Ok(()))?;
        prepared.listen()?;
        Ok(prepared)
    }

    /// Puts a configuration into service, on all lanes. They answer by events.
    pub(super) fn apply<E: Send + 'static>(
        &mut self,
        next: Next,
        lanes: &[LaneSenders],
        handoff: &Arc<Handoff>,
        answers: &Sender<E>,
        event: fn(Switched) -> E,
    ) {
        let Next {
            config,
            prepared,
            fixed,
        } = next;
        let steps = prepared.steps();
        let mut done = Done::of(steps, fixed);
        let switches = self.service.apply(prepared, handoff);
        done.generation = self.service.generation().number();
        self.config = config;
        self.switching = Some(Switching {
            unanswered: lanes.len(),
            longest_pause: Duration::ZERO,
            done,
        });
        for (lane, switch) in lanes.iter().zip(switches) {
            let answers = answers.clone();
            // A lane that has ended meanwhile has reported its end, and the process ends.
            let reply = Reply::to(move |switched| drop(answers.send(event(switched))));
            lane.commands.send(Command::Switch(switch, reply));
        }
    }

    /// Notes the answer of a lane; returns the result with the last one.
    pub(super) fn note(&mut self, switched: Switched) -> Option<Done> {
        let switching = self.switching.as_mut()?;
        switching.unanswered -= 1;
        switching.longest_pause = switching.longest_pause.max(switched.pause);
        if switching.unanswered > 0 {
            return None;
        }
        let Switching {
            longest_pause,
            mut done,
            ..
        } = self.switching.take()?;
        done.pause = longest_pause;
        Some(done)
    }
}

impl Done {
    fn of(steps: &Steps, fixed: Vec<&'static str>) -> Self {
        let replaced = steps.kept.iter().filter(|kept| kept.is_replaced).count();
        Self {
            generation: 0,
            opened: steps.wanted.len() - replaced,
            replaced,
            kept: steps.kept.len() - replaced,
            closed: steps.removed.len(),
            fixed,
            pause: Duration::ZERO,
        }
    }
}

/// Gives keys that cannot change in a running process their present values; returns those that
/// differ.
fn keep_fixed(present: &Config, next: &mut Config) -> Vec<&'static str> {
    let mut fixed = Vec::new();
    let (from, to) = (&present.runtime, &mut next.runtime);
    let mut keep = |key, differs: bool| fixed.extend(differs.then_some(key));
    keep("runtime.lanes", from.lanes != to.lanes);
    keep("runtime.pin", from.pin != to.pin);
    keep("runtime.poller", from.poller != to.poller);
    keep("runtime.idle_spin", from.idle_spin != to.idle_spin);
    keep("runtime.high_mark", from.high_mark != to.high_mark);
    keep("process", present.process != next.process);
    keep("sandbox", present.sandbox != next.sandbox);
    *to = crate::config::Runtime {
        max_sessions: to.max_sessions,
        ..from.clone()
    };
    next.process = present.process.clone();
    next.sandbox = present.sandbox.clone();
    fixed
}
