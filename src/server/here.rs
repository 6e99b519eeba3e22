//! Tries a configuration on this machine before anything serves: CPUs, poller and descriptors,
//! addresses, socket options, loops through own addresses.
//!
//! Called by `run`, and by `check --here`. A single pass finds all mistakes. Nothing is sent and
//! nothing listens: each socket is created, tried and closed.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use super::access::AccessSettings;
use super::activation;
use super::changeable::Changeable;
use super::control_checks;
use super::dashboard;
use super::error::ServerError;
use super::here_sources;
use super::inherited::Given;
use super::lack_of_ports::lack_of_ports;
use super::log;
use super::options;
use super::plan::Plan;
use super::process;
use super::refused_option::refused_option;
use super::unix_socket;
use crate::config::{AccessTarget, Bind, BindTo, Config, ConfigWarning, Lanes, SocketOptions};
use crate::sys::{self, OsSocket, OwnAddresses, Time};

/// How long an address may take to become usable: duplicate address detection asks for a second,
/// after a random part of one (RFC 4862, 5.4.2).
const PATIENCE: Duration = Duration::from_secs(2);
/// The interval between looks at the address.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether [`run`](super::run::run) would start with `config` on this machine now. Returns the
/// warnings about the file and about this machine.
///
/// # Errors
/// [`ServerError::Config`] with all mistakes; [`ServerError::Taken`] if the only mistakes are ports
/// in use; or a further error if a query of the system fails.
#[expect(clippy::disallowed_methods, reason = "there are no lanes")]
pub(crate) fn check(config: &Config) -> Result<Vec<ConfigWarning>, ServerError> {
    let mut pause = |time| {
        thread::sleep(time);
        Ok(())
    };
    let looks = Looks {
        ports: true,
        process: true,
        patience: PATIENCE,
        passed: None,
    };
    let plan = || Plan::new(config, &Given::look());
    let (_, mut warnings) = look(config, &looks, &mut pause, plan)?;
    warnings.extend(here_sources::warnings(config)?);
    Ok(warnings)
}

/// The plan for this machine, and the warnings. Ports in use are left to `bind`, which waits. Waits
/// by `pause` until `pause` fails.
pub(super) fn plan(
    config: &Config,
    given: &Given,
    pause: Pause<'_>,
) -> Result<(Plan, Vec<ConfigWarning>), ServerError> {
    let looks = Looks {
        ports: false,
        process: true,
        patience: PATIENCE,
        passed: given.passed.clone(),
    };
    look(config, &looks, pause, || Plan::new(config, given))
}

/// The changeable part of a configuration for the running process, and the warnings. Waits for
/// nothing.
pub(super) fn plan_again(
    config: &Config,
    lanes: usize,
    given: &Given,
) -> Result<(Changeable, Vec<ConfigWarning>), ServerError> {
    let looks = Looks {
        ports: false,
        process: false,
        patience: Duration::ZERO,
        passed: given.passed.clone(),
    };
    let plan = || super::plan::plan_again(config, lanes, given);
    look(config, &looks, &mut |_| Ok(()), plan)
}

/// What is looked at.
struct Looks {
    /// Ports in use are mistakes.
    ports: bool,
    /// The user, the PID file and the logs, which a running process has: a reload looks at what it
    /// changes.
    process: bool,
    /// How long an address may take to become usable.
    patience: Duration,
    /// As in [`Given`].
    passed: Option<Vec<String>>,
}

