//! Parked sockets: in a table of the ring's own, and not among the process's descriptors.
//!
//! The limit on descriptors bounds a process and the table of each of its rings separately, so that
//! lanes can hold as many connections each. A socket is accepted or connected as an ordinary one,
//! put into the table when it is first received from, and its descriptor closed; its ops name the
//! place from then on.
//!
//! Places are emptied by ops, so that what was queued before and names the place comes first. Such
//! an op is carried out when the kernel takes it; only then the place is used again. An op in
//! flight keeps its file, so a place is not emptied to end anything.
#![expect(unsafe_code, reason = "submission of ops that name a file")]

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};

use io_uring::opcode;
use io_uring::types::{Fd, Fixed};

use super::Ring;
use super::descriptor::Descriptors;
use super::op::Socket;
use super::uring::Uring;
use super::uring_ring::silent;
use super::uring_socket::{File, State};
use crate::sys::{self, OsSocket};

/// A close that sends a reset; the kernel reads it when it takes the op.
static AT_ONCE: libc::linger = libc::linger {
    l_onoff: 1,
    l_linger: 0,
};

/// The places of the ring's table that are free.
#[derive(Debug)]
pub(super) struct Parking {
    /// Never used.
    fresh: Range<u32>,
    /// Used, and free again.
    free: Vec<u32>,
    /// Being emptied by an op that the kernel may not have taken yet.
    leaving: Vec<u32>,
}

impl Parking {
    /// Registers a table of so many places with the ring; none is no table.
    pub(super) fn open(ring: &Ring, slots: u32) -> io::Result<Self> {
        if slots > 0 {
            ring.register_table(slots)?;
        }
        Ok(Self {
            fresh: 0..slots,
            free: Vec::new(),
            leaving: Vec::new(),
        })
    }

    pub(super) fn has_room(&self) -> bool {
        !(self.free.is_empty() && self.fresh.is_empty())
    }

    /// Parks a socket if it can be; it has its descriptor if not.
    pub(super) fn park(&mut self, ring: &mut Ring, state: &mut State) {
        let File::Open(fd) = &state.file else {
            return;
        };
        let Some(slot) = self.free.pop().or_else(|| self.fresh.next()) else {
            return;
        };
        state.may_park = false;
        match ring.put(slot, fd.as_fd()) {
            Ok(()) => {
                let parked = mem::replace(&mut state.file, File::Parked(slot));
                if let (File::Open(fd), 1..) = (parked, state.inflight) {
                    // What is queued may name the descriptor: it is closed behind that.
                    let entry = opcode::Close::new(Fd(fd.into_raw_fd())).build();
                    // SAFETY: the entry points to nothing.
                    unsafe { ring.push(&silent(entry)) };
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a socket cannot be parked");
                self.free.push(slot);
            }
        }
    }

    /// A descriptor for a parked socket, beside its place.
    pub(super) fn lend(ring: &mut Ring, slot: u32) -> io::Result<OsSocket> {
        ring.install(slot)
    }

    /// Sends a parked socket's FIN.
    pub(super) fn shutdown(ring: &mut Ring, slot: u32) -> io::Result<()> {
        match Self::lend(ring, slot) {
            Ok(fd) => sys::shutdown_write(fd.as_fd()),
            Err(error) if sys::is_out_of_resources(&error) => {
                // The kernel has a thread do this, which takes longer than a descriptor. That there
                // is none for a moment must not make another end of a connection's.
                let entry = opcode::Shutdown::new(Fixed(slot), libc::SHUT_WR).build();
                // SAFETY: the entry points to nothing.
                unsafe { ring.ask(entry) }.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// Empties a place, which closes a socket that has no op in flight and no descriptor.
    pub(super) fn vacate(&mut self, ring: &mut Ring, slot: u32) {
        let entry = opcode::Close::new(Fixed(slot)).build();
        // SAFETY: the entry points to nothing.
        unsafe { ring.push(&silent(entry)) };
        self.leaving.push(slot);
    }

    /// Closes a socket of which no op is in flight, without a descriptor for it.
    pub(super) fn close(&mut self, ring: &mut Ring, slot: u32, reset: bool) {
        if reset {
            let bytes = u32::try_from(size_of::<libc::linger>()).expect("two numbers");
            let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
            let entry = opcode::SetSockOpt::new(
                Fixed(slot),
                level.cast_unsigned(),
                name.cast_unsigned(),
                (&raw const AT_ONCE).cast(),
                bytes,
            );
            // A socket that cannot be reset any more is dead already; closing it is all there is.
            // SAFETY: the entry points to a constant.
            unsafe { ring.push(&silent(entry.build())) };
        }
        self.vacate(ring, slot);
    }

    /// Says that the kernel was entered: places that it has emptied are free.
    pub(super) fn settle(&mut self, ring: &mut Ring) {
        if !self.leaving.is_empty() && !ring.has_submissions() {
            self.free.append(&mut self.leaving);
        }
    }
}

impl Descriptors for Uring {
    fn descriptor(&self, socket: Socket) -> BorrowedFd<'_> {
        let state = self.table.peek(socket);
        let open = state.filter(|state| state.closing.is_none());
        sys::borrow(open.expect("the socket is open").file.descriptor())
    }

    fn lend(&mut self, socket: Socket) -> io::Result<Option<OsSocket>> {
        match self.table.at(socket).file {
            File::Open(_) => Ok(None),
            File::Parked(slot) => Parking::lend(&mut self.ring, slot).map(Some),
        }
    }

    fn keep_descriptor(&mut self, socket: Socket) -> io::Result<()> {
        let state = self.table.at(socket);
        state.may_park = false;
        if let File::Parked(slot) = state.file {
            state.file = File::Open(Parking::lend(&mut self.ring, slot)?);
            self.parking.vacate(&mut self.ring, slot);
        }
        Ok(())
    }

    fn shutdown(&mut self, socket: Socket) -> io::Result<()> {
        match self.table.at(socket).file {
            File::Open(ref fd) => sys::shutdown_write(fd.as_fd()),
            File::Parked(slot) => Parking::shutdown(&mut self.ring, slot),
        }
    }
}
