//! Any script of what the peers of a session do leaves every law of its ends in force.
//!
//! The close engine is nobody's but the proxy's, so its files are compiled into this target by
//! their path, rather than made public for it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/proxy/close.rs"]
mod close;
#[path = "../../src/proxy/close_model.rs"]
mod close_model;

fuzz_target!(|script: &[u8]| close_model::Session::play(script));
