//! Each method by exact counts, by chi-square, and by the clients that move.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::level::Level;
use super::{
    Maglev, client_key, first, hash, key_of_address, least_sessions, random, round_robin,
    two_choices,
};

/// A level of endpoints 10.0.0.1, 10.0.0.2 and further on.
#[derive(Clone, Debug)]
struct Fake {
    shares: Vec<u32>,
    loads: Vec<usize>,
    turns: Vec<u64>,
    now: u64,
}

impl Level for Fake {
    fn count(&self) -> usize {
        self.shares.len()
    }

    fn share(&self, at: usize) -> u32 {
        self.shares[at]
    }

    fn load(&self, at: usize) -> usize {
        self.loads[at]
    }

    fn turn(&self, at: usize) -> u64 {
        self.turns[at]
    }

    fn id(&self, at: usize) -> u64 {
        id(at)
    }

    fn largest_share(&self) -> u32 {
        self.shares.iter().copied().max().unwrap_or(0)
    }
}

impl Fake {
    fn new(weights: &[u32]) -> Self {
        Self {
            shares: weights.iter().map(|weight| weight << 8).collect(),
            loads: vec![0; weights.len()],
            turns: vec![0; weights.len()],
            now: 0,
        }
    }

    /// The endpoints of so many sessions by round robin.
    fn turns(&mut self, sessions: usize) -> Vec<usize> {
        let take = |_| {
            let turn = round_robin(self, self.now).unwrap();
            assert_eq!(turn.seen, self.turns[turn.at]);
            (self.turns[turn.at], self.now) = (turn.next, self.now.max(turn.time));
            turn.at
        };
        (0..sessions).map(take).collect()
    }
}

fn id(at: usize) -> u64 {
    let last = u8::try_from(at + 1).unwrap();
    key_of_address(SocketAddr::from(([10, 0, 0, last], 5432)))
}

/// Numbers of `SplitMix64`.
fn draws(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        super::level::mix(state)
    }
}

fn counts(of: usize, chosen: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut counts = vec![0; of];
    chosen.into_iter().for_each(|at| counts[at] += 1);
    counts
}

/// Keys of so many clients.
fn clients(count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(|number| client_key(std::net::Ipv4Addr::from(0xC0A8_0000 + number).into(), 64))
}

/// Checks that counts follow weights: chi-square with a probability of error below 1 in 100,000 for
/// up to 20 endpoints (20 degrees of freedom: 61).
fn follows(counts: &[usize], weights: &[u32]) {
    let (sessions, all) = (
        counts.iter().sum::<usize>() as f64,
        weights.iter().sum::<u32>(),
    );
    let mut chi_square = 0.0;
    for (&count, &weight) in counts.iter().zip(weights) {
        let expected = sessions * f64::from(weight) / f64::from(all);
        if weight == 0 {
            assert_eq!(count, 0, "{counts:?}");
        } else {
            chi_square += (count as f64 - expected).powi(2) / expected;
        }
    }
    assert!(
        chi_square < 61.0,
        "{chi_square}: {counts:?} for {weights:?}"
    );
}

#[test]
fn round_robin_gives_exact_shares_and_spreads_them() {
    for (weights, sessions) in [
        (&[1, 1, 1][..], 30),
        (&[5, 1, 1], 70),
        (&[2, 0, 3], 50),
        (&[256, 1], 257),
    ] {
        let all: u32 = weights.iter().sum();
        let chosen = Fake::new(weights).turns(sessions);
        for (at, count) in counts(weights.len(), chosen).into_iter().enumerate() {
            let exact = sessions * weights[at] as usize / all as usize;
            assert!(
                count.abs_diff(exact) <= 1,
                "{weights:?}: {at} has {count}, not {exact}"
            );
        }
    }
    assert_eq!(Fake::new(&[1, 1, 1]).turns(7), [0, 1, 2, 0, 1, 2, 0]);
    // The turns of a heavy endpoint are apart.
    let chosen = Fake::new(&[4, 4, 1]).turns(90);
    let longest = chosen
        .chunk_by(|one, other| one == other)
        .map(<[usize]>::len);
    assert_eq!(longest.max(), Some(1), "{chosen:?}");
}

#[test]
fn an_endpoint_that_was_away_gets_its_part_from_now_on() {
    let mut level = Fake::new(&[1, 1, 0]);
    level.turns(1000);
    level.shares[2] = 256;
    assert_eq!(counts(3, level.turns(30)), [10, 10, 10]);
    level.shares[0] = 512;
    let after = counts(3, level.turns(40));
    assert!(
        after[0].abs_diff(20) <= 1 && after[1].abs_diff(10) <= 1,
        "{after:?}"
    );
}

