//! Why a load cannot be made as the arguments ask.

use std::fmt;

/// The error, naming the option and the correct form.
#[derive(Debug)]
pub(crate) struct PlanError(pub(crate) String);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
