//! The rights left to a process in a sandbox, without terms of an operating system.

use std::collections::BTreeSet;
use std::path::Path;

/// Rights on a file, or on every file in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileRight {
    Read,
    /// Read, and remove files.
    Remove,
    /// Read, and make, write and remove files and unix sockets.
    Write,
}

/// The remaining files and ports.
#[derive(Debug)]
pub(crate) struct Permitted<'p> {
    /// Files and folders; absent paths are left out.
    pub(crate) files: &'p [(&'p Path, FileRight)],
    /// TCP ports to connect to; `None` for all.
    pub(crate) connect: Option<&'p BTreeSet<u16>>,
    /// Whether sends to abstract unix sockets of foreign programs are permitted.
    pub(crate) abstract_sockets: bool,
}

/// The fate of an unexpected system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unexpected {
    /// An error; for some, the end of the process.
    Refused,
    /// The kernel logs the call, then makes the call.
    Logged,
}
