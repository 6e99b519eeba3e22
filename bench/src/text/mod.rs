//! The results as people read them. Pure.

mod parts;
mod whole;
mod wrap;

pub(crate) use self::whole::{Row, Text};
pub(crate) use self::wrap::wrapped;
