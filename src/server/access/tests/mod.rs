//! The access log without threads.

mod filters;
mod forms;
mod rotation;

use crate::config::{AccessLog, Config};

/// The table with these keys.
fn table(lines: &str) -> AccessLog {
    let listener = "[[listener]]\nname = 'e'\nbind = '[::1]:0'\nservice = 'echo'\n";
    let text = format!("[access_log]\n{lines}\n{listener}");
    Config::parse(&text, "t.toml").expect(lines).access_log
}
