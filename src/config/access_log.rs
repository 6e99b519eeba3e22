//! `[access_log]`: a line for each session, apart from the log of the process.
//!
//! Read by `Config::parse`; the server layer starts the writer.

use std::path::PathBuf;
use std::time::Duration;

use super::access_field::{AccessField, NoTemplate, Template};
use super::effective::{Effective, Keys};
use super::errors::{Reported, nearest};
use super::section::Section;
use super::value::{self, Value};

/// The `[access_log]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessLog {
    /// Where lines go; `None` writes none; `access_log.target`.
    pub target: Option<AccessTarget>,
    /// The socket of the syslog daemon; `access_log.syslog_socket`.
    pub syslog_socket: PathBuf,
    /// The form of a line; `access_log.format`.
    pub format: AccessFormat,
    /// Whether a session has a line at the start, too; `access_log.start`.
    pub start: bool,
    /// How often a long session has a line, 1 s to 24 h; `None` for never; `access_log.every`.
    pub every: Option<Duration>,
    /// The ends with a line: words of `ended`, and "abnormal"; empty for all;
    /// `access_log.only`.
    pub only: Vec<&'static str>,
    /// The shortest session with a line of an orderly end; `None` for all;
    /// `access_log.longer_than`.
    pub longer_than: Option<Duration>,
    /// The share of sessions with a line of an orderly end, 1 to 100; `access_log.sample`.
    pub sample: u8,
    /// The size of a file before a rename, at least 64 KiB; `None` for any size;
    /// `access_log.rotate`.
    pub rotate: Option<u64>,
    /// The number of renamed files to keep, 1 to 1,000; `access_log.keep`.
    pub keep: u32,
}

/// Where the lines of the access log go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessTarget {
    StandardError,
    /// systemd's journal, an entry with fields for each line.
    Journal,
    /// A syslog daemon, by datagrams of RFC 3164.
    Syslog,
    /// The file at this absolute path.
    File(PathBuf),
}

/// The form of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessFormat {
    /// One object a line.
    Json,
    /// `key=value` a field.
    Logfmt,
    Template(Template),
}

/// Every end but a FIN of both sides.
const ABNORMAL: &str = "abnormal";
/// The words of `ended` (docs/operating.md), and a word for many.
const ENDS: &[(&str, &str)] = &[
    (ABNORMAL, ABNORMAL),
    ("client_fin", "client_fin"),
    ("upstream_fin", "upstream_fin"),
    ("client_rst", "client_rst"),
    ("upstream_rst", "upstream_rst"),
    ("client_timeout", "client_timeout"),
    ("upstream_timeout", "upstream_timeout"),
    ("idle_timeout", "idle_timeout"),
    ("half_close_timeout", "half_close_timeout"),
    ("lifetime", "lifetime"),
    ("connect_refused", "connect_refused"),
    ("connect_timeout", "connect_timeout"),
    ("connect_unreachable", "connect_unreachable"),
    ("no_endpoint", "no_endpoint"),
    ("queue_full", "queue_full"),
    ("queue_timeout", "queue_timeout"),
    ("local_resources", "local_resources"),
    ("shutdown", "shutdown"),
    ("operator", "operator"),
    ("removed", "removed"),
    ("endpoint_down", "endpoint_down"),
    ("internal", "internal"),
];

const TARGET: &str = "\"stderr\", \"journald\", \"syslog\" or an absolute path, in quotes";
const SYSLOG_SOCKET: &str = "/dev/log";
/// The longest path of a unix socket (unix(7)).
const SOCKET_BYTES_MAX: usize = 107;
/// Longer templates repeat fields.
const TEMPLATE_BYTES_MAX: usize = 1024;
/// A listing of all sessions each second is enough work for lanes.
const EVERY_MIN: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// A batch of lines: smaller files would be renamed several times a batch.
const ROTATE_MIN: u64 = 64 << 10;
const ROTATE_MAX: u64 = 1 << 50;

