//! Any text is a configuration or has errors, in order, each on one line and on a line of it.
#![no_main]

use config::Config;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/config/mod.rs"]
#[expect(
    unused,
    reason = "this target only reads, and only errors are looked at"
)]
mod config;

fuzz_target!(|text: &str| {
    let Err(errors) = Config::parse(text, "fuzz.toml") else {
        return;
    };
    assert!(errors.iter().next().is_some(), "refused without a reason");
    let lines = text.matches('\n').count() + 1;
    let mut last = 1;
    for error in errors.iter() {
        assert!((last..=lines).contains(&error.line()), "{error}");
        last = error.line();
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
});
