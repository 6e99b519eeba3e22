//! The options with a few named values.

use clap::ValueEnum;

/// The poller of each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PollerChoice {
    /// io_uring where the system permits it, else epoll
    Auto,
    /// io_uring; fail if it is refused
    #[value(name = "io_uring")]
    IoUring,
    /// epoll
    Epoll,
}

/// How `churn` closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloseChoice {
    /// Send a FIN and wait for the server's FIN
    Fin,
    /// Send a reset
    Rst,
}

/// The direction of the bytes in `bulk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// To the server; discard what comes back
    Up,
    /// From a server that sends on its own
    Down,
    /// To the server and back from it
    Both,
}

/// The distribution of the gaps between messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrival {
    /// Equal gaps
    Constant,
    /// Exponential gaps, as from many independent users
    Poisson,
}

/// The version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyVersion {
    /// A line of text (section 2.1)
    V1,
    /// Binary (section 2.2)
    V2,
}
