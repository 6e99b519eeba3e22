//! Waiting reloads, and the ways of the answers.

use std::collections::VecDeque;

use crate::control::{Reloaded, Reply};

/// The way of the result of a reload.
pub(super) type Answer = Reply<Result<Reloaded, String>>;

/// Waiting reloads.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) by_signal: bool,
    /// By the control plane: whether as a dry run, and the way of the answer.
    pub(super) asked: VecDeque<(bool, Answer)>,
    /// The way of the answer of the present reload; `None` for a signal.
    pub(super) answer: Option<Answer>,
}

impl Wanted {
    pub(super) fn is_any(&self) -> bool {
        self.by_signal || !self.asked.is_empty()
    }

    /// Refuses all waiting reloads: the server stops.
    pub(super) fn refuse(&mut self) {
        self.by_signal = false;
        let answers = self.asked.drain(..).map(|(_, answer)| answer);
        for answer in answers.chain(self.answer.take()) {
            answer.send(Err("the server stops".to_owned()));
        }
    }
}
