//! Typed messages from other threads to whatever drives a lane.
//!
//! A [`Mailbox`] is an inbox of its own with a type that its layer chooses. Its driver reads it
//! between two turns; a sender keeps the lane from sleeping until the driver has read. The lane's
//! own inbox serves wakes and calls and knows no type of a layer above.

use super::handle::Handle;
use super::inbox::{Receiver, Sender, inbox};
use super::remote::Remote;

/// Messages in the ring of a mailbox before it spills, and with that loses the order: commands are
/// rare, and handed-over connections need no order.
const RING: usize = 64;

/// Sends to a lane's mailbox, from any thread.
#[derive(Debug)]
pub(crate) struct MailSender<T> {
    sender: Sender<T>,
    lane: Remote,
}

/// Where the driver of a lane receives messages.
#[derive(Debug)]
pub(crate) struct Mailbox<T>(Receiver<T>);

impl<T> Clone for MailSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            lane: self.lane.clone(),
        }
    }
}

impl<T: Send> MailSender<T> {
    /// Leaves a message for the lane's driver, which reads it before the lane sleeps again. Never
    /// blocks. The message is dropped if the mailbox is gone.
    pub(crate) fn send(&self, message: T) {
        // The lane's own inbox knows whether the lane sleeps.
        _ = self.sender.send(message);
        self.lane.rouse();
    }

    /// The lane behind the mailbox.
    #[must_use]
    pub(crate) fn lane(&self) -> &Remote {
        &self.lane
    }
}

impl<T> Mailbox<T> {
    /// The next message, in the order of sending unless the ring was full. An empty mailbox costs
    /// two loads.
    pub(crate) fn receive(&mut self) -> Option<T> {
        self.0.receive()
    }
}

impl Handle {
    /// A mailbox for the driver of this lane.
    #[must_use]
    pub(crate) fn mailbox<T: Send>(&self) -> (MailSender<T>, Mailbox<T>) {
        let (sender, receiver) = inbox(RING);
        let lane = self.remote().clone();
        (MailSender { sender, lane }, Mailbox(receiver))
    }
}
