//! `[[listener]]`: an address that clients connect to, and the service behind the address.
//!
//! Read by `Config::parse` after the upstreams. Also checks that no two listeners bind the same
//! address.

use std::net::SocketAddr;

use super::bind::{self, Bind, BindTo};
use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::names::Names;
use super::on_removed::OnRemoved;
use super::section::Section;
use super::socket::{self, SocketOptions};
use super::timeouts::{self, Timeouts};
use super::unix_file::{self, UnixFile};
use super::upstream::Upstream;
use super::value::{self, Unique};

/// One `[[listener]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Unique among the listeners; `listener[].name`.
    pub name: String,
    /// Where to accept: at least one address, at most 4,096, none twice in the file;
    /// `listener[].bind`.
    pub bind: Vec<Bind>,
    /// The service for each connection; `listener[].service`.
    pub service: Service,
    /// How many connections the kernel may hold for each lane and address until they are
    /// accepted, 1 to 65,535; the kernel may have a lower limit; `listener[].backlog`.
    pub backlog: u32,
    /// Whether its sessions have lines in the access log; `listener[].access_log`.
    pub access_log: bool,
    /// What becomes of its sessions when a reload removes it; `listener[].on_removed` and
    /// `listener[].drain_over`.
    pub on_removed: OnRemoved,
    /// The time limits of a session; `listener[].timeouts`.
    pub timeouts: Timeouts,
    /// How the connections of clients are set up; `listener[].socket`.
    pub socket: SocketOptions,
    /// Who may connect to its unix sockets; `listener[].unix`.
    pub unix: UnixFile,
}

impl Listener {
    /// Whether it has a unix socket with a file.
    pub(super) fn has_unix_file(&self) -> bool {
        let is_file = |bind: &Bind| matches!(bind.to, BindTo::Unix(_));
        self.bind.iter().any(is_file)
    }

    /// The TCP addresses to bind.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.bind.iter().filter_map(Bind::tcp)
    }
}

/// What a listener does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Sends back what it receives.
    Echo,
    /// Connects to an endpoint and relays both ways.
    Proxy {
        /// The index of the upstream in [`Config::upstreams`](super::Config::upstreams).
        upstream: usize,
    },
}

/// The names of the services, read before the keys of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Echo,
    Proxy,
}

const KINDS: &[(&str, Kind)] = &[("echo", Kind::Echo), ("proxy", Kind::Proxy)];

/// The limit of `listen(2)`: a `u16` until Linux 4.1 and on other systems.
const BACKLOG_MAX: u32 = 65_535;

/// Reads every listener of the file.
pub(super) fn read_all(
    root: &mut Section<'_>,
    upstream_names: &Names,
) -> Vec<Result<Listener, Reported>> {
    let mut names = Names::new("listener");
    let mut bound = Unique::new("this address");
    let mut listeners = root.tables("listener", |index, section| {
        let name = names.read(index, section);
        let bind = section.required("bind", "an address, e.g. bind = \"127.0.0.1:7007\"", |v| {
            bind::binds(v, &mut bound)
        });
        let kind = value::word("a service", KINDS);
        let kind = section.required("service", "service = \"echo\" or \"proxy\"", kind);
        let service = service(kind, section, upstream_names);
        let backlog = value::integer(1..=BACKLOG_MAX, "the kernel counts no further");
        let backlog = section.optional("backlog", 4096, backlog);
        let access_log = section.optional("access_log", true, value::boolean);
        let on_removed = OnRemoved::read(section);
        let connects = !matches!(kind, Ok(Kind::Echo));
        let timeouts = section.table("timeouts", timeouts::WRITE, |timeouts| {
            Timeouts::read(timeouts, connects)
        });
        let socket = section.table("socket", socket::WRITE, |socket| {
            SocketOptions::read(socket, true)
        });
        let unix = section.table("unix", unix_file::WRITE, UnixFile::read);
        Ok(Listener {
            name: name?,
            bind: bind?,
            service: service?,
            backlog,
            access_log,
            on_removed,
            timeouts,
            socket,
            unix,
        })
    });
    if listeners.is_empty() {
        listeners.push(Err(root.missing("listener", "at least one [[listener]]")));
    }
    listeners
}

impl Listener {
    /// The keys, with the name of the upstream among `upstreams`.
    pub(super) fn keys(&self, upstreams: &[Upstream]) -> Keys {
        let Self {
            name,
            bind,
            service,
            backlog,
            access_log,
            on_removed,
            timeouts,
            socket,
            unix,
        } = self;
        let (kind, upstream) = match *service {
            Service::Echo => (Kind::Echo, None),
            Service::Proxy { upstream } => (Kind::Proxy, upstreams.get(upstream)),
        };
        let keys = Keys::default()
            .on_reload("name", Effective::text(name))
            .on_reload("bind", bind::effective(bind))
            .on_reload("service", Effective::text(value::word_of(KINDS, &kind)));
        let keys = match upstream {
            Some(upstream) => keys.on_reload("upstream", Effective::text(&upstream.name)),
            None => keys,
        };
        let keys = keys
            .on_reload("backlog", Effective::number(*backlog))
            .on_reload("access_log", Effective::Boolean(*access_log));
        on_removed
            .write(keys)
            .table("timeouts", timeouts.keys(kind == Kind::Proxy))
            .table("socket", socket.keys(true))
            .table("unix", unix.keys())
    }
}

/// The service of this kind, with the keys that only this kind has.
fn service(
    kind: Result<Kind, Reported>,
    section: &mut Section<'_>,
    upstreams: &Names,
) -> Result<Service, Reported> {
    match (kind, section.value("upstream")) {
        (Ok(Kind::Echo), None) => Ok(Service::Echo),
        (Ok(Kind::Echo), Some(upstream)) => Err(upstream.senseless(
            "an echo connects to no upstream",
            "service = \"proxy\", or no upstream",
        )),
        (Ok(Kind::Proxy), Some(name)) => {
            let upstream = upstreams.find(&name)?;
            Ok(Service::Proxy { upstream })
        }
        (Ok(Kind::Proxy), None) => {
            let write = "the name of an [[upstream]], e.g. upstream = \"echo\"";
            Err(section.missing("upstream", write))
        }
        // The kind may have been proxy, so the reference is checked.
        (Err(reported), Some(name)) => Err(upstreams.find(&name).err().unwrap_or(reported)),
        (Err(reported), None) => Err(reported),
    }
}
