//! The conformance suite, run against every back end.
//!
//! A case is a function of a [`World`]: it drives real sockets on the loopback and asserts the
//! completions. Each case runs with ordinary options and again starved (queues of 4 and 16, 2
//! buffers). After each case the world checks the law: one answer per op, every buffer returned.

mod accepting;
mod cancelling;
mod closing;
mod connecting;
mod data;
mod ends;
mod many;
mod model;
mod peer;
mod waking;
mod world;

use self::world::{Plenty, World};
use super::BackEnd;
use super::require_io_uring::require_io_uring;

/// Runs a case against a back end, if this machine has the back end.
fn run(back_end: BackEnd, case: fn(&mut World)) {
    if require_io_uring(back_end.refusal()) {
        for plenty in [Plenty::Ordinary, Plenty::Starved] {
            let mut world = World::open(back_end, plenty);
            case(&mut world);
            world.finish();
        }
    }
}

/// Makes a test of each case for each back end.
macro_rules! suite {
    ($($(#[$cfg:meta])? $back_end:ident as $name:ident,)+ : $cases:tt) => {
        $($(#[$cfg])? suite!(@one $back_end $name $cases);)+

        #[test]
        fn covers_every_back_end() {
            assert_eq!(BackEnd::ALL, [$($(#[$cfg])? BackEnd::$back_end),+]);
        }
    };
    (@one $back_end:ident $name:ident { $($file:ident: $($case:ident)+;)+ }) => {
        mod $name {
            $($(
                #[test]
                fn $case() {
                    super::run(super::BackEnd::$back_end, super::$file::$case);
                }
            )+)+
        }
    };
}

suite! {
    #[cfg(target_os = "linux")] IoUring as io_uring,
    #[cfg(target_os = "linux")] Epoll as epoll,
    #[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))] Kqueue as kqueue,
    #[cfg(windows)] Iocp as iocp,
: {
    data:
        echo
        short_send
        gathered_send
        lazy_send
        lazy_send_that_does_not_fit
        lazy_send_to_a_dead_peer
        lazy_send_and_close
        empty_send
        half_close
        urgent_in_the_middle
        backpressure
        idle_holds_no_buffer
        recv_before_and_after_data
        fast_sender_starves_nobody;
    ends:
        eof
        eof_with_data
        eof_again
        reset_without_data
        reset_with_data
        reset_while_sending
        reset_seen_by_the_send_first
        reset_with_both_in_flight
        send_to_a_dead_peer
        read_ready_at_the_end;
    connecting:
        connects
        connects_and_sends_at_once
        refused
        black_holed
        black_holed_and_closed
        closed_at_once;
    accepting:
        accepts
        accept_storm
        accept_storm_in_the_backlog
        aborted_in_the_backlog
        accept_cancelled
        listener_closes_with_an_accept;
    cancelling:
        nothing_in_flight
        each_kind_while_waiting
        each_kind_when_done
        each_kind_at_once
        twice
        part_of_a_send
        then_again
        then_close;
    closing:
        idle
        with_every_op
        with_a_send
        with_answers_unread
        with_cancelled_send
        cancels_nothing_of_others
        slot_used_again
        descriptor_open_elsewhere
        poller_dropped_with_everything
        poller_dropped_with_many
        opened_again_and_again;
    waking:
        notified_before_sleep
        notified_asleep
        notified_while_spinning
        notified_ten_thousand_times
        notified_in_a_look
        never_early
        longest_timeout
        ready_is_a_level;
    many:
        thousand_ops
        hundred_connections
        rests
        all_buffers_held
        buffers_go_round
        starved_while_idle
        starved_and_cancelled;
    model:
        random;
}}
