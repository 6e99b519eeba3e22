//! `[etcd]`: the servers behind endpoints of the form `etcd:PREFIX`.
//!
//! Read by `Config::parse`, used by the discovery of the control thread.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address;
use super::effective::{Effective, Keys};
use super::errors::{Reason, Reported};
use super::file::File;
use super::section::Section;
use super::slips::For;
use super::upstream::Upstream;
use super::value::{self, Unique, Value};

/// The `[etcd]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Etcd {
    /// The clients' addresses of a cluster, in the order to ask; `etcd.servers`.
    pub servers: Vec<SocketAddr>,
    /// `None` for a cluster without users; `etcd.user`.
    pub user: Option<String>,
    /// The file with the password of the user; `etcd.password_file`.
    pub password_file: Option<PathBuf>,
    /// For a connect, and for an answer, 100 ms to 1 min; `etcd.timeout`.
    pub timeout: Duration,
}

const SERVER: &str = "IP:PORT, e.g. \"127.0.0.1:2379\"";
/// More servers than a cluster of etcd has.
const SERVERS_MAX: usize = 9;
const USER_BYTES_MAX: usize = 256;

impl Etcd {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let timeout = value::duration(
            Duration::from_millis(100)..=Duration::from_mins(1),
            "a far server takes some of it, and nobody waits longer",
        );
        Self {
            servers: section.optional("servers", Vec::new(), servers),
            user: section.optional("user", None, value::unless("off", user)),
            password_file: section.optional(
                "password_file",
                None,
                value::unless("off", value::path),
            ),
            timeout: section.optional("timeout", Duration::from_secs(5), timeout),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            servers,
            user,
            password_file,
            timeout,
        } = self;
        let path = |path: &PathBuf| Effective::text(path.display());
        Keys::default()
            .on_reload("servers", Effective::texts(servers))
            .on_reload(
                "user",
                Effective::unless("off", user.as_ref(), Effective::text),
            )
            .on_reload(
                "password_file",
                Effective::unless("off", password_file.as_ref(), path),
            )
            .on_reload("timeout", Effective::duration(*timeout))
    }
}

fn servers(value: &Value<'_>) -> Result<Vec<SocketAddr>, Reported> {
    let mut unique = Unique::new("this server");
    let elements = value.elements("a list of servers", "[\"127.0.0.1:2379\"]")?;
    if elements.len() > SERVERS_MAX {
        let write = format!("{SERVERS_MAX} servers at most");
        return Err(value.senseless("servers are asked one after the other", write));
    }
    value::all(&elements, |element| {
        let server = address::parsed_value(element, For::Control, SERVER)?;
        let server = address::canonical(server);
        if server.port() == 0 || server.ip().is_unspecified() {
            return Err(element.malformed("a server", SERVER));
        }
        unique.claim(server, element)?;
        Ok(server)
    })
}

fn user(value: &Value<'_>) -> Result<String, Reported> {
    match value.text() {
        Some(text) if (1..=USER_BYTES_MAX).contains(&text.len()) => Ok(text.to_owned()),
        _ => Err(value.malformed("a user", "the name of a user of etcd, in quotes")),
    }
}

/// Refuses prefixes of etcd without servers to ask.
pub(super) fn refuse_serverless(
    file: &File<'_>,
    etcd: &Etcd,
    upstreams: &[Result<Upstream, Reported>],
) {
    if !etcd.servers.is_empty() {
        return;
    }
    for (index, upstream) in upstreams.iter().enumerate() {
        let written = upstream.iter().flat_map(Upstream::written_sources);
        for (place, _) in written.filter(|(_, written)| written.source.is_etcd()) {
            let reason = Reason::Senseless {
                why: "there is no server to ask",
                write: "etcd.servers = [\"127.0.0.1:2379\"], too".to_owned(),
            };
            file.refuse(&format!("upstream[{index}].endpoints[{place}]"), reason);
        }
    }
}
