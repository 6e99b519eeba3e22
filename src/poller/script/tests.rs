//! The corpus and random scripts, on all back ends and kernels of this build.

use super::{Host, Script, generate, run};
use crate::poller::BackEnd;
use crate::poller::pattern::pattern;
use crate::poller::require_io_uring::require_io_uring;
#[cfg(feature = "sim")]
use crate::sys::sim::Faults;

/// Number of random scripts.
const RANDOM: u64 = 50;
/// Bytes from which a random script is generated.
const BYTES: usize = 120;

/// Scripts with a different trace on Windows, seen under Wine. The Windows sockets cause the
/// difference, not the completion port: a plain call behaves differently. All remaining scripts
/// agree.
const OTHER_ON_WINDOWS: &[(&str, &[&str])] = &[
    (
        "every call reports a reset, which discards unread bytes",
        &[
            "close_with_unread_input",
            "reset_after_fin",
            "reset_after_fin_with_data",
            "reset_of_ours",
            "reset_told_to_the_read",
            "reset_with_data",
            "send_to_closed_peer_raw",
        ],
    ),
    (
        "a write reports the reset, not a broken pipe",
        &[
            "reset_after_fin_told_to_the_write",
            "reset_told_to_the_write",
            "send_to_closed_peer",
        ],
    ),
    (
        "SO_ERROR does not report a reset, and keeps the error of a connect",
        &[
            "close_with_unread_input_after_fin",
            "data_after_fin_and_close",
            "refused",
            "reset_after_both_shut_down",
            "reset_after_own_fin",
            "reset_told_to_so_error",
        ],
    ),
    (
        "shutdown does not fail on a closed connection",
        &["both_fins"],
    ),
    (
        "accept skips a connection that was reset in the backlog",
        &["reset_before_accept", "reset_before_accept_raw"],
    ),
    (
        "no count of unacknowledged bytes, and no report of an end behind a full window",
        &[
            "close_behind_a_full_window",
            "fin_behind_a_full_window",
            "reset_behind_a_full_window",
            "unacknowledged_after_a_reset",
        ],
    ),
    ("no splice", &["splice", "splice_to_a_dead_peer"]),
];

/// All back ends and kernels to run a script on.
fn hosts() -> Vec<(BackEnd, Host)> {
    let mut hosts = Vec::new();
    for &back_end in BackEnd::ALL {
        if require_io_uring(back_end.refusal()) {
            hosts.push((back_end, Host::Real));
        }
        #[cfg(feature = "sim")]
        {
            let mut disturbed = Faults::NONE;
            super::DISTURBING.iter().for_each(|&f| disturbed.add(f));
            hosts.push((back_end, Host::Simulated(0, Faults::NONE)));
            hosts.extend((1..4).map(|seed| (back_end, Host::Simulated(seed, disturbed))));
        }
    }
    hosts
}

/// Runs a script of the corpus everywhere and compares each trace with the expected results.
fn agrees(name: &str, text: &str) {
    let script = Script::parse(text).unwrap();
    let mut others = OTHER_ON_WINDOWS.iter().flat_map(|(_, names)| *names);
    let is_other = others.any(|other| *other == name);
    for (back_end, host) in hosts() {
        if is_other && back_end == BackEnd::Iocp {
            continue;
        }
        let trace = run(&script, back_end, host);
        let trace = trace.unwrap_or_else(|e| panic!("{back_end}, {host:?}: {e}"));
        for (saw, expected) in trace.iter().zip(script.expected()) {
            if let Some(expected) = expected {
                assert_eq!(*saw, expected, "{back_end}, {host:?}");
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
                let text = include_str!(concat!("corpus/", stringify!($name), ".txt"));
                agrees(stringify!($name), text);
            }
        )+
    };
}

corpus! {
    accept_before_and_after
    accept_cancelled
    backlog_overflow
    both_fins
    calls_without_a_connection
    cancel_loses_nothing
    cancel_outcomes
    cancelled_send
    close_behind_a_full_window
    close_of_theirs_with_unread_input
    close_while_receiving
    close_while_sending
    close_with_all_read
    close_with_unread_input
    close_with_unread_input_after_fin
    connect_and_accept
    connect_cancelled
    connect_closed
    connect_itself
    data_after_fin_and_close
    descriptor_used_again
    empty_send
    fill_and_receive
    fin_again
    fin_before_accept
    fin_behind_a_full_window
    fin_of_ours_with_data
    fin_with_data
    half_close_by_peer
    half_close_by_us
    listener_close_resets_the_backlog
    listener_close_with_an_accept
    many_buffers
    read_ready_is_a_level
    ready_at_a_reset
    refused
    reset_after_both_shut_down
    reset_after_fin
    reset_after_fin_told_to_the_write
    reset_after_fin_with_data
    reset_after_own_fin
    reset_before_accept
    reset_before_accept_raw
    reset_behind_a_full_window
    reset_of_both_pending
    reset_of_ours
    reset_seen_by_our_send_first
    reset_told_to_so_error
    reset_told_to_the_read
    reset_told_to_the_write
    reset_while_receiving
    reset_while_sending
    reset_with_data
    send_to_closed_peer
    send_to_closed_peer_raw
    shutdown_twice
    splice
    splice_to_a_dead_peer
    unacknowledged_after_a_reset
    window_full_then_drained
    write_ready
}

#[test]
fn random_scripts_agree() {
    let hosts = hosts();
    for seed in 0..RANDOM {
        let text = generate(&pattern(seed, 0, BYTES));
        let script = Script::parse(&text).unwrap();
        let mut first: Option<Vec<String>> = None;
        for &(back_end, host) in &hosts {
            let here = format!("seed {seed}, {back_end}, {host:?}");
            let trace =
                run(&script, back_end, host).unwrap_or_else(|e| panic!("{here}: {e}\n{text}"));
            let first = first.get_or_insert_with(|| trace.clone());
            for (one, other) in first.iter().zip(&trace) {
                assert_eq!(one, other, "{here}, of\n{text}");
            }
        }
    }
}
