//! Growing pauses between tries, with jitter: many processes do not ask a returning server at once.

use std::time::Duration;

use crate::control::random::random;

/// The longest pause.
const MAX: Duration = Duration::from_secs(30);

/// The pauses of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackOff {
    first: Duration,
    next: Duration,
}

impl BackOff {
    /// The first pause is some `first`.
    pub(super) fn new(first: Duration) -> Self {
        let first = first.min(MAX);
        Self { first, next: first }
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause: twice the pause before, less a quarter at most.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(MAX);
        let part = u32::try_from(random() % 256).unwrap_or(0);
        pause - pause * part / 1024
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::BackOff;

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew_after_a_success() {
        let mut back_off = BackOff::new(Duration::from_secs(1));
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let (pause, most) = (back_off.next(), Duration::from_secs(seconds));
            assert!(
                pause <= most && pause >= most * 3 / 4,
                "{pause:?} of {most:?}"
            );
        }
        back_off.reset();
        assert!(back_off.next() <= Duration::from_secs(1));
    }
}
