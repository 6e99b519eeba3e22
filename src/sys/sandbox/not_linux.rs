//! No sandbox: only Linux has such layers.

use std::convert::Infallible;
use std::io;

use super::permitted::{Permitted, Unexpected};

/// There are none.
pub(crate) const KERNEL_FILES: &[&str] = &[];
/// There is no version.
pub(crate) const LANDLOCK_ABI_TCP: u32 = 0;

/// A restriction on files: none on these systems.
#[derive(Debug)]
pub(crate) struct Landlocked(Infallible);

impl Landlocked {
    pub(crate) fn forbid_binding(&self) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn close(&mut self) {
        match self.0 {}
    }
}

pub(crate) fn landlock_abi() -> io::Result<u32> {
    Err(no_sandbox())
}

pub(crate) fn landlock(_abi: u32, _permitted: &Permitted<'_>) -> io::Result<Landlocked> {
    Err(no_sandbox())
}

pub(crate) fn calls_of_service() -> usize {
    0
}

pub(crate) fn filter_calls(_unexpected: Unexpected) -> io::Result<()> {
    Err(no_sandbox())
}

pub(crate) fn filter_calls_of_start(_unexpected: Unexpected) -> io::Result<()> {
    Err(no_sandbox())
}

pub(crate) fn forbid_new_privileges() -> io::Result<()> {
    Err(no_sandbox())
}

fn no_sandbox() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "only Linux has it")
}
