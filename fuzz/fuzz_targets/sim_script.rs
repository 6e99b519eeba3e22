//! Any script of what happens between two sockets is seen alike by both simulated pollers, however
//! the kernel disturbs them; every op is answered once, and every buffer comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| corelane_sim::poller::script::run_bytes(script));
