//! Any script gives the same trace on both simulated pollers, with and without a disturbed kernel;
//! every op is answered once, and every buffer is returned.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| corelane_sim::poller::script::run_bytes(script));
