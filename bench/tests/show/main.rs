//! Results shown: documents made here go through the built binary, and what comes out is read by
//! other programs than its own: an XML reader, a browser where there is one, HdrHistogram's reader.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod compare;
mod documents;
mod folder;
mod hdr;
mod live;
mod report;
