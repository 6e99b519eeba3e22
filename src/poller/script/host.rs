//! The kernel that a script runs on: the machine's, or a simulated kernel that a seed disturbs.

#[cfg(feature = "sim")]
use super::generate::generate;
use super::parse::Script;
use super::patience::Kind;
use super::run::Stage;
use crate::poller::BackEnd;
#[cfg(feature = "sim")]
use crate::sys::sim::{self, Fault, Faults, Kernel, Limits, Random};

/// Faults within the freedom of TCP and Linux, so that no trace may show them.
#[cfg(feature = "sim")]
pub const DISTURBING: &[Fault] = &[
    Fault::LateCompletion,
    Fault::ShuffledCompletions,
    Fault::EnterInterrupted,
    Fault::EnterBusy,
    Fault::StreamEndsEarly,
    Fault::SpuriousEdge,
    Fault::SlowNetwork,
    Fault::SplitSegments,
    Fault::SlowAcks,
];

/// The kernel to run on.
#[derive(Clone, Copy, Debug)]
pub enum Host {
    /// The machine's kernel, on the loopback.
    Real,
    /// A simulated kernel with this seed and these faults.
    #[cfg(feature = "sim")]
    Simulated(u64, Faults),
}

/// Runs a script and returns its trace: a line for each statement.
///
/// # Errors
/// The defect of the script, or the broken part of the poller's law.
pub fn run(script: &Script, back_end: BackEnd, host: Host) -> Result<Vec<String>, String> {
    match host {
        Host::Real => Stage::open(back_end, Kind::Real)?.play(script),
        #[cfg(feature = "sim")]
        Host::Simulated(seed, faults) => {
            let limits = Limits {
                descriptors: 1000,
                ports: 28_000,
                // Roughly as on the loopback: less than both needs no reader.
                send_buffer: 256 << 10,
                receive_buffer: 64 << 10,
            };
            sim::install(Kernel::new(Random::new(seed), faults, limits));
            let _installed = Installed;
            let trace = Stage::open(back_end, Kind::Simulated)?.play(script)?;
            let left = sim::with(|kernel| kernel.descriptors());
            if left > 0 {
                return Err(format!("{left} descriptors are left open"));
            }
            Ok(trace)
        }
    }
}

/// Generates a script from bytes and runs it on both simulated back ends, with and without faults.
///
/// # Panics
/// When the law of the poller is broken, or two traces differ.
#[cfg(feature = "sim")]
pub fn run_bytes(bytes: &[u8]) {
    let text = generate(bytes);
    let script = Script::parse(&text).expect("a generated script is one");
    let mut all = Faults::NONE;
    DISTURBING.iter().for_each(|&fault| all.add(fault));
    let mut first: Option<Vec<String>> = None;
    for &back_end in BackEnd::ALL {
        for (seed, faults) in [(1, Faults::NONE), (2, all), (3, all)] {
            let trace = run(&script, back_end, Host::Simulated(seed, faults));
            let trace = trace.unwrap_or_else(|e| panic!("{back_end}, seed {seed}: {e}\n{text}"));
            let first = first.get_or_insert_with(|| trace.clone());
            assert_eq!(*first, trace, "{back_end}, seed {seed}:\n{text}");
        }
    }
}

/// Uninstalls the simulated kernel when dropped.
#[cfg(feature = "sim")]
struct Installed;

#[cfg(feature = "sim")]
impl Drop for Installed {
    fn drop(&mut self) {
        drop(sim::uninstall());
    }
}
