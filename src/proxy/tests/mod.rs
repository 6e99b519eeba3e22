//! Tests of several files together.

mod handing_over;
mod leases;
