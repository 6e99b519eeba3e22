//! A server that runs, with the upstream that a proxy needs beside it. Started here from its row of
//! the table; ended when it is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::process::{Interrupt, Process, free_port};
use crate::servers::{Filling, Server, Service};

/// nginx's stream module where Debian puts it; elsewhere it is part of nginx.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Where programs are, where files go, and which core is whose.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) programs: PathBuf,
    pub(crate) scratch: PathBuf,
    /// Each server's, alone.
    pub(crate) server_core: usize,
    /// The load client's, and the upstream's.
    pub(crate) client_core: usize,
    pub(crate) interrupt: Interrupt,
}

/// What stands behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    Echo,
    /// The same, of which a bulk transfer gets no more at a time than a few messages would.
    FairEcho,
    /// Reads only.
    Sink,
    /// Writes only.
    Source,
}

/// A server that accepts connections.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) server: &'static Server,
    pub(crate) port: u16,
    process: Process,
    /// Ended after the proxy.
    _upstream: Option<Process>,
}

impl Instance {
    /// Starts it, and an upstream if it is a proxy, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started; the message names it and what it printed.
    pub(crate) fn start(
        server: &'static Server,
        service: Service,
        behind: Upstream,
        place: &Place,
    ) -> io::Result<Self> {
        match service {
            Service::Echo => Self::launch(server, None, None, place),
            Service::Proxy => {
                let (process, port) = start_upstream(server.name, behind, place)?;
                Self::launch(server, Some(port), Some(process), place)
            }
        }
    }

    /// Starts a proxy before an upstream that runs already.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub(crate) fn start_before(
        server: &'static Server,
        upstream: u16,
        place: &Place,
    ) -> io::Result<Self> {
        Self::launch(server, Some(upstream), None, place)
    }

    fn launch(
        server: &'static Server,
        upstream_port: Option<u16>,
        upstream: Option<Process>,
        place: &Place,
    ) -> io::Result<Self> {
        let service = match upstream_port {
            None => Service::Echo,
            Some(_) => Service::Proxy,
        };
        let folder = place.scratch.join(server.name);
        fs::create_dir_all(&folder)?;
        let config = folder.join(if server.is_corelane() {
            "config.toml"
        } else {
            "config.yaml"
        });
        let port = free_port()?;
        let filling = Filling {
            port,
            upstream: upstream_port,
            core: place.server_core,
            config: config.display().to_string(),
            folder: folder.display().to_string(),
            nginx_module: match Path::new(NGINX_STREAM).exists() {
                true => format!("load_module {NGINX_STREAM};"),
                false => String::new(),
            },
        };
        if let Some(template) = server.config {
            fs::write(&config, server.fill(template, &filling))?;
        }
        let arguments: Vec<String> = server
            .arguments
            .iter()
            .take_while(|text| service == Service::Proxy || !text.contains("@UPSTREAM@"))
            .map(|text| server.fill(text, &filling))
            .collect();
        let program = place.programs.join(server.program(service));
        let log = folder.join("log");
        let (core, interrupt) = (place.server_core, &place.interrupt);
        let mut process = Process::start(server.name, &program, &arguments, core, &log, interrupt)?;
        process.wait_until_it_listens(port)?;
        Ok(Self {
            server,
            port,
            process,
            _upstream: upstream,
        })
    }

    /// The process that serves.
    pub(crate) fn pid(&self) -> u32 {
        self.process.serving()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Each proxy has its own, so that the ports of one proxy's connections are not taken by another's.
fn start_upstream(name: &str, behind: Upstream, place: &Place) -> io::Result<(Process, u16)> {
    let port = free_port()?;
    let (program, kind) = match behind {
        Upstream::Echo => ("c-epoll-echo", None),
        Upstream::FairEcho => ("c-fair-echo", None),
        Upstream::Sink => ("endpoint", Some("sink")),
        Upstream::Source => ("endpoint", Some("source")),
    };
    let mut arguments = vec![port.to_string()];
    arguments.extend(kind.map(str::to_owned));
    let log = place.scratch.join(format!("upstream-of-{name}.log"));
    let program = place.programs.join(program);
    let title = format!("upstream of {name}");
    let (core, interrupt) = (place.client_core, &place.interrupt);
    let mut process = Process::start(&title, &program, &arguments, core, &log, interrupt)?;
    process.wait_until_it_listens(port)?;
    Ok((process, port))
}

/// Why a server is left out, if it is: its program is not there, or does not do this.
pub(crate) fn missing(server: &Server, service: Service, place: &Place) -> Option<String> {
    let program = server.program(service);
    match place.programs.join(program).exists() {
        true => None,
        false => Some(format!("{program} could not be built or installed")),
    }
}
