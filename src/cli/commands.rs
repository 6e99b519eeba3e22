//! The commands and their arguments, exit codes and errors.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use super::probe::{NoAnswer, host_and_port, probe, probe_listeners};
use crate::config::{self, Config, ConfigErrors};
use crate::ctl::{Ctl, ReloadCommand, Top};
use crate::server::{self, Origin, ServerError};

/// The configuration file that nobody has to name.
const USUAL_FILE: &str = "/etc/corelane/corelane.toml";
/// The name of the configuration that is compiled in.
const EMBEDDED: &str = "embedded default";

/// A TCP echo and proxy server that keeps TCP's meaning.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 success; 1 failure, or a temporary problem (a port in use, no \
                  answer, configurations that differ); 2 wrong arguments or a wrong configuration"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to stop (SIGTERM, SIGINT or SIGQUIT)
    Run {
        #[command(flatten)]
        file: FileArguments,
    },
    /// Check a configuration and print every mistake
    Check {
        #[command(flatten)]
        file: FileArguments,
        /// Also try the configuration on this machine: addresses, socket options, CPUs, poller,
        /// descriptors; exit code 1 if a port in use is the only problem
        #[arg(long)]
        here: bool,
    },
    /// Compare two configurations: what a reload from OLD to NEW changes; exit code 0 without a
    /// difference, 1 with differences, 2 if a file cannot be read or is wrong
    Diff {
        /// The configuration in service
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The configuration to follow
        #[arg(value_name = "NEW")]
        new: PathBuf,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Check whether a server accepts connections: exit code 0, otherwise 1
    Probe {
        /// The address, as 127.0.0.1:7007 or localhost:7007; all addresses of a name are tried
        #[arg(value_name = "HOST:PORT", value_parser = host_and_port)]
        #[arg(required_unless_present = "config")]
        target: Option<String>,
        /// Check every listener of this configuration; on Linux without opening a connection
        #[arg(short, long, value_name = "FILE", conflicts_with = "target")]
        config: Option<PathBuf>,
    },
    /// Have a running server read its configuration file again, and put it into service
    Reload(Box<ReloadCommand>),
    /// Look at a running server and change it, by its control socket
    Ctl(Box<Ctl>),
    /// Show a running server in the terminal: listeners, upstreams, lanes, sessions; keys to drain
    /// and end (runs corelane-top)
    Top(Box<Top>),
    /// Show configurations
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// Which configuration a command is about.
#[derive(Debug, clap::Args)]
struct FileArguments {
    /// The configuration file; without it /etc/corelane/corelane.toml, or the output of `config
    /// default` if there is no such file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The output of `config default`, even if there is a file
    #[arg(long, conflicts_with = "config")]
    default: bool,
}

impl FileArguments {
    /// The file; `None` for the embedded default. `usual` is the path of the file that nobody has
    /// to name.
    fn path(self, usual: &Path) -> Option<PathBuf> {
        // A file that cannot be looked up is in force all the same, and its error is shown.
        let is_there = || match usual.metadata() {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        };
        match self.config {
            None if !self.default && is_there() => Some(usual.to_owned()),
            config => config,
        }
    }
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the default configuration, commented
    Default,
    /// Print the JSON Schema of the configuration, for editors and validators
    Schema,
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// The arguments are wrong, or ask for help or the version.
    Arguments(clap::Error),
    /// The configuration file cannot be read.
    Read {
        /// As given on the command line.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The configuration file can be read, and is wrong.
    Config(ConfigErrors),
    /// Standard output takes no more.
    Output(io::Error),
    /// No server accepts connections at the target.
    Probe {
        /// As given on the command line.
        target: String,
        /// The error of each address, or of the look-up of the name.
        why: String,
    },
    /// The server would not start here and now.
    Here(ServerError),
    /// The server did not start, or ended by a failure.
    Run(ServerError),
}

impl Failure {
    /// Prints the error with all causes to standard error, unless the server has logged the error,
    /// and returns the exit code: 2 for wrong arguments or a wrong configuration, 1 for any further
    /// failure, 0 for help and version.
    fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Arguments(error) => {
                let code = u8::try_from(error.exit_code()).unwrap_or(2);
                // Without a standard error there is no way to report.
                _ = error.print();
                return code.into();
            }
            // The lines begin with the file and the line, so that editors can jump there.
            Self::Config(errors) | Self::Here(ServerError::Config(errors)) => {
                (errors.to_string(), 2)
            }
            // Nothing is wrong with the file, and the same start may succeed later.
            Self::Here(ServerError::Taken(errors)) => (errors.to_string(), 1),
            Self::Read { .. } => (format!("corelane: {}", server::chain(self)), 2),
            // The server has logged the error, in case standard error is stuck.
            Self::Run(ServerError::Config(_)) => return 2.into(),
            Self::Run(_) => return ExitCode::FAILURE,
            Self::Output(_) | Self::Probe { .. } | Self::Here(_) => {
                (format!("corelane: {}", server::chain(self)), 1)
            }
        };
        _ = writeln!(io::stderr(), "{text}");
        code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(_) => f.write_str("the arguments are wrong"),
            Self::Read { path, .. } => {
                let path = path.display().to_string();
                write!(
                    f,
                    "the configuration {} cannot be read",
                    config::escape(&path)
                )
            }
            Self::Config(_) => f.write_str("the configuration is wrong"),
            Self::Probe { target, why } => write!(f, "no server answers at {target}: {why}"),
            Self::Output(_) => f.write_str("standard output cannot be written"),
            Self::Here(_) => f.write_str("the configuration cannot be tried on this machine"),
            Self::Run(_) => f.write_str("the server failed"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Arguments(error) => error,
            Self::Read { error, .. } | Self::Output(error) => error,
            Self::Config(errors) => errors,
            Self::Here(error) | Self::Run(error) => error,
            Self::Probe { .. } => return None,
        })
    }
}

