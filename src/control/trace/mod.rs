//! Traces of the scheduler: recordings of all lanes, written in the format that Perfetto opens.
//!
//! `recording` has the lanes record; `file` writes a lane's events as packets of Perfetto's
//! `Trace`; `protobuf` writes the fields. Called by `answering`.

mod file;
mod protobuf;
mod recording;

pub(super) use self::recording::{Recordings, TraceAsk};
