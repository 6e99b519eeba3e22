//! `corelane top`: the live view, a program of its own, so that nothing that draws on terminals is
//! in the server.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{report, socket};
use crate::config::Config;
use crate::sys::program::become_program;

/// The name of the program, without the ending of the system.
const NAME: &str = "corelane-top";

/// Show a running server in the terminal: listeners, upstreams, lanes, sessions; keys to drain and
/// end (runs corelane-top)
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// The control socket; without it control.socket of the configuration, or
    /// /run/corelane/control.sock
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The configuration file with control.socket; without it /etc/corelane/corelane.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The time between two looks at the server; without it 1s
    #[arg(short, long, value_name = "TIME")]
    interval: Option<OsString>,
    /// The most sessions to read at a look; without it 5000
    #[arg(long, value_name = "NUMBER")]
    sessions: Option<OsString>,
    /// The time to wait for a server that no longer answers; without it 30s
    #[arg(long, value_name = "TIME")]
    patience: Option<OsString>,
}

impl Top {
    /// Becomes the program of the view. `usual` is the default configuration file, and `load` reads
    /// a file.
    ///
    /// Exit codes: those of the program; 1 without the program; 2 without a socket.
    ///
    /// # Errors
    /// The configuration file of the arguments cannot be read.
    pub(crate) fn run<E>(
        self,
        usual: &Path,
        load: impl Fn(&Path) -> Result<Config, E>,
    ) -> Result<ExitCode, E> {
        let found = socket::find(self.socket.as_deref(), self.config.as_deref(), usual, load)?;
        let socket = match found {
            Ok(socket) => socket,
            Err(failed) => return Ok(report(&failed)),
        };
        let mut arguments = vec!["--socket".into(), socket.into_os_string()];
        for (name, value) in [
            ("--interval", self.interval),
            ("--sessions", self.sessions),
            ("--patience", self.patience),
        ] {
            arguments.extend(value.into_iter().flat_map(|value| [name.into(), value]));
        }
        Ok(become_top(&arguments).unwrap_or_else(|why| {
            // Without a standard error there is no way to report.
            _ = writeln!(io::stderr(), "corelane: {why}");
            ExitCode::FAILURE
        }))
    }
}

/// The program beside this one, or else in PATH; returns why there is none.
fn become_top(arguments: &[OsString]) -> Result<ExitCode, String> {
    let file = format!("{NAME}{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe().map(|own| own.with_file_name(&file));
    let beside = beside.ok().filter(|path| path.exists());
    let program = beside.clone().unwrap_or_else(|| PathBuf::from(&file));
    become_program(&program, arguments).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if beside.is_none() => format!(
            "{NAME} is neither beside corelane nor in PATH; install it there (the package has it; \
             of the sources: cargo build --release -p {NAME}), or use 'corelane ctl'"
        ),
        _ => format!("{} cannot be run: {error}", program.display()),
    })
}
