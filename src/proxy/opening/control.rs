//! The control of a session in its opening: the future of the steps cannot be asked.

use std::cell::Cell;
use std::rc::Rc;

use crate::proxy::end_reason::EndReason;
use crate::proxy::record::{Identity, Record};
use crate::runtime::{Control, Description, EndRequest, SessionId};

/// Shared by the opening and the session table of its lane.
pub(super) struct OpeningControl {
    identity: Identity,
    asked: Cell<Option<EndRequest>>,
}

impl OpeningControl {
    pub(super) fn new(record: &Record) -> Rc<Self> {
        Rc::new(Self {
            identity: record.identity(),
            asked: Cell::default(),
        })
    }

    /// The reason for the end, if the lane has requested an end.
    pub(super) fn asked(&self) -> Option<EndReason> {
        self.asked.get().map(EndReason::from)
    }
}

impl Control for Rc<OpeningControl> {
    fn id(&self) -> SessionId {
        self.identity.id()
    }

    fn describe(&self) -> Description {
        self.identity.describe("opening")
    }

    fn ask_to_end(&self, why: EndRequest) {
        self.asked.set(Some(why));
    }
}
