//! What the arguments mean on this machine, checked before anything starts.

pub(crate) mod build;
mod checks;
pub(crate) mod error;
mod target;
