//! Sources of endpoints: names to look up and files to watch while the server runs.
//!
//! Only the form is checked here; the control thread asks. A name is absolute, with or without the
//! final dot: no search domain is appended.

use std::fmt;
use std::path::{Path, PathBuf};

use super::errors::Reported;
use super::value::{self, Value};

/// The longest name of DNS in text, without the final dot.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// The mark before the name of a service.
const SRV: &str = "srv:";
/// The mark before the path of a file.
const FILE: &str = "file:";
/// The mark before a prefix of etcd, and the longest prefix.
const ETCD: &str = "etcd:";
const PREFIX_BYTES_MAX: usize = 1024;

/// Where addresses of endpoints come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EndpointSource {
    /// The A and AAAA records of a name, `db.internal:5432`.
    Name {
        /// In lower case, without the final dot.
        host: String,
        port: u16,
    },
    /// The SRV records of a name, `srv:_postgresql._tcp.db.internal`.
    Service(String),
    /// A file, by an absolute path, `file:/etc/corelane/db.json`.
    File(PathBuf),
    /// The keys of etcd below a prefix, `etcd:/services/db/`.
    Etcd(String),
}

impl EndpointSource {
    /// Whether the source is asked by DNS.
    pub(crate) fn is_name(&self) -> bool {
        match self {
            Self::Name { .. } | Self::Service(_) => true,
            Self::File(_) | Self::Etcd(_) => false,
        }
    }

    /// Whether the source is asked of etcd.
    pub(crate) fn is_etcd(&self) -> bool {
        matches!(self, Self::Etcd(_))
    }

    /// The file, if the source is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// The only port of the endpoints, where the configuration says so.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Name { port, .. } => Some(*port),
            Self::Service(_) | Self::File(_) | Self::Etcd(_) => None,
        }
    }
}

/// As written.
impl fmt::Display for EndpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Service(name) => write!(f, "{SRV}{name}"),
            Self::File(path) => write!(f, "{FILE}{}", path.display()),
            Self::Etcd(prefix) => write!(f, "{ETCD}{prefix}"),
        }
    }
}

/// The meaning of a text; `None` if the text is no name, but an address or a mistake.
pub(super) fn source(text: &str, value: &Value<'_>) -> Option<Result<EndpointSource, Reported>> {
    if let Some(name) = text.strip_prefix(SRV) {
        return Some(service(name, value));
    }
    if let Some(path) = text.strip_prefix(FILE) {
        return Some(file(path, value));
    }
    if let Some(prefix) = text.strip_prefix(ETCD) {
        return Some(etcd(prefix, value));
    }
    if plain(text).is_some_and(|name| is_host(&name)) {
        let write = format!("a port behind the name, e.g. \"{text}:5432\"");
        return Some(Err(value.senseless("no port", write)));
    }
    let (host, port) = text.rsplit_once(':')?;
    let host = plain(host).filter(|host| is_host(host))?;
    Some(match port.parse() {
        Ok(0) => Err(value.senseless("nothing listens on port 0", "a port from 1 to 65535")),
        Ok(port) => Ok(EndpointSource::Name { host, port }),
        // The advice for addresses fits.
        Err(_) => return None,
    })
}

fn service(name: &str, value: &Value<'_>) -> Result<EndpointSource, Reported> {
    let write = "\"srv:_SERVICE._tcp.NAME\", e.g. \"srv:_postgresql._tcp.db.internal\"";
    if let Some((host, _)) = name
        .rsplit_once(':')
        .filter(|(host, _)| plain(host).is_some())
    {
        let why = "the records of a service have the ports";
        return Err(value.senseless(why, format!("\"{SRV}{host}\"")));
    }
    match plain(name).filter(|name| has_letter_at_end(name)) {
        Some(name) => Ok(EndpointSource::Service(name)),
        None => Err(value.malformed("the name of a service", write)),
    }
}

fn etcd(prefix: &str, value: &Value<'_>) -> Result<EndpointSource, Reported> {
    let is_prefix =
        (1..=PREFIX_BYTES_MAX).contains(&prefix.len()) && !prefix.contains(char::is_control);
    match is_prefix {
        true => Ok(EndpointSource::Etcd(prefix.to_owned())),
        false => Err(value.malformed("a prefix of etcd", "e.g. \"etcd:/services/db/\"")),
    }
}

fn file(path: &str, value: &Value<'_>) -> Result<EndpointSource, Reported> {
    match value::as_path(path) {
        Some(path) => Ok(EndpointSource::File(path)),
        None => Err(value.malformed("a file", "an absolute path, \"file:/etc/corelane/db.json\"")),
    }
}

/// The name in lower case and without the final dot, if the labels are possible.
fn plain(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.chars().all(inner)
    };
    let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(label);
    is_name.then(|| name.to_ascii_lowercase())
}

/// Whether the name may name a host, and is no IPv4 address gone wrong.
fn is_host(name: &str) -> bool {
    has_letter_at_end(name)
}

/// No top-level domain has digits alone (RFC 3696, 2), and every IPv4 address ends so.
fn has_letter_at_end(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.contains(|c: char| c.is_ascii_alphabetic())
}
