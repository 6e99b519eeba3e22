//! Defects that the simulator's tests switch on, to check that a campaign finds each defect.
//!
//! In the product, `seeded` is `false` at compile time, and the compiler removes every defect.

/// A defect that a simulated build can switch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The pieces of a send are sent in reverse order.
    SendReordered,
    /// A chain's buffers return to the pool while the kernel reads the buffers.
    BufferFreedEarly,
    /// The end of a stream wakes no task.
    WakeLost,
    /// A FIN is reported before earlier bytes.
    FinBeforeData,
    /// The reset of a source becomes a FIN of the sink.
    ResetTurnedIntoFin,
    /// A dropped socket keeps its slot and its descriptor.
    SlotLeaked,
    /// A session's permit is not returned.
    PermitLeaked,
    /// A session that tries another endpoint counts for both.
    LeaseLeaked,
    /// A session's permit is returned before its descriptors are closed.
    PermitEarly,
    /// A permit is returned without waking a waiting accept loop.
    WaiterForgotten,
    /// A timer is lost when moved to a lower level of the wheel.
    TimerLost,
    /// A second send starts while the first is in flight.
    TwoSendsInFlight,
    /// A receive stream is not restarted after the kernel ended the stream.
    RearmForgotten,
    /// Slots are compared by index alone, without generation.
    GenerationIgnored,
    /// Bytes left in the pipe of a splice are lost.
    SpliceResidueForgotten,
    /// The limit is looked at, and counted later.
    LimitRaced,
    /// A socket is closed twice.
    ClosedTwice,
    /// A full queue does not stop the stream.
    BackPressureIgnored,
    /// Bytes received before a reset are discarded.
    BytesBeforeResetLost,
    /// A record does not count bytes of an immediate send.
    RecordInexact,
    /// Deadlines expire before arrived bytes are delivered.
    TimeBeforeInput,
    /// A connection that was reset early counts as refused.
    ResetTakenForRefusal,
    /// The kernel closes the sockets of a killed process by FIN.
    KilledByFin,
    /// A stopped accept loop closes its listener before the backlog is served.
    BacklogDropped,
    /// A raised limit wakes no task that waits for a permit.
    RaiseForgotten,
    /// A handed-over connection gets the oldest context of its listener's index.
    HandedToOldest,
    /// A listening point that stays keeps the context of the configuration before.
    PointNotSwitched,
    /// An accept loop that waits for a client keeps its context.
    ContextKept,
    /// A session does not look again at the state of the endpoint of its turn.
    StateIgnored,
    /// A choice does not look at the verdict of the health checks.
    VerdictIgnored,
    /// Two sessions take the last place of an endpoint.
    PlaceRaced,
    /// A session's place at an endpoint is returned before the connection is closed.
    PlaceEarly,
    /// Room at an endpoint calls no session of the queue.
    QueueForgotten,
    /// The latest session of the queue is called first.
    QueueReversed,
    /// A new session takes a place before the sessions of the queue.
    QueueJumped,
}

#[cfg(not(feature = "sim"))]
pub(crate) const fn seeded(_: Bug) -> bool {
    false
}

#[cfg(feature = "sim")]
thread_local! {
    static SEEDED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether the defect is switched on, on this thread.
#[cfg(feature = "sim")]
pub(crate) fn seeded(bug: Bug) -> bool {
    SEEDED.get() == Some(bug)
}

#[cfg(all(feature = "sim", test, not(loom)))]
impl Bug {
    pub(crate) const ALL: &[Self] = &[
        Self::SendReordered,
        Self::BufferFreedEarly,
        Self::WakeLost,
        Self::FinBeforeData,
        Self::ResetTurnedIntoFin,
        Self::SlotLeaked,
        Self::PermitLeaked,
        Self::LeaseLeaked,
        Self::PermitEarly,
        Self::WaiterForgotten,
        Self::TimerLost,
        Self::TwoSendsInFlight,
        Self::RearmForgotten,
        Self::GenerationIgnored,
        Self::SpliceResidueForgotten,
        Self::LimitRaced,
        Self::ClosedTwice,
        Self::BackPressureIgnored,
        Self::BytesBeforeResetLost,
        Self::RecordInexact,
        Self::TimeBeforeInput,
        Self::ResetTakenForRefusal,
        Self::KilledByFin,
        Self::BacklogDropped,
        Self::RaiseForgotten,
        Self::HandedToOldest,
        Self::PointNotSwitched,
        Self::ContextKept,
        Self::StateIgnored,
        Self::VerdictIgnored,
        Self::PlaceRaced,
        Self::PlaceEarly,
        Self::QueueForgotten,
        Self::QueueReversed,
        Self::QueueJumped,
    ];

    /// Switches a defect on for this thread, or all off.
    pub(crate) fn seed(bug: Option<Self>) {
        SEEDED.set(bug);
    }
}
