//! The reload of the configuration by a running process: read, check, bind, and then one switch on
//! each lane. A failure changes nothing.
//!
//! Used by the main thread alone. The main thread does not wait for the lanes: the answers to the
//! switches are events, and the reload is over with the last answer.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::access::{AccessChange, AccessControl, AccessSettings};
use super::changeable::Changeable;
use super::command::{Command, LaneSenders, Switched};
use super::config_file::read_config_again;
use super::error::ServerError;
use super::here;
use super::in_service::{InService, Prepared};
use super::inherited::Given;
use super::log;
use super::log_control::{LogChange, LogControl};
use super::point::Steps;
use super::sandbox::Sandbox;
use crate::config::{Changes, Config, ConfigErrors, Fate, diff};
use crate::control::{Addresses, Reloaded, Removal, Removed, Reply};
use crate::proxy::Handoff;
use crate::sys::{self, OsSocket};

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
    /// `None` if the log stays as it is.
    log: Option<LogChange>,
    /// `None` if the access log stays as it is.
    access: Option<AccessChange>,
    result: Reloaded,
}

impl Next {
    /// The first configuration of the process.
    pub(super) fn first(config: Config, prepared: Prepared) -> Self {
        Self {
            result: Reloaded::of_first(),
            config,
            prepared,
            log: None,
            access: None,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the configuration differs from the configuration in service.
    pub(super) fn is_changed(&self) -> bool {
        self.result.changes["changed"] == true
    }

    /// Changes the endpoints of the upstreams.
    pub(super) fn give(&mut self, give: impl FnOnce(&mut Config)) {
        give(&mut self.config);
        self.prepared.set_upstreams(&self.config);
    }

    /// The new sockets.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &OsSocket> {
        self.prepared.sockets()
    }

    /// Lets the sockets listen.
    pub(super) fn listen(&self) -> Result<(), ServerError> {
        self.prepared.listen()
    }

    /// The result of a dry run.
    pub(super) fn into_result(self) -> Reloaded {
        self.result
    }
}

/// A reload with missing answers of lanes.
#[derive(Debug)]
struct Switching {
    unanswered: usize,
    result: Reloaded,
}

/// The configuration of the process over time.
#[derive(Debug)]
pub(super) struct Reloads {
    origin: Origin,
    given: Given,
    config: Config,
    log: Option<LogControl>,
    /// Once the writing thread runs.
    pub(super) access: Option<AccessControl>,
    pub(super) service: InService,
    /// The limits of the process, within which later configurations stay.
    pub(super) sandbox: Sandbox,
    switching: Option<Switching>,
}

impl Reloads {
    /// Of a process whose first configuration is prepared, and not in service yet.
    pub(super) fn new(
        origin: Origin,
        given: Given,
        config: Config,
        log: Option<LogControl>,
        service: InService,
        sandbox: Sandbox,
    ) -> Self {
        Self {
            origin,
            given,
            config,
            log,
            access: None,
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

    /// The configuration of the file as it is now, if it has no mistakes.
    pub(super) fn peek(&self) -> Option<Config> {
        let path = self.origin.file()?;
        let text = read_config_again(path).ok()?;
        Config::parse(&text, &path.display().to_string()).ok()
    }

    /// Whether lanes have not answered the last switch.
    pub(super) fn is_busy(&self) -> bool {
        self.switching.is_some()
    }

    /// The result of a reload, without a change of anything.
    pub(super) fn look(&self, give: impl FnOnce(&mut Config)) -> Result<Reloaded, ReloadError> {
        let (config, changes) = self.read(give)?;
        let steps = self.plan(&config).and_then(|next| self.service.look(&next));
        let refused = |error: ServerError| ReloadError::Refused(error.placed(&config));
        Ok(self.result(&changes, &steps.map_err(refused)?))
    }

    /// Reads the file again, checks the configuration and binds new addresses. Nothing listens yet.
    /// `give` gives found endpoints to the upstreams.
    pub(super) fn prepare(&self, give: impl FnOnce(&mut Config)) -> Result<Next, ReloadError> {
        let (config, changes) = self.read(give)?;
        let now = sys::now();
        let bind = |next| self.service.bind(next, now, &mut |_| Ok(()));
        let prepared = self.plan(&config).and_then(bind);
        let refused = |error: ServerError| ReloadError::Refused(error.placed(&config));
        let prepared = prepared.map_err(refused)?;
        let log = (config.log != self.config.log).then(|| LogChange::prepare(&config.log));
        let log = log.transpose().map_err(refused)?;
        let settings = AccessSettings::of(&config);
        let is_changed = settings != AccessSettings::of(&self.config);
        let access = is_changed.then(|| AccessChange::prepare(&settings, self.log.as_ref()));
        let access = access.transpose().map_err(refused)?;
        let result = self.result(&changes, prepared.steps());
        Ok(Next {
            config,
            prepared,
            log,
            access,
            result,
        })
    }

    /// The configuration in service with other endpoints. Nothing is bound.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub(super) fn prepare_found(&self, config: Config) -> Result<Next, ServerError> {
        let changes = diff(&self.config, &config);
        let present = self.service.changeable();
        let (max, bound) = (present.max_sessions, present.bound.clone());
        let changeable = Changeable::new(&config, max, bound);
        let prepared = self.service.bind(changeable, sys::now(), &mut |_| Ok(()))?;
        let mut result = self.result(&changes, prepared.steps());
        result.lines = changes.found();
        result.is_found = true;
        Ok(Next {
            config,
            prepared,
            log: None,
            access: None,
            result,
        })
    }

    /// The file as a configuration for this process, within the sandbox, and the changes.
    fn read(&self, give: impl FnOnce(&mut Config)) -> Result<(Config, Changes), ReloadError> {
        let path = self.origin.file().ok_or(ReloadError::NoFile)?;
        let text = read_config_again(path).map_err(|error| ReloadError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let name = path.display().to_string();
        let mut config = Config::parse(&text, &name).map_err(ReloadError::Mistakes)?;
        give(&mut config);
        let changes = diff(&self.config, &config);
        config.keep_fixed(&self.config);
        let lacks = self.sandbox.lacks(&config);
        if !lacks.is_empty() {
            let refused = ServerError::all_placed(lacks, &config);
            return Err(ReloadError::Refused(refused));
        }
        Ok((config, changes))
    }

    fn result(&self, changes: &Changes, steps: &Steps) -> Reloaded {
        let generation = match changes.is_empty() {
            true => self.service.generation().number(),
            false => self.service.next_generation(),
        };
        Reloaded {
            generation,
            needs_restart: changes.restarts().map(|key| key.key.clone()).collect(),
            changes: changes.to_json(),
            lines: changes.to_string().lines().map(str::to_owned).collect(),
            addresses: addresses(steps),
            removals: Self::removals(changes, generation),
            pause: Duration::ZERO,
            is_found: false,
        }
    }

    fn plan(&self, config: &Config) -> Result<Changeable, ServerError> {
        let lanes = self.service.lanes();
        let (changeable, warnings) = here::plan_again(config, lanes, &self.given)?;
        // The present targets may have a passing fault, which is no reason to refuse other changes.
        if config.log != self.config.log {
            log::check(&config.log)?;
        }
        let (present, next) = (AccessSettings::of(&self.config), AccessSettings::of(config));
        if !next.has_target_of(&present) {
            next.check()?;
        }
        for warning in warnings {
            tracing::warn!(at = warning.place(), "{}", warning.text());
        }
        Ok(changeable)
    }

    /// The removed listeners and endpoints, with the rule for the sessions.
    fn removals(changes: &Changes, generation: u32) -> Vec<Removal> {
        let listeners = changes.listeners.iter();
        let listeners = listeners.filter(|listener| listener.fate == Fate::Removed);
        let listeners = listeners.filter_map(|listener| {
            Some(Removal {
                of: Removed::Listener(listener.name.clone()),
                on_removed: listener.on_removed?,
                generation,
            })
        });
        let endpoints = changes.upstreams.iter().flat_map(|upstream| {
            let of = |&endpoint| {
                Some(Removal {
                    of: Removed::Endpoint(upstream.name.clone(), endpoint),
                    on_removed: upstream.on_removed?,
                    generation,
                })
            };
            upstream.removes.iter().filter_map(of)
        });
        listeners.chain(endpoints).collect()
    }

    /// Puts a listening configuration into service, on all lanes. The lanes answer by events.
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
            log,
            access,
            result,
        } = next;
        if let (Some(control), Some(change)) = (&self.log, log) {
            control.apply(change);
        }
        if let (Some(control), Some(change)) = (&self.access, access) {
            control.apply(change);
        }
        let switches = self.service.apply(prepared, handoff);
        self.config = config;
        self.switching = Some(Switching {
            unanswered: lanes.len(),
            result,
        });
        for (lane, switch) in lanes.iter().zip(switches) {
            let answers = answers.clone();
            // Without the main thread the process has ended.
            let reply = Reply::to(move |switched| drop(answers.send(event(switched))));
            lane.commands.send(Command::Switch(switch, reply));
        }
    }

    /// Notes the answer of a lane; returns the result with the last answer.
    pub(super) fn note(&mut self, switched: Switched) -> Option<Reloaded> {
        let switching = self.switching.as_mut()?;
        switching.unanswered -= 1;
        let pause = &mut switching.result.pause;
        *pause = switched.pause.max(*pause);
        match switching.unanswered {
            0 => self.switching.take().map(|switching| switching.result),
            _ => None,
        }
    }
}

fn addresses(steps: &Steps) -> Addresses {
    let replaced = steps.kept.iter().filter(|kept| kept.is_replaced).count();
    Addresses {
        opened: steps.wanted.len() - replaced,
        replaced,
        kept: steps.kept.len() - replaced,
        closed: steps.removed.len(),
    }
}
