//! A simulated io_uring as data: completions, ops in flight and submissions. `enter` runs the ops.

use std::collections::{HashMap, VecDeque};

use super::descriptor::File;

/// A completion: user data, result, flags.
pub(crate) type Completion = (u64, i32, u32);

/// Memory of the process under test, for the kernel to read or write.
pub(crate) trait Memory {
    /// Copies the bytes of a send, at most `max`.
    fn read(&self, max: usize) -> Vec<u8>;
    /// How many bytes there are.
    fn len(&self) -> usize;
    /// Writes a counter's value.
    fn write(&self, value: u64);
    /// How many pieces.
    fn pieces(&self) -> usize;
}

/// The buffers that the process has lent for received bytes.
pub(crate) trait Buffers {
    /// Fills the next buffer from the front of `input`; returns the buffer's id and the number of
    /// bytes.
    fn fill(&mut self, input: &mut VecDeque<u8>, max: usize) -> Option<(u16, usize)>;
}

/// The operation of a submission.
pub(crate) enum Ask {
    Receive,
    Send(Box<dyn Memory>),
    Poll { read: bool, write: bool },
    Connect(std::net::SocketAddr),
    ReadCounter(Box<dyn Memory>),
    Cancel(u64),
    CancelAllOf(i32),
    CancelEverything,
    Close,
}

/// A submission.
pub(crate) struct Entry {
    pub(crate) ask: Ask,
    pub(crate) descriptor: i32,
    pub(crate) data: u64,
    pub(crate) silent: bool,
    /// A send without waiting (`MSG_DONTWAIT`). A partial send is a failure (`MSG_WAITALL`).
    pub(crate) at_once: bool,
}

pub(super) struct Op {
    pub(super) ask: Ask,
    pub(super) data: u64,
    /// The op's socket or counter. The op holds a reference to the socket.
    pub(super) file: File,
    pub(super) is_roused: bool,
    pub(super) held_back: u8,
    /// A connect has been started.
    pub(super) is_started: bool,
}

/// A ring.
pub(crate) struct Ring {
    pub(super) completions_max: usize,
    pub(super) completions: VecDeque<Completion>,
    pub(super) overflow: VecDeque<Completion>,
    pub(super) ops: Vec<Option<Op>>,
    free: Vec<u64>,
    /// Tokens by user data.
    pub(super) names: HashMap<u64, u64>,
    pub(super) roused: VecDeque<u64>,
    pub(super) buffers: Option<Box<dyn Buffers>>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("ops", &self.names.len())
            .finish_non_exhaustive()
    }
}

impl Ring {
    pub(super) fn new(completions_max: usize) -> Self {
        Self {
            completions_max,
            completions: VecDeque::new(),
            overflow: VecDeque::new(),
            ops: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            roused: VecDeque::new(),
            buffers: None,
        }
    }

    pub(super) fn rouse(&mut self, token: u64) {
        if let Some(op) = self.op(token)
            && !std::mem::replace(&mut op.is_roused, true)
        {
            self.roused.push_back(token);
        }
    }

    pub(super) fn has_something(&self) -> bool {
        !self.completions.is_empty() || self.has_deferred()
    }

    pub(super) fn has_deferred(&self) -> bool {
        !self.overflow.is_empty() || !self.roused.is_empty()
    }

    /// Whether no op could still access memory.
    pub(super) fn is_quiet(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn op(&mut self, token: u64) -> Option<&mut Op> {
        self.ops.get_mut(index_of(token))?.as_mut()
    }

    pub(super) fn take(&mut self, token: u64) -> Option<Op> {
        let op = self.ops.get_mut(index_of(token))?.take()?;
        self.names.remove(&op.data);
        self.free.push(token);
        Some(op)
    }

    pub(super) fn put(&mut self, op: Op) -> u64 {
        let token = self.free.pop().unwrap_or_else(|| {
            self.ops.push(None);
            self.ops.len() as u64 - 1
        });
        let other = self.names.insert(op.data, token);
        assert!(
            other.is_none(),
            "invariant I4: two ops of one name are in flight"
        );
        self.ops[index_of(token)] = Some(op);
        token
    }

    pub(super) fn is_full(&self) -> bool {
        self.completions.len() >= self.completions_max || !self.overflow.is_empty()
    }
}

/// The index of an op in [`Ring::ops`].
pub(super) fn index_of(token: u64) -> usize {
    usize::try_from(token).expect("few ops")
}
