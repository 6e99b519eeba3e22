//! The control thread. A panic harms no session: the thread logs the panic and begins anew.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;

use super::answering::Answering;
use super::ask::Ask;
use super::discovery::Following;
use super::listening::listen;
use super::orders::{Order, Orders};
use super::parts::Parts;

/// Before a new begin: a defect at the begin must not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the control thread, for the life of the process.
///
/// # Errors
/// The thread or the runtime cannot be started.
#[expect(clippy::infinite_loop, reason = "the process ends it")]
pub(crate) fn start(parts: Parts) -> io::Result<Orders> {
    let answering = Arc::new(Answering::new(parts));
    // One for the life of the process: a later one is beyond the sandbox.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (sender, mut orders) = Orders::channel();
    let to_main = Arc::clone(&answering);
    // Its tasks outlive a failure of the sockets.
    let mut following = Following::new(Arc::new(move |report| {
        (to_main.parts().ask)(Ask::Found(report));
    }));
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            loop {
                serve(&answering, &mut orders, &mut following, &runtime);
                pause();
            }
        })?;
    Ok(sender)
}

/// Serves until a failure, and logs the failure.
fn serve(
    answering: &Arc<Answering>,
    orders: &mut UnboundedReceiver<Order>,
    following: &mut Following,
    runtime: &Runtime,
) {
    let run = || runtime.block_on(listen(answering, orders, following));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the control plane cannot serve; trying again"),
        // The panic is in the log.
        Err(_) => tracing::error!("the control plane begins anew; sessions are not concerned"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread that sleeps, and is no lane"
)]
fn pause() {
    thread::sleep(PAUSE);
}
