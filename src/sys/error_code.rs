//! Error numbers: small, and `Copy`.

use std::fmt;
use std::io;
use std::num::NonZero;

/// The number of a system's error, so that an error costs two bytes and can be reported repeatedly.
/// Numbers fit 16 bits on every system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(NonZero<i16>);

impl ErrorCode {
    /// For an error without a number; no system has a negative one.
    const NONE: Self = Self(NonZero::new(-1).unwrap());

    /// The number of an error.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let number = error
            .raw_os_error()
            .and_then(|number| i16::try_from(number).ok());
        number.and_then(NonZero::new).map_or(Self::NONE, Self)
    }

    /// The error of this number; of kind `Other` if there was none.
    #[must_use]
    pub fn error(self) -> io::Error {
        if self == Self::NONE {
            io::ErrorKind::Other.into()
        } else {
            io::Error::from_raw_os_error(self.0.get().into())
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}