/// A dead endpoint's part went to the next endpoint, with twice the load.
#[test]
fn the_part_of_a_dead_endpoint_is_spread_over_all_others() {
    for dead in [0, 1, 3] {
        let (mut level, mut served) = (Fake::new(&[1; 4]), vec![0; 4]);
        for _ in 0..300 {
            let at = level.turns(1)[0];
            let share = std::mem::replace(&mut level.shares[dead], 0);
            let at = if at == dead { level.turns(1)[0] } else { at };
            level.shares[dead] = share;
            served[at] += 1;
        }
        let even = |(at, count): (usize, &usize)| at == dead || count.abs_diff(100) <= 1;
        assert!(served.iter().enumerate().all(even), "{dead}: {served:?}");
    }
}

#[test]
fn random_choices_follow_the_weights() {
    let many: Vec<u32> = (0..20).map(|at| at % 4 * 50).collect();
    for weights in [&[1, 1][..], &[1, 2, 0, 5], &[256, 1, 1], &many] {
        let (level, mut draw) = (Fake::new(weights), draws(7));
        let chosen = (0..20_000).map(|_| random(&level, &mut draw).unwrap());
        follows(&counts(weights.len(), chosen), weights);
    }
    // A single endpoint of very many has a share.
    let mut level = Fake::new(&[0; 100]);
    level.shares[70] = 1;
    assert_eq!(random(&level, draws(1)), Some(70));
}

/// With equal draws, the busiest endpoint would get a ninth.
#[test]
fn two_choices_are_two_endpoints() {
    let mut level = Fake::new(&[1; 3]);
    level.loads = vec![9, 0, 5];
    let mut draw = draws(3);
    let chosen = (0..30_000).map(|_| two_choices(&level, &mut draw).unwrap());
    let counts = counts(3, chosen);
    assert_eq!(counts[0], 0, "{counts:?}");
    // The idle endpoint is in two of three samples.
    follows(&counts, &[0, 2, 1]);
}

#[test]
fn two_choices_keep_loads_in_proportion_to_weights() {
    for weights in [&[1; 10][..], &[1, 2, 3, 4], &[0, 7, 1]] {
        let (mut level, mut draw) = (Fake::new(weights), draws(11));
        let all: u32 = weights.iter().sum();
        for _ in 0..10_000 {
            let at = two_choices(&level, &mut draw).unwrap();
            level.loads[at] += 1;
        }
        for (at, load) in level.loads.iter().enumerate() {
            let exact = 10_000.0 * f64::from(weights[at]) / f64::from(all);
            assert!(
                (*load as f64 - exact).abs() <= 0.02 * exact,
                "{weights:?}: {level:?}"
            );
        }
    }
}

#[test]
fn least_sessions_differ_by_one_at_most_and_follow_the_weights() {
    let (mut level, mut draw) = (Fake::new(&[1; 7]), draws(5));
    level.loads[3] = 40;
    for _ in 0..300 {
        let (at, load) = least_sessions(&level, &mut draw).unwrap();
        assert_eq!(load, level.loads[at]);
        level.loads[at] += 1;
    }
    let (least, most) = (level.loads.iter().min(), level.loads.iter().max());
    assert!(most.unwrap() - least.unwrap() <= 1, "{level:?}");
    let mut level = Fake::new(&[1, 3, 0]);
    for _ in 0..40 {
        let (at, _) = least_sessions(&level, &mut draw).unwrap();
        level.loads[at] += 1;
    }
    assert_eq!(level.loads, [10, 30, 0]);
    // Idle endpoints are equal: short sessions reach all.
    let level = Fake::new(&[1; 4]);
    let chosen = (0..4_000).map(|_| least_sessions(&level, &mut draw).unwrap().0);
    follows(&counts(4, chosen), &[1; 4]);
}

#[test]
fn the_first_is_the_first_that_may_be_chosen() {
    assert_eq!(first(&Fake::new(&[0, 3, 256])), Some(1));
}

#[test]
fn without_an_endpoint_there_is_no_choice() {
    for weights in [&[][..], &[0], &[0; 40]] {
        let level = &Fake::new(weights);
        assert_eq!(round_robin(level, 5), None);
        assert_eq!(random(level, draws(1)), None);
        assert_eq!(two_choices(level, draws(1)), None);
        assert_eq!(least_sessions(level, draws(1)), None);
        assert_eq!(first(level), None);
        assert_eq!(hash(level, 1), None);
        let entries: Vec<_> = weights.iter().map(|_| (1, 0)).collect();
        if !entries.is_empty() {
            assert_eq!(Maglev::new(&entries).find(level, 1), None);
        }
    }
}

