//! `TCP_INFO` of a connection (tcp(7), `struct tcp_info` in the kernel's `linux/tcp.h`), in part.
//!
//! Asked by the control plane, a session at a time. Only Linux answers.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "a system call"))]

use super::handle::SocketRef;

/// A connection in the kernel's view. A figure unknown to this kernel is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// The state of RFC 9293, such as "established" or "close_wait".
    pub(crate) state: &'static str,
    /// The smoothed round-trip time, the variation and the minimum, in microseconds.
    pub(crate) rtt_us: u32,
    pub(crate) rtt_variation_us: u32,
    pub(crate) rtt_min_us: u32,
    /// The retransmission timeout in microseconds.
    pub(crate) rto_us: u32,
    /// The congestion window in segments.
    pub(crate) congestion_window: u32,
    /// Bytes of a sent segment.
    pub(crate) segment_bytes: u32,
    /// Segments in flight, segments believed lost, and all retransmissions so far.
    pub(crate) unacknowledged_segments: u32,
    pub(crate) lost_segments: u32,
    pub(crate) retransmitted_segments: u32,
    /// Milliseconds since data was sent and received last.
    pub(crate) last_sent_ms: u32,
    pub(crate) last_received_ms: u32,
    /// Bytes in all.
    pub(crate) acknowledged_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Bytes in the send buffer before the first transmission.
    pub(crate) unsent_bytes: u32,
    /// The window of the peer, in bytes (Linux 5.4).
    pub(crate) peer_window_bytes: u32,
    /// The rate of the latest delivery, in bytes a second.
    pub(crate) delivery_bytes_per_second: u64,
    /// Microseconds with waiting data: in all, for the peer's window, and for the send buffer.
    pub(crate) busy_us: u64,
    pub(crate) window_limited_us: u64,
    pub(crate) buffer_limited_us: u64,
}

/// The facts about a connection; `None` where the system has none.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_info(socket: SocketRef<'_>) -> Option<TcpInfo> {
    use std::os::fd::AsRawFd;

    let mut info = [0_u8; INFO_BYTES];
    let mut bytes = libc::socklen_t::try_from(info.len()).expect("some 240 bytes");
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let into = info.as_mut_ptr().cast();
    // SAFETY: `into` is valid for writes of `bytes`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut bytes) };
    (rc == 0).then(|| parse(&info))
}

/// Unknown here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_info(_socket: SocketRef<'_>) -> Option<TcpInfo> {
    None
}

/// To the end of `tcpi_snd_wnd`. An older kernel writes less.
#[cfg(target_os = "linux")]
const INFO_BYTES: usize = 232;

/// By the states of the kernel's `net/tcp_states.h`.
#[cfg(target_os = "linux")]
const STATES: [&str; 13] = [
    "unknown",
    "established",
    "syn_sent",
    "syn_received",
    "fin_wait_1",
    "fin_wait_2",
    "time_wait",
    "closed",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "syn_received",
];

#[cfg(target_os = "linux")]
fn parse(info: &[u8; INFO_BYTES]) -> TcpInfo {
    let word = |at: usize| {
        let bytes = info[at..].first_chunk().expect("within the structure");
        u32::from_ne_bytes(*bytes)
    };
    let long = |at: usize| {
        let bytes = info[at..].first_chunk().expect("within the structure");
        u64::from_ne_bytes(*bytes)
    };
    TcpInfo {
        state: STATES
            .get(usize::from(info[0]))
            .copied()
            .unwrap_or(STATES[0]),
        rto_us: word(8),
        segment_bytes: word(16),
        unacknowledged_segments: word(24),
        lost_segments: word(32),
        last_sent_ms: word(44),
        last_received_ms: word(52),
        rtt_us: word(68),
        rtt_variation_us: word(72),
        congestion_window: word(80),
        retransmitted_segments: word(100),
        acknowledged_bytes: long(120),
        received_bytes: long(128),
        unsent_bytes: word(144),
        rtt_min_us: word(148),
        delivery_bytes_per_second: long(160),
        busy_us: long(168),
        window_limited_us: long(176),
        buffer_limited_us: long(184),
        peer_window_bytes: word(228),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::tcp_info;

    /// Counts of bytes prove the offsets of the fields.
    #[test]
    fn counts_and_states_are_those_of_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        client.write_all(&[7; 1000]).unwrap();
        served.read_exact(&mut [0; 1000]).unwrap();
        let of_server = tcp_info(served.as_fd()).unwrap();
        assert_eq!(of_server.state, "established");
        assert_eq!(of_server.received_bytes, 1000);
        assert_eq!(of_server.unsent_bytes, 0);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(served.read(&mut [0; 1]).unwrap(), 0);
        let of_client = tcp_info(client.as_fd()).unwrap();
        assert!(of_client.state.starts_with("fin_wait"), "{of_client:?}");
        // The handshake and the FIN count, too.
        assert!(of_client.acknowledged_bytes >= 1000, "{of_client:?}");
        assert!(
            of_client.rtt_us > 0 && of_client.segment_bytes > 0,
            "{of_client:?}"
        );
        assert_eq!(tcp_info(served.as_fd()).unwrap().state, "close_wait");
    }
}
