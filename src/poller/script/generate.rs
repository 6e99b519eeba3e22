//! Generates scripts from bytes. Every result of such a script is determined.
//!
//! After each action of an end, the script waits for the effect at the peer and for the
//! acknowledgement, so no two events race. All writes fit the kernel's buffers unread.

use std::fmt::Write;

/// Most connections of one script, in sequence.
const PAIRS: usize = 3;
/// Most steps of one connection.
const STEPS: usize = 60;
/// Most bytes of one direction: less than either kernel buffers without a reader.
const CARRIES: usize = 20_000;

/// Choices read from the bytes.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> Option<usize> {
        self.0.next().map(|&byte| usize::from(byte) % n)
    }

    /// Small sizes, and sizes around those of buffers and segments.
    fn size(&mut self) -> Option<usize> {
        const SIZES: [usize; 8] = [1, 2, 100, 1000, 4095, 4096, 4097, 6000];
        self.below(SIZES.len()).map(|index| SIZES[index])
    }
}

/// The state of a connection between two statements.
#[derive(Default)]
struct Pair {
    /// Our receive is in flight.
    receives: bool,
    /// Our wait for readability is in flight.
    awaits_readable: bool,
    /// Bytes that have arrived unread: at our end, at the peer.
    unread: [usize; 2],
    /// Bytes written in all: to our end, to the peer.
    carried: [usize; 2],
    /// Whether our end and the peer have sent a FIN.
    fin: [bool; 2],
}

/// The text of a script.
#[must_use]
pub fn generate(bytes: &[u8]) -> String {
    let mut choices = Choices(bytes.iter());
    let mut text = String::new();
    for number in 0..PAIRS {
        // Without further bytes the script ends here; the runner closes open sockets.
        if one_pair(number, &mut choices, &mut text).is_none() {
            break;
        }
    }
    text
}

/// The life of one connection; `None` when the bytes are used up.
fn one_pair(number: usize, choices: &mut Choices<'_>, text: &mut String) -> Option<()> {
    let mut say = |line: &str| {
        let line = line.replace("OURS", &format!("a{number}"));
        let line = line.replace("PEER", &format!("p{number}"));
        writeln!(text, "{line}").expect("a string takes all");
    };
    choices.0.as_slice().first()?;
    say("OURS pair PEER");
    let mut pair = Pair::default();
    for _ in 0..STEPS {
        match choices.below(16)? {
            0 | 1 => pair.peer_writes(choices.size()?, &mut say),
            2 | 3 => pair.we_send(choices.size()?, &mut say),
            4 | 5 => pair.we_receive(&mut say),
            6 => pair.peer_reads(choices.size()?, &mut say),
            7 => pair.peer_shuts_down(&mut say),
            8 => pair.we_shut_down(&mut say),
            9 => pair.cancel_receive(&mut say),
            10 => pair.wait_for_readability(&mut say),
            11 => say("OURS cancel send"),
            12 => {
                say("OURS submit write-ready");
                say("OURS await write-ready");
            }
            13 => {
                pair.we_go(choices.below(2)? == 0, &mut say);
                return Some(());
            }
            14 => {
                pair.peer_goes(choices.below(2)? == 0, &mut say);
                return Some(());
            }
            _ => say("PEER error"),
        }
    }
    Some(())
}

impl Pair {
    fn peer_writes(&mut self, bytes: usize, say: &mut impl FnMut(&str)) {
        if self.fin[1] || self.carried[0] + bytes > CARRIES {
            return;
        }
        self.carried[0] += bytes;
        say(&format!("PEER write {bytes}"));
        if self.receives {
            say(&format!("OURS bytes {bytes}"));
        } else {
            self.unread[0] += bytes;
            say(&format!("OURS has {}", self.unread[0]));
        }
        self.readable_now(say);
    }

    /// The socket became readable: completes a wait for readability.
    fn readable_now(&mut self, say: &mut impl FnMut(&str)) {
        if std::mem::take(&mut self.awaits_readable) {
            say("OURS await read-ready");
        }
    }

    fn we_send(&mut self, bytes: usize, say: &mut impl FnMut(&str)) {
        if self.carried[1] + bytes > CARRIES {
            return;
        }
        say(&format!("OURS submit send {bytes}"));
        say("OURS await send");
        if !self.fin[0] {
            self.carried[1] += bytes;
            self.unread[1] += bytes;
            say(&format!("PEER has {}", self.unread[1]));
        }
    }

    /// Not beside a wait for readability, which may or may not see bytes that a receive has taken
    /// (`io_poll_check_events` looks again after two wakes, not after a single wake).
    fn we_receive(&mut self, say: &mut impl FnMut(&str)) {
        if self.receives || self.awaits_readable {
            return;
        }
        say("OURS submit recv");
        let unread = std::mem::take(&mut self.unread[0]);
        if self.fin[1] {
            say("OURS await recv");
        } else {
            self.receives = true;
            if unread > 0 {
                say(&format!("OURS bytes {unread}"));
            }
            say("OURS waits recv");
        }
    }

    fn peer_reads(&mut self, bytes: usize, say: &mut impl FnMut(&str)) {
        let bytes = bytes.min(self.unread[1]);
        if bytes > 0 {
            self.unread[1] -= bytes;
            say(&format!("PEER read {bytes}"));
        }
    }

    fn peer_shuts_down(&mut self, say: &mut impl FnMut(&str)) {
        say("PEER shutdown");
        if std::mem::replace(&mut self.fin[1], true) {
            return;
        }
        if std::mem::take(&mut self.receives) {
            say("OURS await recv");
        }
        say("PEER acked");
        self.readable_now(say);
        self.both_over(say);
    }

    fn we_shut_down(&mut self, say: &mut impl FnMut(&str)) {
        say("OURS shutdown");
        if !std::mem::replace(&mut self.fin[0], true) {
            say("OURS acked");
            self.both_over(say);
        }
    }

    fn both_over(&self, say: &mut impl FnMut(&str)) {
        if self.fin == [true, true] {
            say("OURS over");
            say("PEER over");
        }
    }

    fn cancel_receive(&mut self, say: &mut impl FnMut(&str)) {
        say("OURS cancel recv");
        if std::mem::take(&mut self.receives) {
            say("OURS await recv");
        }
    }

    fn wait_for_readability(&mut self, say: &mut impl FnMut(&str)) {
        if self.receives {
            return;
        }
        if self.awaits_readable {
            self.awaits_readable = false;
            say("OURS cancel read-ready");
        } else {
            say("OURS submit read-ready");
            if self.unread[0] == 0 && !self.fin[1] {
                self.awaits_readable = true;
                say("OURS waits read-ready");
                return;
            }
        }
        say("OURS await read-ready");
    }

    /// Our end closes, by FIN or reset; unread bytes turn the close into a reset.
    fn we_go(&mut self, reset: bool, say: &mut impl FnMut(&str)) {
        say(if reset { "OURS reset" } else { "OURS close" });
        if reset || self.unread[0] > 0 || self.fin[1] {
            // Else the peer might read an earlier FIN before the reset arrives.
            say("PEER over");
        }
        say("PEER drain");
        say("PEER error");
        say("PEER recv");
        say("PEER close");
    }

    /// The peer closes, by FIN or reset; unread bytes turn the close into a reset.
    fn peer_goes(&mut self, reset: bool, say: &mut impl FnMut(&str)) {
        say(if reset { "PEER reset" } else { "PEER close" });
        self.readable_now(say);
        if !self.receives {
            say("OURS submit recv");
        }
        say("OURS await recv");
        say("OURS close");
    }
}
