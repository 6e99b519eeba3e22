//! The kernel that a script runs on: the machine's, or a simulated kernel that a seed disturbs.

use std::time::Duration;

#[cfg(feature = "sim")]
use super::generate::generate;
use super::parse::Script;
use super::run::Stage;
use crate::poller::{BackEnd, Wait};
#[cfg(feature = "sim")]
use crate::sys::sim::{self, Fault, Faults, Kernel, Limits, Random};
use crate::sys::{self, Time};

/// Long enough for the slowest machine, short enough to notice a hang.
const PATIENCE: Duration = Duration::from_secs(15);
/// Interval between checks of a condition without a completion, after `LOOKS` immediate checks.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 20;
/// Turns of the poller after which nothing more happens without the kernel. No poller needs as many
/// turns between an event and its answer, late completions included.
#[cfg(feature = "sim")]
const IDLE_TURNS: u32 = 32;

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
pub enum Place {
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
pub fn run(script: &Script, back_end: BackEnd, place: Place) -> Result<Vec<String>, String> {
    match place {
        Place::Real => Stage::open(back_end, Kind::Real)?.play(script),
        #[cfg(feature = "sim")]
        Place::Simulated(seed, faults) => {
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
            let trace = run(&script, back_end, Place::Simulated(seed, faults));
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

/// The kernel, without its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Real,
    #[cfg(feature = "sim")]
    Simulated,
}

/// A bounded wait for a condition.
#[derive(Debug)]
pub(super) struct Patience {
    kind: Kind,
    deadline: Time,
    looks: u32,
}

impl Patience {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            deadline: sys::now() + PATIENCE,
            looks: 0,
        }
    }

    /// Lets the kernel progress; returns the poller's next wait, or `None` at the end of patience.
    pub(super) fn pass(&mut self) -> Option<Wait> {
        self.looks += 1;
        match self.kind {
            Kind::Real if self.looks <= LOOKS => Some(Wait::NOT),
            Kind::Real => (sys::now() < self.deadline).then_some(Wait {
                spin: Duration::ZERO,
                timeout: Some(LOOK),
            }),
            #[cfg(feature = "sim")]
            Kind::Simulated => self.let_happen().then_some(Wait::NOT),
        }
    }

    /// Runs the simulated kernel's next event; advances the time when the poller has nothing to do.
    #[cfg(feature = "sim")]
    fn let_happen(&mut self) -> bool {
        sim::with(|kernel| {
            if kernel.step() {
                self.looks = 0;
                return true;
            }
            if self.looks < IDLE_TURNS {
                return true;
            }
            let Some(next) = kernel.next_at() else {
                return false;
            };
            kernel.now = kernel.now.max(next);
            self.looks = 0;
            kernel.step()
        })
    }
}
