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
