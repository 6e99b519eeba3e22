//! The servers: what each is, what it is started with, and which are the limit. One table; the
//! README's rows and the runner's are made of it. Starts nothing.

/// What a server does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Sends back what it receives.
    Echo,
    /// Connects to the upstream and relays.
    Proxy,
}

/// One server in one configuration.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its name in tables; a configuration is part of it.
    pub(crate) name: &'static str,
    /// Its file in the folder of programs.
    pub(crate) program: &'static str,
    /// With placeholders; an echo is started with those before the first that names the upstream.
    pub(crate) arguments: &'static [&'static str],
    /// The configuration file's template, if it has one.
    pub(crate) config: Option<&'static str>,
    pub(crate) services: &'static [Service],
    /// One of those of which the better is the limit.
    pub(crate) limit: bool,
    /// Only measured in bulk: for other loads it is another one of the same.
    pub(crate) bulk_only: bool,
    /// In a line of the table, how it differs from its defaults.
    pub(crate) tuned: &'static str,
}

use self::Service::{Echo, Proxy};

const BOTH: &[Service] = &[Echo, Proxy];
const DIRECT: &[&str] = &["@PORT@", "@UPSTREAM@"];
const ENVOY: &[&str] = &[
    "-c",
    "@CONFIG@",
    "--concurrency",
    "1",
    "--log-level",
    "error",
];
const ENVOY_TUNED: &[&str] = &[
    "-c",
    "@CONFIG@",
    "--concurrency",
    "1",
    "--log-level",
    "error",
    "--disable-hot-restart",
];
const NGINX: &[&str] = &["-e", "stderr", "-p", "@DIR@", "-c", "@CONFIG@"];
const CORELANE: &[&str] = &["run", "--config", "@CONFIG@"];
const CORELANE_TOML: &str = include_str!("../../config/corelane.toml");

const fn direct(
    name: &'static str,
    program: &'static str,
    services: &'static [Service],
    tuned: &'static str,
) -> Server {
    Server {
        name,
        program,
        arguments: DIRECT,
        config: None,
        services,
        limit: false,
        bulk_only: false,
        tuned,
    }
}

const fn configured(
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    config: &'static str,
    tuned: &'static str,
) -> Server {
    Server {
        name,
        program,
        arguments,
        config: Some(config),
        services: &[Proxy],
        limit: false,
        bulk_only: false,
        tuned,
    }
}

/// corelane, whose template is filled in by its name; see `start`.
const fn corelane(name: &'static str, tuned: &'static str) -> Server {
    Server {
        services: BOTH,
        ..configured(name, "corelane", CORELANE, CORELANE_TOML, tuned)
    }
}

/// All servers.
pub(crate) const SERVERS: &[Server] = &[
    corelane("corelane", "defaults, one lane, io_uring"),
    corelane("corelane-epoll", "defaults, one lane, epoll"),
    corelane("corelane-2-lanes", "two lanes on the one core, io_uring"),
    corelane("corelane-2-lanes-epoll", "two lanes on the one core, epoll"),
    Server {
        limit: true,
        ..direct(
            "c-epoll",
            "c-epoll-echo",
            BOTH,
            "256 KiB buffer, edge-triggered",
        )
    },
    Server {
        limit: true,
        ..direct(
            "c-uring",
            "c-uring",
            BOTH,
            "multishot, 1024 buffers of 16 KiB",
        )
    },
    Server {
        limit: true,
        bulk_only: true,
        ..direct(
            "c-splice",
            "c-splice-proxy",
            &[Proxy],
            "1 MiB pipe per direction",
        )
    },
    direct(
        "tokio",
        "peer-tokio",
        BOTH,
        "current_thread, copy_bidirectional",
    ),
    Server {
        arguments: &["@PORT@", "@UPSTREAM@", "65536"],
        ..direct(
            "tokio-64k",
            "peer-tokio",
            &[Proxy],
            "copy_bidirectional, 64 KiB buffers",
        )
    },
    direct("monoio", "peer-monoio", BOTH, "io::copy"),
    Server {
        bulk_only: true,
        arguments: &["@PORT@", "@UPSTREAM@", "splice"],
        ..direct("monoio-splice", "peer-monoio", &[Proxy], "zero_copy")
    },
    direct("glommio", "peer-glommio", BOTH, "futures-lite copy"),
    direct("compio", "peer-compio", BOTH, "io::copy"),
    direct(
        "go",
        "peer-go",
        BOTH,
        "GOMAXPROCS=1; io.Copy, which splices",
    ),
    configured(
        "haproxy",
        "haproxy",
        &["-db", "-f", "@CONFIG@"],
        include_str!("../../config/haproxy-default.cfg"),
        "defaults, nbthread 1",
    ),
    configured(
        "haproxy-tuned",
        "haproxy",
        &["-db", "-f", "@CONFIG@"],
        include_str!("../../config/haproxy-tuned.cfg"),
        "splice-auto, pipes of 1 MiB",
    ),
    configured(
        "nginx",
        "nginx",
        NGINX,
        include_str!("../../config/nginx-default.conf"),
        "defaults, 1 worker",
    ),
    configured(
        "nginx-tuned",
        "nginx",
        NGINX,
        include_str!("../../config/nginx-tuned.conf"),
        "reuseport, backlog, 64 KiB buffer, multi_accept",
    ),
    configured(
        "envoy",
        "envoy",
        ENVOY,
        include_str!("../../config/envoy-default.yaml"),
        "defaults, --concurrency 1",
    ),
    configured(
        "envoy-tuned",
        "envoy",
        ENVOY_TUNED,
        include_str!("../../config/envoy-tuned.yaml"),
        "no stats, --disable-hot-restart",
    ),
];