/// Checks the spread of clients over weights, and how many move when endpoint 2 leaves.
fn is_stable(weights: &[u32], choose: &dyn Fn(&Fake, u64) -> usize) {
    let before = Fake::new(weights);
    let mut after = before.clone();
    after.shares[2] = 0;
    let keys: Vec<u64> = clients(20_000).collect();
    let old: Vec<usize> = keys.iter().map(|key| choose(&before, *key)).collect();
    let new: Vec<usize> = keys.iter().map(|key| choose(&after, *key)).collect();
    assert!(!new.contains(&2));
    let moved = old.iter().zip(&new).filter(|(old, new)| old != new).count();
    let part = f64::from(weights[2]) / f64::from(weights.iter().sum::<u32>());
    assert!(moved as f64 <= (part + 0.02) * 20_000.0, "{moved} moved");
    let shared = counts(weights.len(), old.iter().copied());
    for (at, count) in shared.iter().enumerate() {
        let exact = 20_000.0 * f64::from(weights[at]) / f64::from(weights.iter().sum::<u32>());
        assert!(
            (*count as f64 - exact).abs() < 0.1 * exact + 1.0,
            "{shared:?} of {weights:?}"
        );
    }
    // The clients of the leaving endpoint are spread over all present endpoints.
    let heirs = old.iter().zip(&new).filter(|(old, _)| **old == 2);
    let heirs = counts(weights.len(), heirs.map(|(_, new)| *new));
    let idle = heirs.iter().zip(weights).enumerate();
    for (at, (count, weight)) in idle {
        assert!(at == 2 || *weight == 0 || *count > 0, "{heirs:?}");
    }
}

const WEIGHTS: [&[u32]; 3] = [&[1; 10], &[1, 2, 3, 4], &[3, 0, 1]];

#[test]
fn a_hash_moves_only_the_clients_of_an_endpoint_that_leaves() {
    for weights in WEIGHTS {
        is_stable(weights, &|level, key| {
            let mut level = level.clone();
            // Loads in proportion to the weights: no endpoint is above the bound.
            level.loads = level.shares.iter().map(|share| *share as usize).collect();
            hash(&level, key).unwrap()
        });
    }
}

#[test]
fn a_changed_weight_moves_only_the_difference() {
    let (before, mut after) = (Fake::new(&[2; 5]), Fake::new(&[2; 5]));
    after.shares[4] = 256;
    let load = |level: &Fake| Fake {
        loads: level.shares.iter().map(|share| *share as usize).collect(),
        ..level.clone()
    };
    let (before, after) = (load(&before), load(&after));
    for key in clients(5_000) {
        let (old, new) = (hash(&before, key).unwrap(), hash(&after, key).unwrap());
        assert!(old == new || old == 4, "{old} to {new}");
    }
}

#[test]
fn a_hash_keeps_every_endpoint_below_its_bound() {
    let mut level = Fake::new(&[1; 5]);
    // All sessions of one client.
    for sessions in 1..=1000 {
        let at = hash(&level, 42).unwrap();
        level.loads[at] += 1;
        let bound = (sessions * 5_usize).div_ceil(5 * 4);
        assert!(level.loads.iter().all(|load| *load <= bound), "{level:?}");
    }
    assert!(level.loads.iter().filter(|load| **load > 0).count() < 6);
}

/// Also when the table is made anew without the endpoint, as by a reload.
#[test]
fn maglev_moves_few_clients_besides_those_of_an_endpoint_that_leaves() {
    let table = |level: &Fake| {
        let weight = |share: &u32| u16::try_from(share >> 8).unwrap();
        let weights = level.shares.iter().map(weight).enumerate();
        Maglev::new(
            &weights
                .map(|(at, weight)| (id(at), weight))
                .collect::<Vec<_>>(),
        )
    };
    for weights in WEIGHTS {
        let whole = table(&Fake::new(weights));
        is_stable(weights, &|level, key| whole.find(level, key).unwrap());
        let tables = std::cell::RefCell::new(HashMap::new());
        is_stable(weights, &|level, key| {
            let mut tables = tables.borrow_mut();
            let made = tables.entry(level.shares.clone());
            made.or_insert_with(|| table(level))
                .find(level, key)
                .unwrap()
        });
    }
}

/// A change of a listener's address from IPv4 to a dual stack moves no client.
#[test]
fn a_client_has_one_key() {
    let key = |text: &str, prefix| client_key(text.parse().unwrap(), prefix);
    assert_eq!(key("192.0.2.7", 64), key("::ffff:192.0.2.7", 64));
    assert_ne!(key("192.0.2.7", 64), key("192.0.2.8", 64));
    assert_eq!(key("2001:db8::1", 64), key("2001:db8::2:3", 64));
    assert_ne!(key("2001:db8::1", 64), key("2001:db8:0:1::1", 64));
    assert_ne!(key("2001:db8::1", 128), key("2001:db8::2", 128));
    assert_eq!(key("2001:db8::1", 1), key("2001:db9::1", 1));
}
