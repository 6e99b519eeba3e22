//! Any text is a valid configuration or has errors, in order, each a single line that cites a line.
#![no_main]

use config::Config;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/config/mod.rs"]
#[expect(
    unused,
    reason = "this target reads, and looks at errors and warnings only"
)]
mod config;

fuzz_target!(|text: &str| {
    let errors = match Config::parse(text, "fuzz.toml") {
        Ok(config) => {
            for warning in config.warnings() {
                let shown = warning.to_string();
                assert!(!shown.contains(char::is_control), "{shown:?}");
            }
            config.refuse([("listener[0].bind[0]".to_owned(), "no".to_owned())])
        }
        Err(errors) => errors,
    };
    let shown = errors.to_string();
    assert!(!shown.is_empty(), "refused without a reason");
    let lines = text.matches('\n').count() + 1;
    let mut last = 1;
    for error in shown.lines() {
        let line = error.strip_prefix("fuzz.toml:").and_then(|rest| rest.split(':').next());
        let line = line.and_then(|line| line.parse().ok()).expect("FILE:LINE: first");
        assert!((last..=lines).contains(&line), "{error}");
        last = line;
        assert!(!error.contains(char::is_control), "{error:?}");
    }
});
