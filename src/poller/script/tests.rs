//! The corpus and random scripts, on every back end of every kernel that this build has.

use super::{Place, Script, generate, run};
use crate::poller::BackEnd;
use crate::poller::conformance::{Random, is_available};
#[cfg(feature = "sim")]
use crate::sys::sim::Faults;

/// Random scripts that are run.
const RANDOM: u64 = 150;
/// Bytes that such a script is made of.
const BYTES: usize = 120;

/// Everywhere that a script is run.
fn places() -> Vec<(BackEnd, Place)> {
    let mut places = Vec::new();
    for &back_end in BackEnd::ALL {
        if is_available(back_end) {
            places.push((back_end, Place::Real));
        }
        #[cfg(feature = "sim")]
        {
            let mut disturbed = Faults::NONE;
            super::DISTURBING.iter().for_each(|&f| disturbed.add(f));
            places.push((back_end, Place::Simulated(0, Faults::NONE)));
            places.extend((1..4).map(|seed| (back_end, Place::Simulated(seed, disturbed))));
        }
    }
    places
}

/// Runs a script of the corpus everywhere: all see what it says.
fn agrees(text: &str) {
    let script = Script::parse(text).unwrap();
    for (back_end, place) in places() {
        let trace = match run(&script, back_end, place) {
            Ok(trace) => trace,
            Err(e) => panic!("{back_end}, {place:?}: {e}"),
        };
        if std::env::var_os("SHOW").is_some() {
            println!("{back_end}, {place:?}\n{}", trace.join("\n"));
            continue;
        }
        for (saw, expected) in trace.iter().zip(script.expected()) {
            if let Some(expected) = expected {
                assert_eq!(*saw, expected, "{back_end}, {place:?}");
            }
        }
    }
}

/// Makes a test of each script.
macro_rules! corpus {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                agrees(include_str!(concat!("corpus/", stringify!($name), ".txt")));
            }
        )+
    };
}

corpus! {
    half_close_by_peer
}

#[test]
fn random_scripts_agree() {
    for seed in 0..RANDOM {
        let mut random = Random(seed);
        let bytes: Vec<u8> = (0..BYTES)
            .map(|_| u8::try_from(random.below(256)).unwrap())
            .collect();
        let text = generate(&bytes);
        let script = Script::parse(&text).unwrap();
        let mut first: Option<Vec<String>> = None;
        for (back_end, place) in places() {
            let trace = match run(&script, back_end, place) {
                Ok(trace) => trace,
                Err(e) => panic!("seed {seed}, {back_end}, {place:?}: {e}\n{text}"),
            };
            let first = first.get_or_insert_with(|| trace.clone());
            assert_eq!(*first, trace, "seed {seed}, {back_end}, {place:?}");
        }
    }
}
