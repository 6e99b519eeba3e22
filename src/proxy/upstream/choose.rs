//! The choice of an endpoint for a session. Pure: turns, administrative states, and any time,
//! randomness or live sessions that a method depends on, are arguments.

/// Round robin: the endpoint of a turn, out of `count`.
pub(super) fn round_robin(turn: usize, count: usize) -> usize {
    turn % count
}

/// The next endpoint that a session `may_choose`: not tried before, and ready. A new turn for each
/// endpoint that is passed over spreads its share over all others; without new turns, its successor
/// in the list would get a double share. `None` if the session may choose no endpoint.
pub(super) fn next(
    mut take_turn: impl FnMut() -> usize,
    count: usize,
    may_choose: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut by_turn = (0..count).map(|_| round_robin(take_turn(), count));
    // Lanes share the turns: a lane may not see the turn of any endpoint that is left.
    by_turn
        .find(|&index| may_choose(index))
        .or_else(|| (0..count).find(|&index| may_choose(index)))
}

#[cfg(test)]
mod tests {
    use super::next;

    /// Turns from 0 on.
    fn turns() -> impl FnMut() -> usize {
        let mut next = 0;
        move || {
            next += 1;
            next - 1
        }
    }

    /// The number of sessions of each of `count` endpoints, when those in `unready` are passed over
    /// and a connect to those in `dead` fails.
    fn shares(sessions: usize, count: usize, unready: &[usize], dead: &[usize]) -> Vec<usize> {
        let mut take_turn = turns();
        let mut shares = vec![0; count];
        for _ in 0..sessions {
            let is_ready = |index: usize| !unready.contains(&index);
            let mut chosen = next(&mut take_turn, count, is_ready).unwrap();
            let mut tried = Vec::new();
            while dead.contains(&chosen) {
                tried.push(chosen);
                let may_choose = |index: usize| is_ready(index) && !tried.contains(&index);
                chosen = next(&mut take_turn, count, may_choose).unwrap();
            }
            shares[chosen] += 1;
        }
        shares
    }

    #[test]
    fn every_endpoint_has_the_same_share() {
        assert_eq!(shares(30, 3, &[], &[]), [10; 3]);
    }

    #[test]
    fn the_share_of_a_passed_over_endpoint_is_spread_over_all_others() {
        for (unready, dead) in [
            (&[2][..], &[][..]),
            (&[], &[2]),
            (&[0, 1], &[]),
            (&[0], &[3]),
            (&[1, 3], &[0]),
        ] {
            let shares = shares(3000, 4, unready, dead);
            let out = |index: &usize| unready.contains(index) || dead.contains(index);
            let each = 3000 / (0..4).filter(|index| !out(index)).count();
            for (index, share) in shares.iter().enumerate() {
                let expected = if out(&index) { 0 } else { each };
                assert!(
                    share.abs_diff(expected) <= 1,
                    "{unready:?} {dead:?}: {shares:?}"
                );
            }
        }
    }

    #[test]
    fn a_session_tries_no_endpoint_twice() {
        let mut take_turn = turns();
        let mut tried = Vec::new();
        while let Some(chosen) = next(&mut take_turn, 5, |index| !tried.contains(&index)) {
            tried.push(chosen);
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn turns_that_other_lanes_take_leave_an_endpoint_to_try() {
        assert_eq!(next(|| 7, 3, |index| index == 2), Some(2));
    }

    #[test]
    fn without_a_permitted_endpoint_there_is_none() {
        assert_eq!(next(turns(), 3, |_| false), None);
    }
}