fn look<P>(
    config: &Config,
    looks: &Looks,
    pause: Pause<'_>,
    plan: impl FnOnce() -> Result<P, Vec<ServerError>>,
) -> Result<(P, Vec<ConfigWarning>), ServerError> {
    let mut here = Here {
        config,
        pause,
        stopped: None,
        own: OwnAddresses::look(),
        passed: looks.passed.clone(),
        has_ipv6: sys::has_ipv6(),
        patience: sys::now() + looks.patience,
        errors: Vec::new(),
        doubts: Vec::new(),
    };
    let plan = plan();
    if looks.process {
        here.errors.extend(process::account(&config.process).err());
        here.errors
            .extend(process::check_pid_file(&config.process).err());
        here.errors.extend(control_checks::check(&config.control));
        here.errors
            .extend(dashboard::check(&config.dashboard).err());
        here.lanes();
        here.errors.extend(log::check(&config.log).err());
        here.errors.extend(AccessSettings::of(config).check().err());
        here.syslog();
    }
    here.listeners(looks.ports);
    here.upstreams();
    here.loops();
    if let Some(ports) = sys::ports_for_connections() {
        here.doubts.extend(lack_of_ports(config, ports));
    }
    if let Some(stopped) = here.stopped {
        return Err(stopped);
    }
    let plan = match plan {
        Ok(plan) if here.errors.is_empty() => plan,
        Ok(_) => return Err(ServerError::all_placed(here.errors, config)),
        Err(mut errors) => {
            errors.append(&mut here.errors);
            return Err(ServerError::all_placed(errors, config));
        }
    };
    let mut warnings = config.warnings();
    warnings.extend(config.warn(here.doubts));
    Ok((plan, warnings))
}

/// How the main thread waits before a lane starts: for so long, and fails if it is not to go on.
pub(super) type Pause<'p> = &'p mut dyn FnMut(Duration) -> Result<(), ServerError>;

struct Here<'c> {
    config: &'c Config,
    pause: Pause<'c>,
    /// Why nothing is waited for any more.
    stopped: Option<ServerError>,
    own: OwnAddresses,
    /// The names of passed sockets, where known.
    passed: Option<Vec<String>>,
    has_ipv6: bool,
    /// When the last address must be usable.
    patience: Time,
    errors: Vec<ServerError>,
    /// Keys with doubtful values, and the doubts.
    doubts: Vec<(String, String)>,
}

