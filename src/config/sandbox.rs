//! `[sandbox]`: the rights that the running server gives up.
//!
//! Read by `Config::parse`; the server layer applies the sandbox once the listeners are bound and
//! the user is changed.

use std::ops::RangeInclusive;
use std::slice;

use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::value::{self, Value};

/// The `[sandbox]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sandbox {
    /// Whether the sandbox forbids, only logs, or is absent; `sandbox.mode`.
    pub mode: SandboxMode,
    /// The TCP ports to connect to; `sandbox.connect_ports`.
    pub connect_ports: ConnectPorts,
}

/// The TCP ports to connect to, for the life of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectPorts {
    Any,
    /// The ports of the endpoints of the first configuration.
    Configured,
    /// The ports in these ranges, besides the ports of the first configuration.
    Listed(Vec<RangeInclusive<u16>>),
}

/// How strict the sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SandboxMode {
    /// Forbids everything without a use in the configuration.
    On,
    /// Has the kernel log unexpected system calls, and forbids nothing.
    Log,
    /// Nothing.
    Off,
}

const MODES: &[(&str, SandboxMode)] = &[
    ("on", SandboxMode::On),
    ("log", SandboxMode::Log),
    ("off", SandboxMode::Off),
];

/// The form of a list of ports.
const PORTS: &str = "\"any\", \"configured\", a port, a range such as \"8000-8099\", or a list of \
                     them, [443, \"8000-8099\"]";

impl Sandbox {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mode = value::word("a mode", MODES);
        Self {
            mode: section.optional("mode", SandboxMode::On, mode),
            connect_ports: section.optional("connect_ports", ConnectPorts::Any, ports),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            mode,
            connect_ports,
        } = self;
        let range = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let ports = match connect_ports {
            ConnectPorts::Any => Effective::text("any"),
            ConnectPorts::Configured => Effective::text("configured"),
            ConnectPorts::Listed(ranges) => Effective::texts(ranges.iter().map(range)),
        };
        Keys::default()
            .on_restart("mode", Effective::text(value::word_of(MODES, mode)))
            .on_restart("connect_ports", ports)
    }
}

/// A word, or ports and ranges of ports; a single port or range needs no list.
fn ports(value: &Value<'_>) -> Result<ConnectPorts, Reported> {
    let ranges = match (value.text(), value.number()) {
        (Some("any"), _) => return Ok(ConnectPorts::Any),
        (Some("configured"), _) => return Ok(ConnectPorts::Configured),
        (Some(_), _) | (_, Some(_)) => value::all(slice::from_ref(value), range),
        (None, None) => value::all(&value.elements("a list of ports", PORTS)?, range),
    };
    ranges.map(ConnectPorts::Listed)
}

/// A port, `443`, or a range, `"8000-8099"`.
fn range(value: &Value<'_>) -> Result<RangeInclusive<u16>, Reported> {
    if value.number().is_some() {
        let port = value::integer(0..=u16::MAX, "the ports that TCP has")(value)?;
        return Ok(port..=port);
    }
    let Some(text) = value.text() else {
        return Err(value.malformed("a port or a range", PORTS));
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_plain)
    };
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        (Some(first), Some(last)) => {
            let write = format!("\"{last}-{first}\"");
            Err(value.senseless("the range ends before it begins", write))
        }
        _ => Err(value.malformed("a port or a range", PORTS)),
    }
}
