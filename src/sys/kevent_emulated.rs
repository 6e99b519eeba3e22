//! `struct kevent` and the numbers of kevent(2) for the emulation of kqueue on Linux
//! (`--cfg kqueue_emulated`), copied from FreeBSD.

/// FreeBSD's `struct kevent` without the fields that corelane does not use.
#[expect(non_camel_case_types, reason = "the name that libc gives it")]
#[derive(Clone, Copy)]
pub(super) struct kevent {
    pub(super) ident: usize,
    pub(super) filter: i16,
    pub(super) flags: u16,
    pub(super) fflags: u32,
    pub(super) data: i64,
    pub(super) udata: *mut libc::c_void,
}

pub(super) const EVFILT_READ: i16 = -1;
pub(super) const EVFILT_WRITE: i16 = -2;
pub(super) const EVFILT_USER: i16 = -11;
pub(super) const EV_ADD: u16 = 0x0001;
pub(super) const EV_CLEAR: u16 = 0x0020;
pub(super) const EV_ERROR: u16 = 0x4000;
pub(super) const EV_EOF: u16 = 0x8000;
pub(super) const NOTE_TRIGGER: u32 = 0x0100_0000;
