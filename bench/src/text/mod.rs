//! The results as text: figures with units, rows, whole documents. Pure.

mod comparison;
pub(crate) mod document;
pub(crate) mod figures;
pub(crate) mod server_metrics;
pub(crate) mod table;
pub(crate) mod wrap;
