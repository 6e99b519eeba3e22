//! The results as people read them. Pure.

mod parts;
pub(crate) mod quantity;
mod whole;

pub(crate) use self::whole::{Row, Text};
