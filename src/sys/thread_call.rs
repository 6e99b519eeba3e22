//! In which system call another thread of this process waits: an answer for the log. Linux only.

use std::fs;

use libc::c_long;

/// The calls that may wait long, for their names; others have their number.
const NAMES: &[(c_long, &str)] = &[
    (libc::SYS_close, "close"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_epoll_pwait2, "epoll_pwait2"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_io_uring_enter, "io_uring_enter"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_mprotect, "mprotect"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_read, "read"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_setsockopt, "setsockopt"),
    (libc::SYS_shutdown, "shutdown"),
    (libc::SYS_splice, "splice"),
    (libc::SYS_write, "write"),
];

/// The system call in which a thread of this process waits (proc_pid_syscall(5)); `None` for a
/// thread that runs, and for a kernel that does not say.
pub(crate) fn thread_call(thread: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    name(&text)
}

fn name(text: &str) -> Option<String> {
    // "running", "-1 SP PC" outside a call, or the number with the arguments.
    let number: c_long = text.split_whitespace().next()?.parse().ok()?;
    let known = NAMES.iter().find(|(of, _)| *of == number);
    match known {
        _ if number < 0 => None,
        Some((_, name)) => Some((*name).to_owned()),
        None => Some(format!("system call {number}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::{name, thread_call};

    fn thread_id() -> u32 {
        let own = fs::read_link("/proc/thread-self").unwrap();
        own.file_name().unwrap().to_str().unwrap().parse().unwrap()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    fn a_thread_that_waits_is_in_a_call() {
        if !Path::new("/proc/self/syscall").exists() {
            return;
        }
        let (to_test, number) = channel();
        let (release, released) = channel::<()>();
        let waits = thread::spawn(move || {
            to_test.send(thread_id()).unwrap();
            released.recv()
        });
        let number = number.recv().unwrap();
        while thread_call(number).as_deref() != Some("futex") {
            assert!(!waits.is_finished(), "it waits until the test is done");
            thread::yield_now();
        }
        // A thread that asks about itself reads.
        assert_eq!(thread_call(thread_id()).as_deref(), Some("read"));
        release.send(()).unwrap();
        waits.join().unwrap().unwrap();
    }

    #[test]
    fn a_call_has_a_name_or_a_number() {
        let futex = format!("{} 0x7f 0x189 0x0 0x7ffd 0x55\n", libc::SYS_futex);
        assert_eq!(name(&futex).as_deref(), Some("futex"));
        assert_eq!(name("4711 0x0").as_deref(), Some("system call 4711"));
        for no_call in ["running\n", "-1 0x7ffd 0x55\n", ""] {
            assert_eq!(name(no_call), None, "{no_call:?}");
        }
    }
}