/// The command line's definition, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command line `arguments`, which begin with the name of the program, and returns the
/// exit code of the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match execute(arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn execute(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let arguments = Arguments::try_parse_from(&arguments)
        .map_err(|error| Failure::Arguments(with_tip(error, &arguments)))?;
    match arguments.command {
        Command::Run { file } => match file.path(Path::new(USUAL_FILE)) {
            None => run(&embedded()?, &Origin::Default),
            Some(path) => {
                let config = load(&path)?;
                let whole = std::path::absolute(&path).unwrap_or(path);
                run(&config, &Origin::File(whole))
            }
        },
        Command::Check { file, here } => match file.path(Path::new(USUAL_FILE)) {
            None => check(&embedded()?, EMBEDDED, here),
            Some(path) => check(&load(&path)?, &path.display().to_string(), here),
        },
        Command::Reload(reload) => {
            return Ctl::from(*reload).run(Path::new(USUAL_FILE), load);
        }
        Command::Ctl(ctl) => return ctl.run(Path::new(USUAL_FILE), load),
        Command::Top(top) => return top.run(Path::new(USUAL_FILE), load),
        Command::Diff { old, new, json } => return Ok(diff(&old, &new, json)),
        Command::Probe { target, config } => {
            target.iter().try_for_each(|target| probe(target))?;
            config
                .iter()
                .try_for_each(|path| Ok(probe_listeners(&load(path)?, path)?))
        }
        Command::Config { command } => print(match command {
            ConfigCommand::Default => config::DEFAULT,
            ConfigCommand::Schema => config::SCHEMA,
        }),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// `error` with the corelane command as a tip, if `arguments` are the arguments of another server:
/// `nginx -t -c FILE`, `haproxy -c -f FILE`.
fn with_tip(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    if !matches!(
        error.kind(),
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
    ) {
        return error;
    }
    let texts = arguments.iter().skip(1).map(|text| text.to_string_lossy());
    let texts: Vec<_> = texts.collect();
    // No other server has this command.
    if texts.first().is_some_and(|first| first == "ctl") {
        return error;
    }
    let has = |words: &[&str]| texts.iter().any(|text| words.contains(&text.as_ref()));
    let is_file = |text: &str| !text.starts_with('-') && text.contains(['.', '/']);
    let file = texts.iter().find(|text| is_file(text));
    let verb = match () {
        () if has(&["-t", "-T", "--test", "--validate", "check"]) => "check",
        () if file.is_some() || has(&["-c", "--config", "-f", "--file"]) => "run",
        () => return error,
    };
    let file = file.map_or_else(|| "FILE".to_owned(), |file| config::escape(file));
    let tip = format!("write 'corelane {verb} --config {file}'");
    let tips = ContextValue::StyledStrs(vec![tip.into()]);
    error.insert(ContextKind::Suggested, tips);
    error
}

impl From<NoAnswer> for Failure {
    fn from(NoAnswer { target, why }: NoAnswer) -> Self {
        Self::Probe { target, why }
    }
}

/// Serves until told to stop.
fn run(config: &Config, origin: &Origin) -> Result<(), Failure> {
    server::run(config, origin).map_err(Failure::Run)
}

fn check(config: &Config, name: &str, here: bool) -> Result<(), Failure> {
    let warnings = match here {
        true => server::check_here(config).map_err(Failure::Here)?,
        false => config.warnings(),
    };
    for warning in &warnings {
        // Without a standard error there is no way to report.
        _ = writeln!(
            io::stderr(),
            "{}: warning: {}",
            warning.place(),
            warning.text()
        );
    }
    let mut counts = vec![
        count(config.listeners.len(), "listener"),
        count(config.upstreams.len(), "upstream"),
    ];
    if !warnings.is_empty() {
        counts.push(count(warnings.len(), "warning"));
    }
    let name = config::escape(name);
    print(&format!("{name}: ok: {}\n", counts.join(", ")))
}

/// Prints the difference of two configurations, and returns the exit code of diff(1).
fn diff(old: &Path, new: &Path, json: bool) -> ExitCode {
    const TROUBLE: u8 = 2;
    let (old, new) = match (load(old), load(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            // The mistakes of both files.
            let failures = [old.err(), new.err()].into_iter().flatten();
            failures.for_each(|failure| _ = failure.report());
            return TROUBLE.into();
        }
    };
    let changes = config::diff(&old, &new);
    let printed = match json {
        true => print(&format!("{:#}\n", changes.to_json())),
        false => print(&format!("{changes}\n")),
    };
    match printed {
        Err(failure) => {
            failure.report();
            TROUBLE.into()
        }
        Ok(()) => u8::from(!changes.is_empty()).into(),
    }
}

fn embedded() -> Result<Config, Failure> {
    parse(config::DEFAULT, EMBEDDED)
}

fn load(path: &Path) -> Result<Config, Failure> {
    let text = server::read_config(path).map_err(|error| Failure::Read {
        path: path.to_owned(),
        error,
    })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, name: &str) -> Result<Config, Failure> {
    Config::parse(text, name).map_err(Failure::Config)
}

/// Writes to standard output. A closed pipe is not a failure, because the reader has read enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// `1 listener`, `2 listeners`
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs, process};

    use super::FileArguments;

    #[test]
    fn the_usual_file_is_in_force_if_it_is_there() {
        let usual = env::temp_dir().join(format!("corelane-usual-{}.toml", process::id()));
        let path = |config: Option<&str>, default| {
            let config = config.map(Into::into);
            FileArguments { config, default }.path(&usual)
        };
        assert_eq!(path(None, false), None);
        assert_eq!(path(Some("a"), false).as_deref(), Some(Path::new("a")));
        fs::write(&usual, "").unwrap();
        assert_eq!(path(None, false).as_ref(), Some(&usual));
        assert_eq!(path(None, true), None, "--default");
        assert_eq!(path(Some("a"), false).as_deref(), Some(Path::new("a")));
        fs::remove_file(&usual).unwrap();
    }
}
