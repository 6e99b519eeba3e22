//! Errors, small.

use std::io;
use std::num::NonZero;

/// A system's error by its number, so that it can be kept at little cost and given more than once.
/// Numbers fit 16 bits on every system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorCode(NonZero<i16>);

impl ErrorCode {
    /// `None` for an error that has no number.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        let number = i16::try_from(error.raw_os_error()?).ok()?;
        NonZero::new(number).map(Self)
    }

    pub(crate) fn error(self) -> io::Error {
        io::Error::from_raw_os_error(self.0.get().into())
    }
}