impl AccessLog {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let every = value::duration(EVERY_MIN..=DAY, "each listing asks every lane");
        let longer = value::duration(
            Duration::from_millis(1)..=DAY,
            "times of sessions are measured in milliseconds to days",
        );
        let rotate = value::size(
            ROTATE_MIN..=ROTATE_MAX,
            "smaller files are renamed all the time",
        );
        let keep = value::integer(1..=1000, "each rotation renames all of them");
        let sample = value::percentage(1..=100, "without a share, leave out the target");
        Self {
            target: section.optional("target", None, value::unless("off", target)),
            syslog_socket: section.optional("syslog_socket", SYSLOG_SOCKET.into(), socket),
            format: section.optional("format", AccessFormat::Json, format),
            start: section.optional("start", false, value::boolean),
            every: section.optional("every", None, value::unless("off", every)),
            only: section.optional("only", Vec::new(), only),
            longer_than: section.optional("longer_than", None, value::unless("off", longer)),
            sample: section.optional("sample", 100, sample),
            rotate: section.optional("rotate", None, value::unless("off", rotate)),
            keep: section.optional("keep", 5, keep),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            target,
            syslog_socket,
            format,
            start,
            every,
            only,
            longer_than,
            sample,
            rotate,
            keep,
        } = self;
        let target = match target {
            None => Effective::text("off"),
            Some(AccessTarget::StandardError) => Effective::text("stderr"),
            Some(AccessTarget::Journal) => Effective::text("journald"),
            Some(AccessTarget::Syslog) => Effective::text("syslog"),
            Some(AccessTarget::File(path)) => Effective::text(path.display()),
        };
        let format = match format {
            AccessFormat::Json => Effective::text("json"),
            AccessFormat::Logfmt => Effective::text("logfmt"),
            AccessFormat::Template(template) => Effective::text(template.written()),
        };
        let or_off = |of: &Option<Duration>| Effective::unless("off", *of, Effective::duration);
        Keys::default()
            .on_reload("target", target)
            .on_reload("syslog_socket", Effective::text(syslog_socket.display()))
            .on_reload("format", format)
            .on_reload("start", Effective::Boolean(*start))
            .on_reload("every", or_off(every))
            .on_reload("only", Effective::texts(only))
            .on_reload("longer_than", or_off(longer_than))
            .on_reload("sample", Effective::percentage(*sample))
            .on_reload("rotate", Effective::unless("off", *rotate, Effective::size))
            .on_reload("keep", Effective::number(*keep))
    }

    /// Whether a line has facts of the kernel about the connections.
    pub(crate) fn has_facts_of_kernel(&self) -> bool {
        match &self.format {
            AccessFormat::Json | AccessFormat::Logfmt => true,
            // An entry of the journal has all fields.
            AccessFormat::Template(_) if self.target == Some(AccessTarget::Journal) => true,
            AccessFormat::Template(template) => template.has(AccessField::is_of_kernel),
        }
    }

    /// Whether a word of `only` means every abnormal end.
    pub(crate) fn is_abnormal(word: &str) -> bool {
        word == ABNORMAL
    }
}

fn target(value: &Value<'_>) -> Result<AccessTarget, Reported> {
    match value.text() {
        Some("stderr") => Ok(AccessTarget::StandardError),
        Some("journald") => Ok(AccessTarget::Journal),
        Some("syslog") => Ok(AccessTarget::Syslog),
        Some(text) if !text.starts_with('/') => Err(value.malformed("a target", TARGET)),
        Some(_) => value::path(value).map(AccessTarget::File),
        None => Err(value.malformed("a target", TARGET)),
    }
}

/// An absolute path, short enough for the address of a socket.
fn socket(value: &Value<'_>) -> Result<PathBuf, Reported> {
    let path = value::path(value)?;
    match path.as_os_str().len() <= SOCKET_BYTES_MAX {
        true => Ok(path),
        false => Err(value.senseless(
            "longer than the address of a socket may be",
            format!("at most {SOCKET_BYTES_MAX} bytes"),
        )),
    }
}

fn format(value: &Value<'_>) -> Result<AccessFormat, Reported> {
    const WRITE: &str = "\"json\", \"logfmt\", or fields in braces: \"{client} {ended}\"";
    let text = match value.text() {
        Some("json") => return Ok(AccessFormat::Json),
        Some("logfmt") => return Ok(AccessFormat::Logfmt),
        Some(text) => text,
        None => return Err(value.malformed("a format", WRITE)),
    };
    if text.len() > TEMPLATE_BYTES_MAX || text.contains(char::is_control) {
        let write = format!("one line of at most {TEMPLATE_BYTES_MAX} bytes");
        return Err(value.senseless("a line of the access log is one line", write));
    }
    Template::parse(text)
        .map(AccessFormat::Template)
        .map_err(|no| match no {
            NoTemplate::NoField => value.malformed("a format", WRITE),
            NoTemplate::Brace => value.senseless(
                "a brace has no counterpart",
                "\"{client}\" for a field, \"{{\" and \"}}\" for braces",
            ),
            NoTemplate::Unknown(name) => {
                let known = || AccessField::all().iter().map(|(name, _)| *name);
                let all: Vec<&str> = known().collect();
                let nearest = nearest(&name, known()).map(|of| format!("{{{of}}}; "));
                let write = format!(
                    "{}fields are {}",
                    nearest.unwrap_or_default(),
                    all.join(", ")
                );
                value.senseless("there is no such field", write)
            }
        })
}

fn only(value: &Value<'_>) -> Result<Vec<&'static str>, Reported> {
    let write = "of [\"abnormal\"] and the words of `ended`, e.g. [\"client_rst\"]";
    let elements = value.elements("a list of ends", write)?;
    value::all(&elements, value::word("an end", ENDS))
}
