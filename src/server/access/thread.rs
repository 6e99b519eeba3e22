//! The life of the writing thread.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::change::{AccessControl, Order};
use super::lanes::Lanes;
use super::writer::Writer;
use crate::proxy::AccessLog;

/// How long the end of the process waits for unwritten lines, as for the log.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// The access log until the end of the process. Drop writes the records of the rings, but waits
/// for no blocked target.
#[derive(Debug)]
pub(in crate::server) struct AccessEnd {
    control: AccessControl,
}

impl AccessEnd {
    pub(in crate::server) fn control(&self) -> &AccessControl {
        &self.control
    }
}

impl Drop for AccessEnd {
    fn drop(&mut self) {
        let (sender, written) = channel();
        self.control.order(Order::Close(sender));
        // The process abandons a blocked target.
        let _is_written = written.recv_timeout(END_PATIENCE).is_ok();
    }
}

/// Starts the writing thread, with nothing to write until a change.
pub(in crate::server) fn start(log: &Arc<AccessLog>, lanes: Lanes) -> io::Result<AccessEnd> {
    let (control, orders) = AccessControl::new(log);
    let writer = Writer::new(Arc::clone(log), orders, lanes);
    thread::Builder::new()
        .name("access".to_owned())
        .spawn(|| writer.run())?;
    Ok(AccessEnd { control })
}
