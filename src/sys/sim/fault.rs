//! The faults of the simulated world, and the marks that count rare events.

/// Makes an enum whose values have numbers and names.
macro_rules! numbered {
    ($(#[$about:meta])* $name:ident { $($variant:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is its own name")]
        pub enum $name { $($variant,)+ }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
        }
    };
}

numbered! {
    /// A kind of misfortune. Each seed switches on a random subset.
    Fault {
        // The calls.
        ShortSend,
        ShortReceive,
        ShortSplice,
        NoSplice,
        FewDescriptors,
        FewPorts,
        TinySendBuffer,
        TinyReceiveBuffer,
        WatchRefused,
        // The pollers.
        StreamEndsEarly,
        LateCompletion,
        ShuffledCompletions,
        CancelLosesRace,
        SmallQueues,
        EnterInterrupted,
        EnterBusy,
        FewBuffers,
        FewReceiveBuffers,
        SpuriousEdge,
        SpuriousWake,
        LateTurn,
        Frozen,
        // The network.
        SlowNetwork,
        SplitSegments,
        SlowAcks,
        ConnectRefused,
        ConnectBlackHole,
        ConnectLate,
        ConnectUnreachable,
        SmallBacklog,
        PeerVanishes,
        // The ends.
        ClientResets,
        ClientCrashes,
        ClientHalfCloses,
        ClientStopsReading,
        ClientSlow,
        ClientBytewise,
        UpstreamResets,
        UpstreamCrashes,
        UpstreamEndsFirst,
        UpstreamStopsReading,
        UpstreamSlow,
        UpstreamSilent,
        Bulk,
        // The operator.
        LowLimit,
        ShortTimeouts,
        DrainEarly,
        GraceEnds,
        Reconfigured,
        Killed,
        Reloaded,
        EndpointsOut,
        VerdictsFlap,
        FewPlaces,
    }
}

numbered! {
    /// An event that a campaign must see at least once, or the simulator tests less than intended.
    Mark {
        AcceptedConnection,
        AcceptWithoutDescriptor,
        AbortedInTheBacklog,
        BacklogOverflow,
        BacklogResetByClose,
        CancelledInTime,
        CancelledTooLate,
        CancelledNothing,
        CompletionQueueOverflow,
        ConnectAfterSynRetry,
        ConnectCancelled,
        ConnectedToItself,
        ConnectedWithoutPort,
        DescriptorUsedAgain,
        EdgeCoalesced,
        EdgeSpurious,
        EmptyBufferRing,
        EndOfStreamEarly,
        ErrorToldToReceive,
        ErrorToldToSend,
        FinAfterData,
        FinWithoutData,
        KeepaliveGaveUp,
        LateCompletionSeen,
        NotifierWokeSleeper,
        OpTurnedAway,
        PipeLeftOver,
        ReceiveAfterReset,
        ResetBeforeAccept,
        ResetForLateData,
        ResetForUnreadInput,
        ResetOnPurpose,
        RetransmissionGaveUp,
        ReceiveWindowFull,
        SendBufferFull,
        SendGathered,
        SentInPieces,
        SimultaneousClose,
        SplicedBytes,
        TimeWaitHeldPort,
        TurnedAway,
        // The end of a session, as in its record.
        EndedClientFin,
        EndedUpstreamFin,
        EndedClientRst,
        EndedUpstreamRst,
        EndedClientTimeout,
        EndedUpstreamTimeout,
        EndedIdleTimeout,
        EndedHalfCloseTimeout,
        EndedLifetime,
        EndedConnectRefused,
        EndedConnectTimeout,
        EndedConnectUnreachable,
        EndedLocalResources,
        EndedShutdown,
        EndedNoEndpoint,
        EndedQueueFull,
        EndedQueueTimeout,
        // Of the server.
        LimitReached,
        DrainedInTime,
        GraceOver,
        TwoGenerations,
        LanesApart,
        ReloadRefused,
        ReloadWaited,
        EarlierGenerationEnded,
        LaneFellAsleep,
        TimerFired,
        SecondEndpointTried,
    }
}

/// The faults of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u64);

impl Faults {
    /// None.
    pub const NONE: Self = Self(0);

    /// Switches a fault on.
    pub fn add(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u32;
    }

    /// Switches a fault off.
    pub fn remove(&mut self, fault: Fault) {
        self.0 &= !(1 << fault as u32);
    }

    /// Whether a fault is on.
    #[must_use]
    pub fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u32) != 0
    }

    /// The faults of the set.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |&f| self.has(f))
    }
}

/// How often each fault has struck and each mark was passed.
#[derive(Clone, Debug)]
pub struct Marks {
    struck: [u64; Fault::ALL.len()],
    passed: [u64; Mark::ALL.len()],
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            struck: [0; Fault::ALL.len()],
            passed: [0; Mark::ALL.len()],
        }
    }
}

impl Marks {
    /// Counts a mark.
    pub fn pass(&mut self, mark: Mark) {
        self.passed[mark as usize] += 1;
    }

    /// Counts a fault.
    pub fn strike(&mut self, fault: Fault) {
        self.struck[fault as usize] += 1;
    }

    /// How often a mark was passed.
    #[must_use]
    pub fn passed(&self, mark: Mark) -> u64 {
        self.passed[mark as usize]
    }

    /// Adds the counts of a further world.
    pub fn add(&mut self, other: &Self) {
        let both = |mine: &mut [u64], theirs: &[u64]| {
            mine.iter_mut().zip(theirs).for_each(|(m, t)| *m += t);
        };
        both(&mut self.struck, &other.struck);
        both(&mut self.passed, &other.passed);
    }

    /// The faults and marks with a count of zero, by name.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let faults = Fault::ALL.iter().filter(|f| self.struck[**f as usize] == 0);
        let marks = Mark::ALL.iter().filter(|m| self.passed[**m as usize] == 0);
        faults
            .map(|fault| format!("{fault:?}"))
            .chain(marks.map(|mark| format!("{mark:?}")))
            .collect()
    }

    /// Every count, in words.
    pub fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        let faults = Fault::ALL
            .iter()
            .map(|f| (format!("{f:?}"), self.struck[*f as usize]));
        let marks = Mark::ALL
            .iter()
            .map(|m| (format!("{m:?}"), self.passed[*m as usize]));
        faults.chain(marks)
    }
}

/// A reproducible source of numbers (SplitMix64). Each world has a single source, so the seed
/// decides everything.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; `n` is at least 1.
    #[expect(clippy::cast_possible_truncation, reason = "below n")]
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.draw()) * n as u128) >> 64) as usize
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A random element.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Puts `slice` into a random order.
    pub(super) fn shuffle<T>(&mut self, slice: &mut [T]) {
        for last in (1..slice.len()).rev() {
            slice.swap(last, self.below(last + 1));
        }
    }
}
