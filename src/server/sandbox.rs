//! The sandbox of the running server: rights given up once the listeners are bound.
//!
//! Called by `run`: `apply` before a lane starts, `close` when all threads run, `lacks` before
//! a later configuration is applied. The log names layers absent from this kernel; the server
//! serves without these layers.

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::error::ServerError;
use crate::config::{
    AccessTarget, Bind, BindTo, Config, ConnectPorts, EndpointSource, Listener, LogTarget,
    SandboxMode, Upstream,
};
use crate::poller::{BackEnd, PollerOptions};
use crate::runtime::LaneOptions;
use crate::sys::sandbox::{self, FileRight, Landlocked, Permitted, Unexpected};

/// The limits of the process.
#[derive(Debug, Default)]
pub(super) struct Sandbox {
    /// The permitted TCP ports to connect to; `None` for all.
    connect: Option<BTreeSet<u16>>,
    /// The fate of unexpected system calls; `None` without a filter.
    unexpected: Option<Unexpected>,
    /// Whether rings are restricted to the operations of the poller.
    restricts_rings: bool,
    /// The folders for new files; `None` for all.
    writable: Option<Vec<PathBuf>>,
    /// The folders of watched files; `None` for all.
    watched: Option<Vec<PathBuf>>,
    /// Whether the files of the system about names can be read; `None` without limits.
    reads_etc: Option<bool>,
    /// The files of unix sockets at the start.
    unix: Vec<PathBuf>,
    /// Keeps the folders of the rules, and restricts further threads.
    landlock: Option<Landlocked>,
    /// The layers in force, and the absent layers, for the log.
    holds: Vec<String>,
    lacks: Vec<String>,
}

impl Sandbox {
    /// Gives up the rights without a use in `config`, on every thread, and logs the layers.
    pub(super) fn apply(config: &Config, back_end: BackEnd) -> Self {
        let mut sandbox = Self::default();
        let mode = match config.sandbox.mode {
            SandboxMode::Off => {
                tracing::info!(mode = "off", "sandbox");
                return sandbox;
            }
            SandboxMode::Log => {
                sandbox.privileges();
                sandbox.calls(Unexpected::Logged);
                "log"
            }
            SandboxMode::On => {
                sandbox.privileges();
                sandbox.rings(back_end);
                sandbox.files_and_ports(config);
                sandbox.calls(Unexpected::Refused);
                "on"
            }
        };
        let list = |parts: &[String]| (!parts.is_empty()).then(|| parts.join(", "));
        let (holds, lacks) = (list(&sandbox.holds), list(&sandbox.lacks));
        tracing::info!(mode, holds, lacks, "sandbox");
        sandbox
    }

    /// The options of a lane in this sandbox.
    pub(super) fn options(&self, options: LaneOptions) -> LaneOptions {
        let poller = PollerOptions {
            restricted: self.restricts_rings,
            ..options.poller
        };
        LaneOptions { poller, ..options }
    }

    /// Runs `start` so that the threads it starts cannot bind TCP ports: only the main thread,
    /// which reads no bytes of the network, opens listeners of later configurations.
    pub(super) fn starting<T: Send>(
        &self,
        start: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let Some(landlock) = &self.landlock else {
            return start();
        };
        // A thread inherits the rules of the thread that starts it.
        let parent = || {
            if let Err(error) = landlock.forbid_binding() {
                tracing::warn!(%error, "the sandbox lets more than the main thread bind TCP ports");
            }
            start()
        };
        thread::scope(|scope| {
            let parent = thread::Builder::new()
                .name("starting".to_owned())
                .spawn_scoped(scope, parent)?;
            let panicked = |_| Err(io::Error::other("a panic at the start of a thread"));
            parent.join().unwrap_or_else(panicked)
        })
    }

    /// Gives up new threads, rings and event queues, which only the start needs. Called when every
    /// thread has opened its rings and queues.
    pub(super) fn close(&mut self) {
        if let Some(landlock) = &mut self.landlock {
            landlock.close();
        }
        let Some(unexpected) = self.unexpected else {
            return;
        };
        if let Err(error) = sandbox::filter_calls_of_start(unexpected) {
            tracing::warn!(%error, "the sandbox goes on to permit the system calls of the start");
        }
    }

