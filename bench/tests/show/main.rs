//! The output of results: documents of the tests go through the built binary, and independent
//! programs read the output: an XML reader, a browser if installed, HdrHistogram's reader.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod compare;
mod documents;
mod folder;
mod hdr;
mod live;
mod report;
