//! How a simulated ring cancels what is in flight: in time, too late, or nothing
//! (`io_uring_cancelation(7)`).

use super::fault::{Fault, Mark};
use super::kernel::Kernel;
use super::ring::{Ask, Op};

impl Kernel {
    /// Cancels the op with the user data `data`. Three outcomes: cancelled, too late, not found.
    pub(super) fn cancel_one(&mut self, poller: u32, data: u64) -> i32 {
        match self.ring(poller).names.get(&data).copied() {
            None => {
                self.pass(Mark::CancelledNothing);
                -libc::ENOENT
            }
            Some(token) => self.cancel_token(poller, token),
        }
    }

    fn cancel_token(&mut self, poller: u32, token: u64) -> i32 {
        let Some(op) = self.ring(poller).op(token) else {
            return -libc::ENOENT;
        };
        let loses = op.is_roused;
        if loses && self.strikes(Fault::CancelLosesRace, 2) {
            self.run_one(poller, token);
            if self.ring(poller).op(token).is_none() {
                self.pass(Mark::CancelledTooLate);
                return -libc::EALREADY;
            }
        }
        self.pass(Mark::CancelledInTime);
        let ring = self.ring(poller);
        let op = ring.take(token).expect("it is in flight");
        ring.roused.retain(|&other| other != token);
        if matches!(op.ask, Ask::Connect(_)) {
            self.pass(Mark::ConnectCancelled);
        }
        self.release(poller, token, op.file);
        self.complete(poller, op.data, -libc::ECANCELED, 0);
        0
    }

    pub(super) fn cancel_all(&mut self, poller: u32, descriptor: Option<i32>) -> i32 {
        let file = descriptor.and_then(|descriptor| self.file(descriptor));
        let concerns = |op: &Op| descriptor.is_none() || Some(op.file) == file;
        let ops = (0..).zip(&self.ring(poller).ops);
        let tokens: Vec<u64> = ops
            .filter(|(_, op)| op.as_ref().is_some_and(concerns))
            .map(|(token, _)| token)
            .collect();
        for &token in &tokens {
            self.cancel_token(poller, token);
        }
        i32::try_from(tokens.len()).expect("few ops")
    }
}
