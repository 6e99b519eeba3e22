//! Every sequence of the peers' actions upholds every law of a session's ends.
//!
//! The close engine is private to the proxy. This target compiles its files by path, without a
//! public export.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/proxy/close.rs"]
mod close;
#[path = "../../src/proxy/close_model.rs"]
mod close_model;

fuzz_target!(|script: &[u8]| close_model::Session::play(script));
