//! Where a script runs: the kernel that is there, or a simulated one, which a seed may disturb.

use std::time::Duration;

#[cfg(feature = "sim")]
use super::generate::generate;
use super::parse::Script;
use super::run::Stage;
use crate::poller::{BackEnd, Wait};
#[cfg(feature = "sim")]
use crate::sys::sim::{self, Fault, Faults, Kernel, Limits, Random};
use crate::sys::{self, Time};

/// Long enough for the slowest machine, short enough to see a hang.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between looks at what no completion announces, after so many without a pause.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 20;
/// Turns of the poller after which nothing more comes without the kernel: more than any poller has
/// steps of its own between an event and its answer, held-back completions included.
#[cfg(feature = "sim")]
const IDLE_TURNS: u32 = 32;

/// Faults that take liberties which TCP and Linux have, so that no trace may show them.
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

/// Which kernel.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// The machine's, on the loopback.
    Real,
    /// A simulated one, by a seed.
    #[cfg(feature = "sim")]
    Simulated(u64, Faults),
}

/// Runs a script and gives its trace: a line for each statement.
///
/// # Errors
/// What is wrong with the script, or which part of the poller's law was broken.
pub fn run(script: &Script, back_end: BackEnd, place: Place) -> Result<Vec<String>, String> {
    match place {
        Place::Real => Stage::open(back_end, Kind::Real)?.play(script),
        #[cfg(feature = "sim")]
        Place::Simulated(seed, faults) => {
            let limits = Limits {
                descriptors: 1000,
                ports: 28_000,
                // As on the loopback, roughly: what is smaller than both needs no reader.
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

/// Turns bytes into a script and runs it on both simulated back ends, undisturbed and disturbed.
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

/// Takes the kernel out again, whatever happens.
#[cfg(feature = "sim")]
struct Installed;

#[cfg(feature = "sim")]
impl Drop for Installed {
    fn drop(&mut self) {
        drop(sim::uninstall());
    }
}

/// Which kernel, without its particulars.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Real,
    #[cfg(feature = "sim")]
    Simulated,
}

/// How long somebody goes on waiting.
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

    /// Lets something happen; says how the poller is to wait for it, or that nothing will come.
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

    /// The next event of the simulated kernel; time passes when the poller has nothing to do.
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