    /// The keys of `config` with needs beyond the rights left to this process; empty if the rights
    /// are enough.
    pub(super) fn lacks(&self, config: &Config) -> Vec<ServerError> {
        let mut lacks = Vec::new();
        for (index, listener) in config.listeners.iter().enumerate() {
            for bind in &listener.bind {
                lacks.extend(self.lacks_bind(index, listener, bind));
            }
        }
        for (index, upstream) in config.upstreams.iter().enumerate() {
            for (place, endpoint) in upstream.fixed() {
                if !permits(self.connect.as_ref(), endpoint.port()) {
                    let key = format!("upstream[{index}].endpoints[{place}]");
                    lacks.push((key, no_port(endpoint.port())));
                }
            }
            let of_checks = upstream.health.port;
            if let Some(port) = of_checks.filter(|port| !permits(self.connect.as_ref(), *port)) {
                lacks.push((format!("upstream[{index}].health.port"), no_port(port)));
            }
        }
        lacks.extend(self.lacks_sources(config));
        for (key, folder) in log_folders(config) {
            if !self.permits_in(&folder) {
                let remedy = no_file("name a file in the folder of the present one");
                lacks.push((key.to_owned(), remedy));
            }
        }
        let lacks = lacks.into_iter();
        lacks
            .map(|(key, remedy)| ServerError::Impossible { key, remedy })
            .collect()
    }

    /// The keys and the remedies for sources of endpoints.
    fn lacks_sources(&self, config: &Config) -> Vec<(String, String)> {
        let mut lacks = Vec::new();
        for (index, upstream) in config.upstreams.iter().enumerate() {
            for (place, written) in upstream.written_sources() {
                let password = config.etcd.password_file.as_deref();
                let password = password.filter(|_| written.source.is_etcd());
                let file = written.source.file().or(password);
                let remedy = match written.source.port() {
                    _ if file.is_some_and(|file| !self.may_watch(file)) => Some(
                        "the sandbox of the running process does not permit to read a file \
                         there; restart, or name a file in the folder of a present one"
                            .to_owned(),
                    ),
                    _ if written.source.is_name()
                        && self.reads_etc == Some(false)
                        && reads_etc(config) =>
                    {
                        Some(
                            "the sandbox of the running process does not permit to read \
                         /etc/resolv.conf and /etc/hosts; restart, or write resolver.servers and \
                         resolver.hosts = false"
                                .to_owned(),
                        )
                    }
                    None if self.connect.is_some() => Some(
                        "its ports are not known before, and the sandbox of the running process \
                         limits them; restart"
                            .to_owned(),
                    ),
                    Some(port) if !permits(self.connect.as_ref(), port) => Some(no_port(port)),
                    _ => None,
                };
                let key = || format!("upstream[{index}].endpoints[{place}]");
                lacks.extend(remedy.map(|remedy| (key(), remedy)));
            }
        }
        lacks
    }

    /// The key and the remedy for an address of a listener.
    fn lacks_bind(&self, index: usize, of: &Listener, bind: &Bind) -> Option<(String, String)> {
        let file = unix_file(bind)?;
        if !self.permits_in(&folder_of(file)) {
            let remedy = no_file("name a file in the folder of a present one");
            return Some((bind.key(index), remedy));
        }
        let is_filtered = self.unexpected == Some(Unexpected::Refused);
        let is_new = !self.unix.iter().any(|known| known == file);
        let has_owner = of.unix.owner.is_some() || of.unix.group.is_some();
        let remedy = "the sandbox of the running process does not give files away; restart, or \
                      leave out owner and group";
        (is_filtered && is_new && has_owner)
            .then(|| (format!("listener[{index}].unix"), remedy.to_owned()))
    }

    fn may_watch(&self, file: &Path) -> bool {
        let watched = self.watched.as_ref();
        watched.is_none_or(|known| known.iter().any(|known| file.starts_with(known)))
    }

    fn permits_in(&self, folder: &Path) -> bool {
        let writable = self.writable.as_ref();
        writable.is_none_or(|known| known.iter().any(|known| folder.starts_with(known)))
    }

    fn privileges(&mut self) {
        self.note(sandbox::forbid_new_privileges(), || {
            "no new privileges".to_owned()
        });
    }

    fn rings(&mut self, back_end: BackEnd) {
        let Some(result) = back_end.restrictions() else {
            return;
        };
        self.restricts_rings = result.is_ok();
        let what = |operations: &usize| format!("{operations} operations of a ring");
        match result {
            Ok(operations) => self.holds.push(what(&operations)),
            Err(error) => self.lacks.push(format!("restricted rings ({error})")),
        }
    }

