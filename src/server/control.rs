//! The control plane of this server: sockets and users from the configuration, and ways to ask the
//! lanes and the main thread.
//!
//! Called by `run`. The sockets are bound before the process changes the user.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::command::{Command, LaneSenders};
use super::control_checks::{access, impossible, refusal};
use super::dashboard;
use super::error::ServerError;
use super::log_control::LogControl;
use super::plan::Fixed;
use super::process;
use super::supervision::Event;
use crate::config::{Bind, Config, LogLevel};
use crate::control::{self, Access, Lane, Limits, Orders, Parts, Sockets, Token};
use crate::poller::BackEnd;
use crate::sys::local::{LocalListener, effective_user};

/// The sockets of the control plane. Drop removes the file of the control socket.
#[derive(Debug)]
pub(super) struct ControlSockets {
    admin: Option<Arc<LocalListener>>,
    health: Option<TcpListener>,
    dashboard: Option<TcpListener>,
    token: Option<Token>,
    /// Without the server's own user: the user may still change.
    access: Access,
}

impl ControlSockets {
    /// Binds the sockets of the configuration.
    pub(super) fn open(config: &Config) -> Result<Self, ServerError> {
        let control = &config.control;
        let access = access(control)?;
        let admin = admin(config)?;
        let health = control.tcp.map(|address| {
            TcpListener::bind(address).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => {
                    ServerError::in_use("control.tcp".to_owned(), Bind::at(address))
                }
                _ => ServerError::Bind {
                    key: "control.tcp".to_owned(),
                    bind: Bind::at(address),
                    error,
                },
            })
        });
        let sockets = Self {
            admin,
            health: health.transpose()?,
            token: dashboard::token(&config.dashboard)?,
            dashboard: dashboard::listen(&config.dashboard)?,
            access,
        };
        sockets.announce();
        Ok(sockets)
    }

    fn announce(&self) {
        if let Some(socket) = &self.admin {
            tracing::info!(socket = %socket.path().display(), "the control socket listens");
        }
        if let Some(Ok(address)) = self.health.as_ref().map(TcpListener::local_addr) {
            tracing::info!(%address, "health checks and metrics are answered");
        }
        if let Some(Ok(address)) = self.dashboard.as_ref().map(TcpListener::local_addr) {
            let may_act = self.token.is_some();
            tracing::info!(%address, may_act, "the dashboard is served");
        }
    }

    /// Starts the control thread, even without a socket: the main thread has orders for it, and a
    /// later start is beyond the sandbox.
    pub(super) fn serve(
        &self,
        lanes: &[LaneSenders],
        pollers: &[BackEnd],
        fixed: &Fixed,
        to_main: Sender<Event>,
        log: Option<LogControl>,
    ) -> io::Result<Orders> {
        let lanes = lanes.iter().zip(pollers).zip(&fixed.lanes);
        let lanes = lanes.map(|((senders, poller), &cpu)| {
            let commands = senders.commands.clone();
            let remote = senders.remote().clone();
            Lane {
                poller: poller.name(),
                cpu,
                buffers_max: fixed.options.pool.buffers_max,
                stats: Arc::clone(remote.stats()),
                busy: Box::new(move || remote.cpu_time()),
                send: Box::new(move |command| commands.send(Command::Sessions(command))),
            }
        });
        let shown = log.clone();
        let again = |socket: &Option<TcpListener>| {
            let socket = socket.as_ref().map(TcpListener::try_clone);
            socket.transpose()
        };
        control::start(Parts {
            sockets: Sockets {
                admin: self.admin.clone(),
                health: again(&self.health)?,
                dashboard: again(&self.dashboard)?,
            },
            token: self.token.clone(),
            access: Access {
                own: effective_user(),
                ..self.access.clone()
            },
            limits: Limits::default(),
            lanes: lanes.collect(),
            // The main thread ends with the process.
            ask: Box::new(move |ask| drop(to_main.send(Event::Ask(ask)))),
            log_level: Box::new(move || {
                let level = shown.as_ref().map_or(LogLevel::Info, LogControl::level);
                level.word()
            }),
            set_log_level: Box::new(move |word| {
                let wanted = LogLevel::ALL.iter().find(|one| one.word() == word);
                if let (Some(wanted), Some(log)) = (wanted, &log) {
                    log.set_level(*wanted);
                }
                wanted.is_some()
            }),
        })
    }
}

impl Drop for ControlSockets {
    fn drop(&mut self) {
        if let Some(socket) = &self.admin
            && !socket.remove()
        {
            let path = socket.path().display();
            tracing::warn!(%path, "the file of the control socket is left behind");
        }
    }
}

fn admin(config: &Config) -> Result<Option<Arc<LocalListener>>, ServerError> {
    let Some(path) = &config.control.socket else {
        return Ok(None);
    };
    let bound = LocalListener::bind(path, config.control.mode);
    let socket = bound.map_err(refusal)?;
    // The user of the server connects by the permissions of the file, too.
    if let Some(account) = process::account(&config.process)? {
        let given = account.give(path);
        given.map_err(|error| impossible(format!("cannot be given to process.user: {error}")))?;
    }
    Ok(Some(Arc::new(socket)))
}
