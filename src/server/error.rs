//! Why the server did not start, or did not end as it should.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why the server did not start, or did not end as it should.
#[derive(Debug)]
pub enum ServerError {
    /// The configuration asks for what this machine does not have: key, value as meant, remedy.
    Impossible {
        /// The key, as in the file.
        key: &'static str,
        /// What it says.
        value: String,
        /// What is wrong and what would be right.
        remedy: String,
    },
    /// Somebody listens there already.
    InUse {
        /// The key, as in the file.
        key: String,
        /// The address.
        address: SocketAddr,
    },
    /// A listener cannot be opened.
    Bind {
        /// The key, as in the file.
        key: String,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system refuses something that every server needs.
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A lane could not start or broke.
    Lane {
        /// Which.
        lane: usize,
        /// What broke.
        error: io::Error,
    },
    /// A lane ended by a panic: a defect of corelane.
    LanePanicked {
        /// Which.
        lane: usize,
    },
    /// Sessions were reset because the grace period was over, or a second signal came.
    Cut {
        /// How many.
        sessions: usize,
    },
}

impl ServerError {
    /// Whether another configuration would help, rather than another machine or moment.
    #[must_use]
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, Self::Impossible { .. })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Impossible { key, value, remedy } => write!(f, "{key} = {value}: {remedy}"),
            Self::InUse { key, address } => write!(
                f,
                "{key} = \"{address}\": somebody listens there already; stop it, or choose another \
                 address"
            ),
            Self::Bind {
                key,
                address,
                error,
            } => {
                write!(
                    f,
                    "{key} = \"{address}\": cannot listen there{}",
                    remedy(error)
                )
            }
            Self::System { what, .. } => write!(f, "{what}"),
            Self::Lane { lane, .. } => write!(f, "lane {lane} broke"),
            Self::LanePanicked { lane } => write!(f, "lane {lane} panicked; please report it"),
            Self::Cut { sessions } => {
                write!(
                    f,
                    "stopped before it was drained: sessions reset: {sessions}"
                )
            }
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { error, .. } | Self::System { error, .. } | Self::Lane { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}