    fn files_and_ports(&mut self, config: &Config) {
        let abi = match sandbox::landlock_abi() {
            Ok(abi) => abi,
            Err(error) => {
                let lacking = format!("files and TCP ports by Landlock ({error})");
                return self.lacks.push(lacking);
            }
        };
        let connect = connect_ports(config);
        let files = files(config);
        let files: Vec<_> = files
            .iter()
            .map(|(path, right)| (&**path, *right))
            .collect();
        let permitted = Permitted {
            files: &files,
            connect: connect.as_ref(),
            abstract_sockets: manager_is_abstract(),
        };
        match sandbox::landlock(abi, &permitted) {
            Ok(landlocked) => self.landlock = Some(landlocked),
            Err(error) => {
                let lacking = format!("files and TCP ports by Landlock ABI {abi} ({error})");
                return self.lacks.push(lacking);
            }
        }
        self.writable = Some(writable(config));
        self.watched = Some(watched(config));
        self.reads_etc = Some(reads_etc(config) || has_accounts(config));
        self.unix = unix_files(config).map(PathBuf::from).collect();
        self.holds.push(format!("files (Landlock ABI {abi})"));
        if abi < sandbox::LANDLOCK_ABI_TCP {
            let first = sandbox::LANDLOCK_ABI_TCP;
            let lacking = format!("TCP ports (Landlock ABI {first})");
            return self.lacks.push(lacking);
        }
        let to_connect = match &connect {
            Some(ports) => ports.len().to_string(),
            None if limits_ports(config) => {
                "any, since the ports of discovery are not known before".to_owned()
            }
            None => "any".to_owned(),
        };
        let holding = format!("TCP ports (bind on the main thread alone, connect {to_connect})");
        self.holds.push(holding);
        self.connect = connect;
    }

    fn calls(&mut self, unexpected: Unexpected) {
        let result = sandbox::filter_calls(unexpected);
        self.unexpected = result.is_ok().then_some(unexpected);
        self.note(result, || {
            let calls = sandbox::calls_of_service();
            match unexpected {
                Unexpected::Refused => format!("{calls} system calls"),
                Unexpected::Logged => format!("others than {calls} system calls are logged"),
            }
        });
    }

    fn note(&mut self, result: io::Result<()>, what: impl Fn() -> String) {
        match result {
            Ok(()) => self.holds.push(what()),
            Err(error) => self.lacks.push(format!("{} ({error})", what())),
        }
    }
}

fn permits(ports: Option<&BTreeSet<u16>>, port: u16) -> bool {
    ports.is_none_or(|ports| ports.contains(&port))
}

fn no_port(port: u16) -> String {
    format!(
        "the sandbox of the running process does not permit port {port}; restart, and write \
         sandbox.connect_ports = \"any\", or ports and ranges, to need no restart next time"
    )
}

fn no_file(remedy: &str) -> String {
    format!("the sandbox of the running process permits no new file there; restart, or {remedy}")
}

/// The files opened by a serving server.
fn files(config: &Config) -> Vec<(PathBuf, FileRight)> {
    let mut files: Vec<(PathBuf, FileRight)> = sandbox::KERNEL_FILES
        .iter()
        .map(|path| (PathBuf::from(path), FileRight::Read))
        .collect();
    // A backtrace reads the names of the functions when a panic needs them.
    files.extend(env::current_exe().ok().map(|exe| (exe, FileRight::Read)));
    // The folder, since an editor replaces the file; for a symbolic link, the target's folder, too.
    let file = Path::new(config.source.name());
    let target = file.canonicalize().ok();
    let known = target.is_some().then_some(file);
    for file in known.into_iter().chain(target.as_deref()) {
        files.push((folder_of(file), FileRight::Read));
    }
    // For the check of a configuration with accounts (passwd(5)). Without an account the
    // process may be root's, and root may read the passwords.
    let (process, control) = (&config.process, &config.control);
    if has_accounts(config) || reads_etc(config) {
        files.push(("/etc".into(), FileRight::Read));
    }
    // A link to a folder of a daemon, which writes the file anew.
    let resolv_conf = Path::new("/etc/resolv.conf").canonicalize();
    let resolv_conf = resolv_conf.ok().filter(|_| reads_etc(config));
    files.extend(resolv_conf.map(|file| (folder_of(&file), FileRight::Read)));
    let watched = watched(config).into_iter();
    files.extend(watched.map(|folder| (folder, FileRight::Read)));
    for file in process.pid_file.iter().chain(&control.socket) {
        files.push((folder_of(file), FileRight::Remove));
    }
    let writable = writable(config).into_iter();
    files.extend(writable.map(|folder| (folder, FileRight::Write)));
    files
}

