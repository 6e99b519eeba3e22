//! The layer that knows every other: it makes the parts out of the configuration and runs them.
//!
//! Called by `cli`.

pub mod log;
