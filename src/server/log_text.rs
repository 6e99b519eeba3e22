//! The text of an event on its way into the queue: without control characters, and not queued
//! where the writer's own thread logs. Used by the files of the log.

use std::cell::RefCell;

use super::log_queue::{Queue, Text};

thread_local! {
    /// Text of the writer's own thread. A queued line would wait for that same thread.
    static OWN_TEXT: RefCell<Option<Vec<Text>>> = const { RefCell::new(None) };
}

/// The text of the event of `log`, unqueued; `None` if its level is off.
pub(super) fn unqueued(log: impl FnOnce()) -> Option<Text> {
    OWN_TEXT.set(Some(Vec::new()));
    log();
    OWN_TEXT.take()?.pop()
}

/// Queues the text of an event, unless within [`unqueued`].
pub(super) fn enqueue(queue: &Queue, text: Text, is_detail: bool) {
    let text = OWN_TEXT.with_borrow_mut(|own| match own {
        Some(own) => {
            own.push(text);
            None
        }
        None => Some(text),
    });
    if let Some(text) = text {
        queue.push(text, is_detail);
    }
}

/// A text with its control characters written as JSON does.
pub(super) fn without_controls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            _ if hidden(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => shown.push(c),
        }
    }
    shown
}

/// Control characters, Unicode's line ends, and characters that change the direction of text.
pub(super) fn hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
