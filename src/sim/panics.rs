//! Keeps the panics of simulated worlds for their reports, without printing.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static QUIET: RefCell<bool> = const { RefCell::new(false) };
}

/// Message and location of the last panic on this thread.
pub(super) fn last_panic() -> String {
    let text = PANIC.take();
    text.unwrap_or_else(|| "a task panicked".to_owned())
}

/// Keeps panics of this thread for [`last_panic`], without printing.
pub(super) fn keep_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.with_borrow(|quiet| *quiet) {
                PANIC.set(Some(info.to_string()));
            } else {
                print(info);
            }
        }));
    });
    QUIET.set(true);
}
