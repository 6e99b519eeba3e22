//! Changes of the access log: target, form and filters, all or none.
//!
//! [`AccessControl`] is the handle for a reload and SIGUSR1. A change first opens the target,
//! and cannot fail from then on.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::super::error::ServerError;
use super::super::log_control::LogControl;
use super::super::log_file;
use super::file::AccessFile;
use super::sink::Sink;
use crate::config::{AccessFormat, AccessLog as Configured, AccessTarget, Config};
use crate::proxy::{AccessFilter, AccessLog};
use crate::sys::JournalSocket;

const KEY: &str = "access_log.target";

/// What a configuration says of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct AccessSettings {
    table: Configured,
    /// The names of listeners without lines.
    silent: Vec<String>,
}

impl AccessSettings {
    pub(in crate::server) fn of(config: &Config) -> Self {
        let silent = config.listeners.iter().filter(|of| !of.access_log);
        Self {
            table: config.access_log.clone(),
            silent: silent.map(|of| of.name.clone()).collect(),
        }
    }

    /// Whether both have the same target.
    pub(in crate::server) fn has_target_of(&self, other: &Self) -> bool {
        self.table.target == other.table.target
            && self.table.syslog_socket == other.table.syslog_socket
    }

    /// Whether the target could be opened; creates nothing.
    pub(in crate::server) fn check(&self) -> Result<(), ServerError> {
        match &self.table.target {
            Some(AccessTarget::File(path)) => log_file::check(KEY, path),
            Some(AccessTarget::Journal) => JournalSocket::of_system().map(drop).map_err(no_journal),
            Some(AccessTarget::StandardError | AccessTarget::Syslog) | None => Ok(()),
        }
    }
}

fn no_journal(error: io::Error) -> ServerError {
    ServerError::Impossible {
        key: KEY.to_owned(),
        remedy: format!(
            "systemd's journal takes no entries here: {error}; write \"stderr\", \"syslog\" or a \
             file"
        ),
    }
}

/// A change with an open target, which cannot fail.
#[derive(Debug)]
pub(in crate::server) struct AccessChange {
    pub(super) sink: Option<Sink>,
    pub(super) format: AccessFormat,
    pub(super) every: Option<Duration>,
    pub(super) silent: Vec<String>,
    filter: Option<AccessFilter>,
}

impl AccessChange {
    /// Opens the target. Lines for standard error go through the queue of `log`.
    ///
    /// # Errors
    /// A mistake of `access_log.target`; nothing has changed.
    pub(in crate::server) fn prepare(
        settings: &AccessSettings,
        log: Option<&LogControl>,
    ) -> Result<Self, ServerError> {
        let table = &settings.table;
        let file = |path: &Path| {
            let opened = AccessFile::open(path, table);
            opened.map_err(|error| log_file::refused(KEY, &error))
        };
        let syslog = |path: &Path| {
            let socket = JournalSocket::open(path).map_err(|error| ServerError::Impossible {
                key: KEY.to_owned(),
                remedy: format!("no socket for syslog: {error}; name a file, or write \"stderr\""),
            });
            Ok(Sink::Syslog(socket?, path.to_owned()))
        };
        let open = |target: &AccessTarget| match target {
            AccessTarget::StandardError => Ok(Sink::Stderr(log.cloned())),
            AccessTarget::File(path) => file(path).map(Sink::File),
            AccessTarget::Syslog => syslog(&table.syslog_socket),
            AccessTarget::Journal => {
                let journal = JournalSocket::of_system();
                journal.map(Sink::Journal).map_err(no_journal)
            }
        };
        let filter = || {
            let mut filter = AccessFilter::of_ends(&table.only, Configured::is_abnormal);
            filter.start = table.start;
            filter.legs = table.has_facts_of_kernel();
            filter.longer_than = table.longer_than.unwrap_or_default();
            filter.sample = table.sample;
            filter
        };
        Ok(Self {
            sink: table.target.as_ref().map(open).transpose()?,
            format: table.format.clone(),
            every: table.every,
            silent: settings.silent.clone(),
            filter: table.target.is_some().then(filter),
        })
    }
}

/// An order to the writing thread.
#[derive(Debug)]
pub(super) enum Order {
    Switch(Box<AccessChange>),
    /// Open the file anew.
    Reopen,
    /// Write the remaining lines, and tell.
    Close(Sender<()>),
}

/// The handle for changes of the access log.
#[derive(Clone, Debug)]
pub(in crate::server) struct AccessControl {
    log: Arc<AccessLog>,
    orders: Sender<Order>,
    /// Whether lines go to a file.
    has_file: Arc<AtomicBool>,
}

impl AccessControl {
    /// The handle, and the orders for the writing thread.
    pub(super) fn new(log: &Arc<AccessLog>) -> (Self, Receiver<Order>) {
        let (orders, to_obey) = channel();
        let control = Self {
            log: Arc::clone(log),
            orders,
            has_file: Arc::default(),
        };
        (control, to_obey)
    }

    /// Puts a change in force.
    pub(in crate::server) fn apply(&self, change: AccessChange) {
        let filter = change.filter;
        let has_file = matches!(change.sink, Some(Sink::File(_)));
        self.has_file.store(has_file, Release);
        // Records before a switch off are for the target until then.
        if filter.is_none() {
            self.log.set(None);
        }
        self.order(Order::Switch(Box::new(change)));
        if filter.is_some() {
            self.log.set(filter);
        }
    }

    /// Has the file opened anew, by the writing thread; false if there is no file.
    pub(in crate::server) fn reopen(&self) -> bool {
        let has_file = self.has_file.load(Acquire);
        if has_file {
            self.order(Order::Reopen);
        }
        has_file
    }

    pub(super) fn order(&self, order: Order) {
        // Without an effect at the end of the process.
        _ = self.orders.send(order);
        self.log.wake();
    }
}
