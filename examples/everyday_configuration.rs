//! Prints a configuration of a thousand listeners and ten thousand endpoints, to measure with:
//! `cargo run --example everyday_configuration > big.toml`.

use std::io::{self, Write};

#[path = "../tests/everyday/configuration.rs"]
mod everyday;

fn main() -> io::Result<()> {
    let text = everyday::configuration(7007);
    io::stdout().write_all(text.as_bytes())
}