/// The two that every other is compared with, in the order of the table's columns.
pub(crate) const REFERENCES: [&str; 2] = ["corelane", "corelane-epoll"];

impl Server {
    /// Whether it is corelane, in whatever form.
    pub(crate) fn is_corelane(&self) -> bool {
        self.program == "corelane"
    }

    /// Its program for a service: the hand-written epoll loops are two.
    pub(crate) fn program(&self, service: Service) -> &'static str {
        match (self.name, service) {
            ("c-epoll", Proxy) => "c-epoll-proxy",
            _ => self.program,
        }
    }

    /// What its arguments and its configuration file say, with everything filled in.
    pub(crate) fn fill(&self, text: &str, filling: &Filling) -> String {
        let lanes = match self.name.contains("2-lanes") {
            true => ("2".to_owned(), "false"),
            // Cores that are named are pinned without being told.
            false => (format!("[{}]", filling.core), "true"),
        };
        let poller = match self.name.ends_with("-epoll") {
            true => "epoll",
            false => "io_uring",
        };
        let service = match filling.upstream {
            None => "service = \"echo\"".to_owned(),
            Some(port) => format!(
                "service = \"proxy\"\nupstream = \"peer\"\n\n[[upstream]]\nname = \"peer\"\n\
                 endpoints = [\"127.0.0.1:{port}\"]"
            ),
        };
        let upstream = filling.upstream.unwrap_or_default().to_string();
        let mut text = text.to_owned();
        for (name, value) in [
            ("@PORT@", filling.port.to_string().as_str()),
            ("@UPSTREAM@", &upstream),
            ("@CONFIG@", &filling.config),
            ("@DIR@", &filling.folder),
            ("@MODULE@", &filling.nginx_module),
            ("@LANES@", &lanes.0),
            ("@PIN@", lanes.1),
            ("@POLLER@", poller),
            ("@SERVICE@", &service),
        ] {
            text = text.replace(name, value);
        }
        text
    }
}

/// What a template lacks.
#[derive(Debug)]
pub(crate) struct Filling {
    pub(crate) port: u16,
    pub(crate) upstream: Option<u16>,
    pub(crate) core: usize,
    /// The path of the configuration file, and of the folder that it is in.
    pub(crate) config: String,
    pub(crate) folder: String,
    /// The line that loads nginx's stream module, where that is a file of its own.
    pub(crate) nginx_module: String,
}

#[cfg(test)]
mod tests {
    use super::{Echo, Filling, Proxy, REFERENCES, SERVERS};

    #[test]
    fn names_are_unique_and_the_references_are_there() {
        for (at, server) in SERVERS.iter().enumerate() {
            assert!(
                SERVERS[at + 1..]
                    .iter()
                    .all(|other| other.name != server.name),
                "{}",
                server.name
            );
        }
        for name in REFERENCES {
            assert!(SERVERS.iter().any(|server| server.name == name), "{name}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for server in SERVERS {
            for service in server.services {
                let filling = Filling {
                    port: 7001,
                    upstream: (*service == Proxy).then_some(7002),
                    core: 0,
                    config: "a.cfg".to_owned(),
                    folder: "folder".to_owned(),
                    nginx_module: String::new(),
                };
                let text = server.config.map(|text| server.fill(text, &filling));
                let text = text.unwrap_or_default();
                // A comment may name a placeholder; it is then filled in too.
                assert!(!text.contains("@P"), "{}: {text}", server.name);
                assert!(*service == Echo || server.config.is_none() || text.contains("7002"));
            }
        }
    }
}
