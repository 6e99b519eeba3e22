//! Why the server did not start, or failed while running.

use std::error::Error;
use std::fmt;
use std::io;

use crate::config::{Bind, Config, ConfigErrors};
use crate::sys;

/// Why the server did not start, or failed while running.
#[derive(Debug)]
pub(crate) enum ServerError {
    /// The configuration requires something that this machine does not have.
    Impossible {
        /// The key, as in the file.
        key: String,
        /// The problem and the remedy.
        remedy: String,
    },
    /// The configuration requires something that this machine does not have or allow; each mistake
    /// has its line in the file. Another start fails alike until the file or the machine changes.
    Config(ConfigErrors),
    /// The configuration requires ports that are in use at the moment; each has its line in the
    /// file.
    Taken(ConfigErrors),
    /// A process listens on the address already.
    InUse {
        /// The key, as in the file.
        key: String,
        /// The address.
        bind: Bind,
        /// The listening process, if the system names it.
        holder: Option<String>,
    },
    /// A listener cannot be opened.
    Bind {
        /// The key, as in the file.
        key: String,
        /// The address.
        bind: Bind,
        /// The error of the system.
        error: io::Error,
    },
    /// The system refuses a call that every server needs.
    System {
        /// The call's purpose.
        what: &'static str,
        /// The error of the system.
        error: io::Error,
    },
    /// A lane could not start or broke.
    Lane {
        /// The index of the lane.
        lane: usize,
        /// The error of the lane.
        error: io::Error,
    },
    /// A lane ended by a panic: a defect of corelane.
    LanePanicked {
        /// The index of the lane.
        lane: usize,
    },
    /// A stop was requested before the server served.
    Stopped,
    /// Lanes were told to reset their sessions and have not ended.
    Stuck {
        /// The indices of the lanes.
        lanes: Vec<usize>,
    },
}

impl ServerError {
    /// The error for an address in use, with the listening process.
    pub(super) fn in_use(key: String, bind: Bind) -> Self {
        let holder = bind.tcp().and_then(sys::holder_of);
        Self::InUse { key, bind, holder }
    }

    /// The error with its line in the file, if the error concerns a key.
    pub(super) fn placed(self, config: &Config) -> Self {
        Self::all_placed(vec![self], config)
    }

    /// All errors as one, each with its line in the file.
    ///
    /// An error without a key does not concern the file and stands alone.
    ///
    /// # Panics
    /// If `all` is empty.
    pub(super) fn all_placed(all: Vec<Self>, config: &Config) -> Self {
        let mut lines = Vec::new();
        let mut passes = true;
        for error in all {
            passes &= matches!(error, Self::InUse { .. });
            lines.push(match error {
                // A different configuration would fail alike.
                Self::Bind { error, .. } if sys::is_out_of_resources(&error) => {
                    let what = "cannot open a socket to listen on";
                    return Self::System { what, error };
                }
                Self::Impossible { key, remedy } => (key, remedy),
                Self::InUse { key, bind, holder } => (key, which(&bind) + &in_use(holder)),
                Self::Bind { key, bind, error } => (key, which(&bind) + &refusal(&error)),
                other => return other,
            });
        }
        match passes {
            true => Self::Taken(config.refuse(lines)),
            false => Self::Config(config.refuse(lines)),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible { key, remedy } => write!(f, "{key}: {remedy}"),
            Self::Config(errors) | Self::Taken(errors) => write!(f, "{errors}"),
            Self::InUse { key, bind, holder } => {
                write!(f, "{key} = \"{}\": {}", bind.to, in_use(holder.clone()))
            }
            Self::Bind { key, bind, error } => {
                write!(f, "{key} = \"{}\": {}", bind.to, refusal(error))
            }
            Self::System { what, .. } => write!(f, "{what}"),
            Self::Lane { lane, .. } => write!(f, "lane {lane} broke"),
            Self::LanePanicked { lane } => write!(f, "lane {lane} panicked; please report it"),
            Self::Stopped => write!(f, "stopped before the start: nothing was served"),
            Self::Stuck { lanes } => write!(
                f,
                "lanes that do not end when told to: {lanes:?}; please report it"
            ),
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { error, .. } | Self::Lane { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// An error and its causes: `what: why: why`.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The address, if the written value does not tell it from others.
fn which(bind: &Bind) -> String {
    match bind.is_one_of_several() {
        true => format!("{}: ", bind.to),
        false => String::new(),
    }
}

/// The problem of an address in use, and the remedy.
fn in_use(holder: Option<String>) -> String {
    let holder = holder.unwrap_or_else(|| "somebody".to_owned());
    format!("{holder} listens there already; stop it, or choose another address")
}

/// Why this machine refuses an address to a listener, and the remedy.
fn refusal(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "this user may not listen there; ports below 1024 need the capability \
             CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address; write one that it has, or \"0.0.0.0\" \
             or \"[::]\" for all"
        }
        _ => return format!("cannot listen there: {error}"),
    }
    .to_owned()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io;

    use super::ServerError;
    use crate::config::{Bind, BindForm, BindTo, Config, DEFAULT};

    fn at(address: &str) -> Bind {
        Bind {
            element: 0,
            form: BindForm::Single,
            to: BindTo::Tcp(address.parse().unwrap()),
        }
    }

    fn bind(code: i32) -> ServerError {
        ServerError::Bind {
            key: "listener[0].bind".to_owned(),
            bind: at("127.0.0.1:7007"),
            error: io::Error::from_raw_os_error(code),
        }
    }

    fn in_use() -> ServerError {
        ServerError::InUse {
            key: "listener[1].bind".to_owned(),
            bind: at("127.0.0.1:7008"),
            holder: None,
        }
    }

    /// The exit code depends on the variant: 2 is for errors that a second start does not fix.
    #[test]
    fn what_passes_is_told_from_what_stays() {
        let config = Config::parse(DEFAULT, "t.toml").unwrap();
        let of = |errors| ServerError::all_placed(errors, &config);
        for code in [libc::EADDRNOTAVAIL, libc::EACCES, libc::EINVAL] {
            let found = of(vec![in_use(), bind(code)]);
            let ServerError::Config(errors) = &found else {
                panic!("{found:?}");
            };
            assert_eq!(errors.iter().count(), 2, "{errors}");
        }
        let found = of(vec![in_use()]);
        assert!(matches!(found, ServerError::Taken(_)), "{found:?}");
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            let found = of(vec![bind(code)]);
            assert!(matches!(found, ServerError::System { .. }), "{found:?}");
        }
    }
}
