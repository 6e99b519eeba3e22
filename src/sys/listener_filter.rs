//! Which listener of a port gets a new connection: filters, and the end of a listener.
#![expect(unsafe_code, reason = "a system call")]

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::{SockFilter, SockRef};

use super::system_call::checked;

/// Makes the kernel drop every SYN to a listener (`SO_ATTACH_FILTER`, packet(7)). The kernel
/// neither counts nor answers the segment; the client repeats the SYN after a second.
pub(crate) fn turn_away(listener: BorrowedFd<'_>) -> io::Result<()> {
    const FLAGS_AT: u32 = 13; // RFC 9293 §3.1; a filter of a TCP socket sees the segment
    const SYN: u32 = 0x02;
    let filter = [
        SockFilter::new(
            code(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS),
            0,
            0,
            FLAGS_AT,
        ),
        SockFilter::new(
            code(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K),
            0,
            1,
            SYN,
        ),
        SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
        SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
    ];
    SockRef::from(&listener).attach_filter(&filter)
}

/// Ends the listening at once, while the descriptor stays open (`shutdown(2)`, which resets what
/// waits in the backlog). The address is free for another listener.
pub(crate) fn stop_listening(listener: BorrowedFd<'_>) -> io::Result<()> {
    SockRef::from(&listener).shutdown(Shutdown::Read)
}

/// Makes the kernel choose among the listeners of a port at random (`SO_ATTACH_REUSEPORT_CBPF`,
/// socket(7)) from the listener `first` on, `count` of them, in the order in which they began to
/// listen. Where fewer listen, the kernel spreads over all. At a close the last listener takes the
/// place of the closed listener.
pub(crate) fn prefer_listeners_from(
    listener: BorrowedFd<'_>,
    first: usize,
    count: usize,
) -> io::Result<()> {
    const RANDOM: i32 = libc::SKF_AD_OFF + libc::SKF_AD_RANDOM;
    let number = |of: usize| u32::try_from(of).map_err(|_| io::ErrorKind::InvalidInput);
    let (first, count) = (number(first)?, number(count)?);
    let step = |bits: u32, k: u32| libc::sock_filter {
        code: code(bits),
        jt: 0,
        jf: 0,
        k,
    };
    let mut steps = [
        step(
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            RANDOM.cast_unsigned(),
        ),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count),
        step(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K, first),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: steps.as_mut_ptr(),
    };
    let bytes = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).expect("16 bytes");
    let (socket, name) = (listener.as_raw_fd(), libc::SO_ATTACH_REUSEPORT_CBPF);
    let from = (&raw const program).cast();
    // SAFETY: the pointers are valid during the call, which copies the program.
    checked(unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, name, from, bytes) }).map(drop)
}

fn code(bits: u32) -> u16 {
    u16::try_from(bits).expect("16 bits by bpf's definition")
}