impl Here<'_> {
    fn mistake(&mut self, key: String, remedy: String) {
        self.errors.push(ServerError::Impossible { key, remedy });
    }

    fn lanes(&mut self) {
        if let (Lanes::Count(lanes), Ok(cpus)) = (&self.config.runtime.lanes, sys::cpus())
            && lanes.get() > cpus.len()
        {
            let cpus = cpus.len();
            let remedy = format!("more than the {cpus} CPUs of this process; write \"auto\"");
            self.doubts.push(("runtime.lanes".to_owned(), remedy));
        }
    }

    /// A syslog daemon may start later: its socket is missed at the start only.
    fn syslog(&mut self) {
        let of = &self.config.access_log;
        let is_used = of.target == Some(AccessTarget::Syslog);
        if is_used && !of.syslog_socket.exists() {
            let remedy = format!(
                "{} does not exist; start the syslog daemon first, or name its socket",
                of.syslog_socket.display()
            );
            let key = "access_log.syslog_socket".to_owned();
            self.doubts.push((key, remedy));
        }
    }

    fn listeners(&mut self, ports: bool) {
        let config = self.config;
        for (index, listener) in config.listeners.iter().enumerate() {
            let freebind = listener.socket.freebind;
            for bind in &listener.bind {
                match bind.tcp() {
                    None => match &bind.to {
                        BindTo::Systemd(name) => self.passed_socket(index, bind, name),
                        _ => self.unix_socket(index, bind, ports),
                    },
                    Some(_) if bind.is_optional() && !self.has_ipv6 => {}
                    Some(address) => self.bind(index, bind, address, freebind, ports),
                }
            }
            self.errors
                .extend(unix_socket::ids(index, &listener.unix).err());
            let key = format!("listener[{index}].backlog");
            if let Some(most) = sys::backlog_max()
                && listener.backlog > most
                && config.is_written(&key)
            {
                let remedy = format!("the kernel holds {most}; raise net.core.somaxconn");
                self.doubts.push((key, remedy));
            }
            let path = format!("listener[{index}].socket");
            let addresses: Vec<_> = listener.addresses().collect();
            self.options(&path, &listener.socket, &addresses, true);
        }
    }

    /// Checks whether a listener can have this address.
    fn bind(
        &mut self,
        index: usize,
        bind: &Bind,
        address: SocketAddr,
        freebind: bool,
        ports: bool,
    ) {
        let key = bind.key(index);
        if address.is_ipv6()
            && let Err(error) = sys::stream_socket(address)
            && !sys::is_out_of_resources(&error)
        {
            return self.mistake(key, "this system has no IPv6; leave it out".to_owned());
        }
        // Port 0 is always a free port.
        let bound = self.patiently(address.ip(), || sys::port_is_taken(address, freebind));
        match bound {
            Ok(false) => {}
            Ok(true) if !ports => {}
            Ok(true) => self.errors.push(ServerError::in_use(key, bind.clone())),
            Err(_) if lacks_interface(address) => self.mistake(key, no_interface(address)),
            Err(error) => self.errors.push(ServerError::Bind {
                key,
                bind: bind.clone(),
                error,
            }),
        }
    }

    fn passed_socket(&mut self, index: usize, bind: &Bind, name: &str) {
        match &self.passed {
            Some(names) if names.iter().any(|one| one == name) => {}
            Some(names) => {
                let unknown = activation::unknown(bind.key(index), names);
                self.errors.push(unknown);
            }
            None => {
                let doubt =
                    "known only to a server that systemd starts; `run` takes the socket then";
                self.doubts.push((bind.key(index), doubt.to_owned()));
            }
        }
    }

    fn unix_socket(&mut self, index: usize, bind: &Bind, ports: bool) {
        let taken = unix_socket::look(index, bind);
        self.errors.extend(match taken {
            Ok(taken) => taken.filter(|_| ports),
            Err(error) => Some(error),
        });
    }

    /// The final result of `attempt` on an own address, which may need a moment to become usable.
    fn patiently<T>(
        &mut self,
        ip: IpAddr,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error)
                    if error.kind() == io::ErrorKind::AddrNotAvailable
                        && self.own.may_list(ip)
                        && self.stopped.is_none()
                        && sys::now() < self.patience =>
                {
                    self.stopped = (self.pause)(PAUSE).err();
                }
                result => return result,
            }
        }
    }

    fn upstreams(&mut self) {
        let config = self.config;
        for (index, upstream) in config.upstreams.iter().enumerate() {
            let path = format!("upstream[{index}]");
            let socket = format!("{path}.socket");
            let addresses: Vec<SocketAddr> = upstream.addresses().collect();
            self.options(&socket, &upstream.socket, &addresses, false);
            self.endpoints(&path, upstream.fixed());
            for (place, &source) in upstream.source.iter().enumerate() {
                self.source(format!("{path}.source[{place}]"), source, &addresses);
            }
        }
    }

    /// Whether connections can come from this address.
    fn source(&mut self, key: String, source: IpAddr, endpoints: &[SocketAddr]) {
        let bound = self.patiently(source, || {
            let socket = sys::stream_socket(SocketAddr::new(source, 0))?;
            sys::bind_source(sys::borrow(&socket), source)
        });
        let elsewhere = |endpoint: &&SocketAddr| {
            endpoint.is_ipv4() == source.is_ipv4() && !self.own.has(endpoint.ip())
        };
        match bound {
            Ok(()) if source.is_loopback() => {
                if let Some(endpoint) = endpoints.iter().find(elsewhere) {
                    let remedy = format!(
                        "from the loopback no connection leaves this machine, and the endpoint \
                         {endpoint} is elsewhere; write an address of another interface"
                    );
                    self.mistake(key, remedy);
                }
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                let remedy = "no interface of this machine has that address; write one that it \
                              has, or leave it out";
                self.mistake(key, remedy.to_owned());
            }
            Err(error) if sys::is_out_of_resources(&error) => {
                let what = "cannot open a socket";
                self.errors.push(ServerError::System { what, error });
            }
            Err(error) => self.mistake(key, format!("connections cannot come from there: {error}")),
        }
    }

    /// Checks whether the system has a route to each endpoint. A missing route may be temporary, as
    /// at boot.
    fn endpoints(&mut self, path: &str, endpoints: impl Iterator<Item = (usize, SocketAddr)>) {
        let mut without_way = Vec::new();
        for (place, endpoint) in endpoints {
            let key = format!("{path}.endpoints[{place}]");
            match sys::way(None, endpoint) {
                Ok(()) => {}
                Err(_) if lacks_interface(endpoint) => self.mistake(key, no_interface(endpoint)),
                Err(error) => without_way.push((key, error)),
            }
        }
        let others = without_way.len().saturating_sub(1);
        if let Some((key, error)) = without_way.into_iter().next() {
            let others = match others {
                0 => String::new(),
                others => format!(", and to {others} others of this upstream"),
            };
            let doubt = format!("there is no way to it at the moment{others}: {error}");
            self.doubts.push((key, doubt));
        }
    }

    /// Whether sockets of the families of these addresses can have the options.
    fn options(
        &mut self,
        path: &str,
        written: &SocketOptions,
        addresses: &[SocketAddr],
        listens: bool,
    ) {
        let mut refused = BTreeSet::new();
        let mut doubted = BTreeSet::new();
        for is_ipv4 in [true, false] {
            let of_family = |address: &&SocketAddr| address.is_ipv4() == is_ipv4;
            let Some(address) = addresses.iter().find(of_family) else {
                continue;
            };
            // Without the address family the bind fails, too, and that failure is reported.
            let Ok(socket) = sys::stream_socket(*address) else {
                continue;
            };
            let refusals = options::socket(written).refusals(sys::borrow(&socket), listens);
            for (option, error) in refusals {
                refused.insert((format!("{path}.{option}"), refused_option(option, &error)));
            }
            doubted.extend(short_buffers(path, written, &socket));
        }
        if listens && written.fast_open && sys::listeners_open_fast() == Some(false) {
            let remedy = "the kernel lets no listener do so; add 2 to net.ipv4.tcp_fastopen";
            doubted.insert((format!("{path}.fast_open"), remedy.to_owned()));
        }
        for (key, remedy) in refused {
            self.mistake(key, remedy);
        }
        self.doubts.extend(doubted);
    }

    fn loops(&mut self) {
        for found in self.config.loops(|ip| self.own.has(ip)) {
            let name = &self.config.listeners[found.accepting].name;
            let remedy = format!(
                "its endpoint {} is this machine, where connections come to listener \"{name}\" \
                 in an endless loop; write an upstream that does not lead back here",
                found.endpoint
            );
            self.mistake(format!("listener[{}].upstream", found.listener), remedy);
        }
    }
}

/// The interface that a link-local address names.
fn interface(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
        _ => None,
    }
}

fn lacks_interface(address: SocketAddr) -> bool {
    interface(address).is_some_and(|number| !sys::has_interface(number))
}

fn no_interface(address: SocketAddr) -> String {
    let number = interface(address).unwrap_or_default();
    format!("this machine has no interface {number}; `ip link` shows their numbers")
}

/// Checks whether the kernel grants buffers of the written size.
fn short_buffers(path: &str, written: &SocketOptions, socket: &OsSocket) -> Vec<(String, String)> {
    let Ok((send, receive)) = sys::granted_buffers(sys::borrow(socket)) else {
        return Vec::new();
    };
    let short = |key: &str, asked: Option<usize>, granted: usize, limit: &str| {
        let is_short = asked.is_some_and(|asked| granted < asked);
        let remedy = format!("the kernel grants {granted} bytes; raise {limit}");
        is_short.then(|| (format!("{path}.{key}"), remedy))
    };
    let send = short(
        "send_buffer",
        written.send_buffer,
        send,
        "net.core.wmem_max",
    );
    let receive = short(
        "receive_buffer",
        written.receive_buffer,
        receive,
        "net.core.rmem_max",
    );
    send.into_iter().chain(receive).collect()
}