/// Whether a configuration has accounts, whose check reads passwd(5).
fn has_accounts(config: &Config) -> bool {
    let (process, control) = (&config.process, &config.control);
    let owned = |one: &Listener| one.unix.owner.is_some() || one.unix.group.is_some();
    process.user.is_some()
        || process.group.is_some()
        || config.listeners.iter().any(owned)
        || !control.read.is_empty()
        || !control.operate.is_empty()
}

/// Whether names are looked up by the files of the system.
fn reads_etc(config: &Config) -> bool {
    let mut sources = config.upstreams.iter().flat_map(Upstream::sources);
    let resolver = &config.resolver;
    sources.any(EndpointSource::is_name) && (resolver.hosts || resolver.servers.is_empty())
}

/// The folders of watched files and of the password for etcd: a file is replaced by a rename.
fn watched(config: &Config) -> Vec<PathBuf> {
    let sources = config.upstreams.iter().flat_map(Upstream::sources);
    let asks_etcd = sources.clone().any(EndpointSource::is_etcd);
    let password = config.etcd.password_file.as_deref();
    let password = password.filter(|_| asks_etcd);
    let files = sources.filter_map(EndpointSource::file).chain(password);
    files.map(folder_of).collect()
}

/// The folders for new files and unix sockets of the running server: a line for each key with
/// such a path.
fn writable(config: &Config) -> Vec<PathBuf> {
    let of_sockets = unix_files(config).map(folder_of);
    let of_logs = log_folders(config).map(|(_, folder)| folder);
    of_logs.chain(of_sockets).collect()
}

/// The files of the unix sockets to listen on.
fn unix_files(config: &Config) -> impl Iterator<Item = &Path> {
    let binds = config.listeners.iter().flat_map(|one| &one.bind);
    binds.filter_map(unix_file)
}

fn unix_file(bind: &Bind) -> Option<&Path> {
    match &bind.to {
        BindTo::Unix(path) => Some(path),
        BindTo::Tcp(_) | BindTo::Abstract(_) | BindTo::Systemd(_) => None,
    }
}

/// The keys with a log file, and the folders.
fn log_folders(config: &Config) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let log = match &config.log.target {
        LogTarget::File(file) => Some(("log.target", folder_of(file))),
        LogTarget::StandardError => None,
    };
    let access = match &config.access_log.target {
        Some(AccessTarget::File(file)) => Some(("access_log.target", folder_of(file))),
        _ => None,
    };
    log.into_iter().chain(access)
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(file);
    match folder.as_os_str().is_empty() {
        true => ".".into(),
        false => folder.into(),
    }
}

/// Whether the service manager is told by an abstract socket (sd_notify(3)).
fn manager_is_abstract() -> bool {
    let name = env::var_os("NOTIFY_SOCKET");
    name.is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"))
}

/// The port of DNS.
const DNS: u16 = 53;

/// Whether the configuration wants the ports to be limited.
fn limits_ports(config: &Config) -> bool {
    config.sandbox.connect_ports != ConnectPorts::Any
}

