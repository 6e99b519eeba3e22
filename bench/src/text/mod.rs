//! The results as text: figures with units, rows, whole documents. Pure.

pub(crate) mod figures;
mod parts;
pub(crate) mod table;
pub(crate) mod whole;
pub(crate) mod wrap;
