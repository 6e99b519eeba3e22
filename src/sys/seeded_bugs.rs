//! Defects that the simulator's tests switch on one by one, to see that each is found.
//!
//! In the product `seeded` is `false` at compile time, and every defect is gone with it.

/// A defect that a simulated build can switch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The parts of a send go out in another order.
    SendReordered,
    /// A chain's buffers go back to the pool while the kernel reads them.
    BufferFreedEarly,
    /// The end of a stream wakes nobody.
    WakeLost,
    /// A FIN is told before the bytes that came in front of it.
    FinBeforeData,
    /// A source that was reset gives its sink a FIN.
    ResetTurnedIntoFin,
    /// A socket that is dropped keeps its slot, and its descriptor with it.
    SlotLeaked,
    /// A session's permit is not returned.
    PermitLeaked,
    /// A session that tries another endpoint counts for both.
    LeaseLeaked,
    /// A session's permit is returned before its descriptors are closed.
    PermitEarly,
    /// A permit is returned without waking a waiting accept loop.
    WaiterForgotten,
    /// A timer that moves to a lower level of the wheel is dropped.
    TimerLost,
    /// A second send starts while the first is in flight.
    TwoSendsInFlight,
    /// A receive stream that the kernel ends is not started again.
    RearmForgotten,
    /// Slots are told apart by their number alone.
    GenerationIgnored,
    /// What is left over of a splice is forgotten.
    SpliceResidueForgotten,
    /// The limit is looked at, and counted later.
    LimitRaced,
    /// A socket is closed twice.
    ClosedTwice,
    /// A full queue does not stop the stream.
    BackPressureIgnored,
    /// What was received before a reset is thrown away.
    BytesBeforeResetLost,
    /// A record does not count what was sent at once.
    RecordInexact,
    /// Deadlines are judged before what has arrived is delivered.
    TimeBeforeInput,
    /// A connection that was reset before anyone looked is taken for one that was refused.
    ResetTakenForRefusal,
    /// The kernel closes the sockets of a killed process by FIN.
    KilledByFin,
}

#[cfg(not(feature = "sim"))]
pub(crate) const fn seeded(_: Bug) -> bool {
    false
}

#[cfg(feature = "sim")]
thread_local! {
    static SEEDED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether that defect is switched on, on this thread.
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
    ];

    /// Switches a defect on for this thread, or all off.
    pub(crate) fn seed(bug: Option<Self>) {
        SEEDED.set(bug);
    }
}