/// The permitted ports; `None` for all.
fn connect_ports(config: &Config) -> Option<BTreeSet<u16>> {
    let listed = match &config.sandbox.connect_ports {
        ConnectPorts::Any => return None,
        ConnectPorts::Configured => &[][..],
        ConnectPorts::Listed(ranges) => ranges,
    };
    let mut ports: BTreeSet<u16> = listed.iter().cloned().flatten().collect();
    let fixed = config.upstreams.iter().flat_map(Upstream::fixed);
    ports.extend(fixed.map(|(_, endpoint)| endpoint.port()));
    ports.extend(config.upstreams.iter().filter_map(|one| one.health.port));
    for source in config.upstreams.iter().flat_map(Upstream::sources) {
        // An SRV record may name any port.
        ports.insert(source.port()?);
        // Long answers come over TCP.
        ports.insert(DNS);
        ports.extend(config.resolver.servers.iter().map(|server| server.port()));
    }
    Some(ports)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Sandbox, Unexpected, connect_ports, unix_files, writable};
    use crate::config::Config;

    const UPSTREAM: &str = "[[upstream]]\nname = 'u'\n";

    fn config(lines: &str) -> Config {
        let listener = "[[listener]]\nname = 'p'\nservice = 'proxy'\nupstream = 'u'\n";
        Config::parse(&format!("{listener}{lines}"), "t.toml").expect(lines)
    }

    /// The keys of the second configuration with needs beyond the sandbox of the first.
    fn lacks(first: &str, second: &str) -> Vec<String> {
        let first = config(first);
        let sandbox = Sandbox {
            connect: connect_ports(&first),
            writable: Some(writable(&first)),
            unexpected: Some(Unexpected::Refused),
            unix: unix_files(&first).map(PathBuf::from).collect(),
            ..Sandbox::default()
        };
        let second = config(second);
        assert!(sandbox.lacks(&first).is_empty());
        let lacks = sandbox.lacks(&second).into_iter();
        lacks
            .map(|error| error.placed(&second).to_string())
            .collect()
    }

    #[test]
    fn a_reload_is_told_what_it_lacks_with_the_remedy() {
        let configured = "[sandbox]\nconnect_ports = 'configured'\n";
        let first = format!("bind = '127.0.0.1:1'\n{UPSTREAM}endpoints = ['10.0.0.1:7']");
        let second = format!(
            "bind = ['127.0.0.1:1', '127.0.0.1:2-3']\n{UPSTREAM}endpoints = ['10.0.0.1:7', \
             '10.0.0.1:8']\nsource = ['127.0.0.1']"
        );
        // Any listener, and under the default any endpoint.
        assert!(lacks(&first, &second).is_empty());
        let said = lacks(&format!("{first}\n{configured}"), &second);
        let expected = "upstream[0].endpoints[1] = '10.0.0.1:8': the sandbox of the running \
                        process does not permit port 8; restart, and write sandbox.connect_ports";
        assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        // New addresses at the same ports need no further right.
        let others = format!("bind = '127.0.0.2:1'\n{UPSTREAM}endpoints = ['10.0.0.2:7']");
        assert!(lacks(&format!("{first}\n{configured}"), &others).is_empty());
        let log = |file: &str| format!("{first}\n[log]\ntarget = '{file}'");
        assert!(lacks(&log("/var/log/c/a"), &log("/var/log/c/b")).is_empty());
        let said = lacks(&log("/var/log/c/a"), &log("/var/log/a"));
        assert!(
            said[0].contains("log.target = '/var/log/a': the sandbox"),
            "{said:?}"
        );
        let access = |file: &str| format!("{first}\n[access_log]\ntarget = '{file}'");
        assert!(lacks(&log("/var/log/c/a"), &access("/var/log/c/b")).is_empty());
        let said = lacks(&access("/var/log/c/a"), &access("/var/log/a"));
        assert!(
            said[0].contains("access_log.target = '/var/log/a': the sandbox"),
            "{said:?}"
        );
        let unix =
            |file: &str| format!("bind = 'unix:{file}'\n{UPSTREAM}endpoints = ['10.0.0.1:7']");
        let owned = |file: &str| format!("unix = {{ owner = 'www' }}\n{}", unix(file));
        assert!(lacks(&unix("/run/c/a"), &unix("/run/c/b")).is_empty());
        assert!(lacks(&owned("/run/c/a"), &owned("/run/c/a")).is_empty());
        let said = lacks(&unix("/run/c/a"), &unix("/run/d/a"));
        assert!(
            said[0].contains("listener[0].bind = 'unix:/run/d/a': the sandbox"),
            "{said:?}"
        );
        let said = lacks(&unix("/run/c/a"), &owned("/run/c/b"));
        assert!(said[0].contains("listener[0].unix"), "{said:?}");
        for ports in ["'any'", "8", "['8-9', 1]"] {
            let sandbox = format!("[sandbox]\nconnect_ports = {ports}");
            let said = lacks(&format!("{first}\n{sandbox}"), &second);
            assert!(said.is_empty(), "{said:?}");
        }
    }

    #[test]
    fn without_limits_nothing_is_lacking() {
        let any = format!("bind = '127.0.0.1:1'\n{UPSTREAM}endpoints = ['10.0.0.1:7']");
        assert!(Sandbox::default().lacks(&config(&any)).is_empty());
    }
}
