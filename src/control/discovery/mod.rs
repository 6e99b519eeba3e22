//! Discovery: addresses of endpoints, found while the server runs.
//!
//! A source (`config::EndpointSource`) gives full sets: all endpoints of the source, or the
//! reason for no answer, each with a time (`report.rs`). `following.rs` runs a task for each source
//! on the control thread. The main thread keeps the last good set of each source and puts changes
//! into service as a reload does; a source decides nothing about service.
//!
//! To add a source: a variant of `EndpointSource` with the syntax, a folder or file here with an
//! endless function that reports, and an arm in `following.rs`. After "your version is too old" a
//! source lists everything again: sets are full, and no state is lost.

mod back_off;
mod dns;
mod etcd;
mod file;
mod following;
mod once;
mod report;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use self::back_off::BackOff;
pub(super) use self::following::Following;
pub(crate) use self::following::Wanted;
pub(crate) use self::once::look_once;
pub(crate) use self::report::{FoundEndpoint, Report};

/// The greatest weight of an endpoint.
const WEIGHT_MAX: u16 = 256;

/// The text of a file, within a bound.
fn read_file(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    let length = file.take(bytes_max + 1).read_to_string(&mut text)?;
    match length as u64 > bytes_max {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {bytes_max} bytes"),
        )),
        false => Ok(text),
    }
}
