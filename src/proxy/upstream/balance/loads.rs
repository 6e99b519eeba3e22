//! Choices by sessions and at random.

use super::level::{Level, below, place};

/// With more endpoints than this a random choice draws places instead of adding up all shares.
const FEW: usize = 16;
/// The most places drawn before the shares are added up.
const DRAWS: usize = 16;

/// The first endpoint with a share.
pub(in crate::proxy::upstream) fn first(level: &impl Level) -> Option<usize> {
    (0..level.count()).find(|&at| level.share(at) > 0)
}

/// An endpoint at random, in proportion to the shares.
pub(in crate::proxy::upstream) fn random(
    level: &impl Level,
    draw: impl FnMut() -> u64,
) -> Option<usize> {
    random_except(level, None, draw)
}

/// Of two different endpoints at random, the endpoint with fewer sessions for its share. Two equal
/// draws would give a session to an endpoint whose load was compared with nothing.
pub(in crate::proxy::upstream) fn two_choices(
    level: &impl Level,
    mut draw: impl FnMut() -> u64,
) -> Option<usize> {
    let one = random_except(level, None, &mut draw)?;
    let Some(other) = random_except(level, Some(one), &mut draw) else {
        return Some(one);
    };
    let [of_one, of_other] = [one, other].map(|at| (level.load(at), level.share(at)));
    Some(if is_less(of_other, of_one) {
        other
    } else {
        one
    })
}

/// The endpoint with the fewest sessions for its share, and the number of these sessions.
/// Among equals, the next endpoint from a random place on.
pub(in crate::proxy::upstream) fn least_sessions(
    level: &impl Level,
    mut draw: impl FnMut() -> u64,
) -> Option<(usize, usize)> {
    let count = level.count();
    let from = place(draw(), count);
    let mut least: Option<(usize, (usize, u32))> = None;
    for at in (from..count).chain(0..from) {
        let share = level.share(at);
        if share == 0 {
            continue;
        }
        let found = (level.load(at), share);
        if least.is_none_or(|(_, least)| is_less(found, least)) {
            least = Some((at, found));
        }
    }
    least.map(|(at, (load, _))| (at, load))
}

/// Whether a further session is less for the first endpoint than for the second. Each is a load and
/// a share.
fn is_less(one: (usize, u32), other: (usize, u32)) -> bool {
    let [one_load, other_load] = [one.0, other.0].map(|load| load as u128 + 1);
    one_load * u128::from(other.1) < other_load * u128::from(one.1)
}

fn random_except(
    level: &impl Level,
    except: Option<usize>,
    mut draw: impl FnMut() -> u64,
) -> Option<usize> {
    let count = level.count();
    let share = |at: usize| match Some(at) == except {
        true => 0,
        false => level.share(at),
    };
    if count > FEW {
        let largest = u64::from(level.largest_share());
        for _ in 0..DRAWS {
            let at = place(draw(), count);
            let share = share(at);
            // The largest share is taken at once, half of the largest share every second time.
            if share > 0 && below(draw(), largest) < u64::from(share) {
                return Some(at);
            }
        }
    }
    let total: u64 = (0..count).map(|at| u64::from(share(at))).sum();
    let mut left = below(draw(), total);
    let drawn = (0..count).find(|&at| {
        let share = u64::from(share(at));
        let is_in = left < share;
        left = left.saturating_sub(share);
        is_in
    });
    // Shares may have changed since the sum.
    drawn.or_else(|| (0..count).find(|&at| share(at) > 0))
}
