//! The options whose values are a few words.

use clap::ValueEnum;

/// The poller of each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PollerChoice {
    /// The best that this system allows
    Auto,
    /// io_uring, or nothing
    #[value(name = "io_uring")]
    IoUring,
    /// epoll
    Epoll,
}

/// How `churn` closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloseChoice {
    /// A FIN, and the server's FIN in answer
    Fin,
    /// A reset
    Rst,
}

/// Which way bulk bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// To the server; what comes back is thrown away
    Up,
    /// From the server, which sends by itself
    Down,
    /// To the server and all of it back
    Both,
}

/// How messages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrival {
    /// Evenly spaced
    Constant,
    /// As from many users who know nothing of each other: exponential gaps
    Poisson,
}

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyVersion {
    /// A line of text (section 2.1)
    V1,
    /// Binary (section 2.2)
    V2,
}
