//! The configuration: TOML text in, a checked [`Config`] or every mistake in it out.
//!
//! Two steps, one direction: `File` (as written, each value with its line) → [`Config`] (as
//! meant: checked, defaults filled in, names replaced by indices). Called by `cli` and `server`;
//! the layers below get their own options from the server and have never heard of TOML. Pure: it
//! reads text, never a file, a socket, a clock or a name server.

// To add a key: add a documented field to the struct of the table (`runtime.rs`, `listener.rs`,
// ...) and a line with the key, the default and the reader (`value.rs`) to the `read` function
// below the struct. That line makes the key known, checked and suggested. Then add a comment and
// the default to `config/default.toml`, plain or behind a `#` without a space, and cases to
// `tests/`. A test fails if the default file lacks the key or shows a wrong default.
//
// To add a table: add a file like `shutdown.rs` and a line in `Config::parse`. For a table inside a
// table: a file like `timeouts.rs` and a line in the outer table's `read`.

mod access_field;
mod access_log;
mod address;
mod bind;
mod changes;
mod checked;
mod control;
mod dashboard;
mod discovery;
mod doubts;
mod effective;
mod endpoint;
mod endpoint_file;
mod endpoint_source;
mod errors;
mod etcd;
mod file;
mod health;
mod health_rules;
mod health_text;
mod late;
mod listener;
mod log;
mod loops;
mod names;
mod on_removed;
mod process;
mod repeated;
mod resolver;
mod runtime;
mod sandbox;
mod section;
mod shutdown;
mod slips;
mod socket;
mod source;
#[cfg(test)]
mod tests;
mod timeouts;
pub mod units;
mod unix_file;
mod upstream;
mod value;

pub(crate) use access_field::{AccessField, TemplatePart};
pub(crate) use access_log::{AccessFormat, AccessLog, AccessTarget};
#[cfg(test)]
pub(crate) use bind::BindForm;
pub(crate) use bind::{Bind, BindTo};
pub(crate) use changes::{Changes, Fate, diff};
pub use checked::Config;
pub(crate) use control::{Control, socket_in};
pub(crate) use dashboard::Dashboard;
pub(crate) use discovery::Discovery;
pub(crate) use endpoint::Endpoint;
pub(crate) use endpoint_file::{endpoints_of, is_json};
pub(crate) use endpoint_source::EndpointSource;
pub use errors::{ConfigError, ConfigErrors, ConfigWarning, Reason, escape};
pub(crate) use errors::{nearest, nearest_in_words};
pub(crate) use etcd::Etcd;
pub(crate) use health::{Check, Health};
pub(crate) use health_rules::Ejection;
#[cfg(test)]
pub(crate) use health_rules::HealthRules;
pub(crate) use health_text::{Expect, Send};
pub(crate) use listener::{Listener, Service};
pub(crate) use log::{Log, LogFormat, LogLevel, LogTarget};
pub(crate) use on_removed::OnRemoved;
pub(crate) use process::Process;
pub(crate) use resolver::{Families, Resolver};
pub(crate) use runtime::{Lanes, MaxSessions, Pin, PollerChoice, Runtime};
pub(crate) use sandbox::{ConnectPorts, Sandbox, SandboxMode};
pub(crate) use shutdown::Shutdown;
pub(crate) use socket::{Keepalive, SocketOptions};
pub(crate) use source::Source;
pub(crate) use timeouts::Timeouts;
pub(crate) use unix_file::UnixFile;
pub(crate) use upstream::{Balance, Upstream};

use file::File;
use section::Section;

/// The configuration that `corelane run` starts without a file, as TOML, commented for operators.
pub const DEFAULT: &str = include_str!("../../config/default.toml");
/// The JSON Schema of the configuration, for editors and validators. `tests/schema.rs` makes it.
pub const SCHEMA: &str = include_str!("../../config/corelane.schema.json");

impl Config {
    /// Reads a configuration; `name` is the file's name for errors, commonly its path.
    ///
    /// # Errors
    /// All mistakes in `text`, in the order of its lines. If it is no TOML, only those that keep
    /// it from being TOML.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        let file = File::parse(text, name)?;
        let config = Section::root(&file).read(|root| {
            let runtime = root.table("runtime", "[runtime]", Runtime::read);
            let process = root.table("process", "[process]", Process::read);
            let control = root.table("control", "[control]", Control::read);
            let dashboard = root.table("dashboard", "[dashboard]", Dashboard::read);
            let sandbox = root.table("sandbox", "[sandbox]", Sandbox::read);
            let resolver = root.table("resolver", "[resolver]", Resolver::read);
            let discovery = root.table("discovery", "[discovery]", Discovery::read);
            let etcd = root.table("etcd", "[etcd]", Etcd::read);
            let log = root.table("log", "[log]", Log::read);
            let access_log = root.table("access_log", "[access_log]", AccessLog::read);
            let shutdown = root.table("shutdown", "[shutdown]", Shutdown::read);
            let (upstreams, names) = upstream::read_all(root);
            let listeners = listener::read_all(root, &names);
            etcd::refuse_serverless(&file, &etcd, &upstreams);
            loops::refuse_loopback(&file, &listeners, &upstreams);
            Ok(Self {
                runtime,
                process,
                control,
                dashboard,
                sandbox,
                resolver,
                discovery,
                etcd,
                log,
                access_log,
                shutdown,
                listeners: listeners.into_iter().collect::<Result<_, _>>()?,
                upstreams: upstreams.into_iter().collect::<Result<_, _>>()?,
                source: Source::new(text, name),
            })
        });
        file.verdict(config)
    }
}
