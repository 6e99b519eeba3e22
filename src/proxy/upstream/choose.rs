//! The choice of an endpoint for a session. Pure: turns, and any time, randomness or live sessions
//! that a method depends on, are arguments.

/// Round robin: the endpoint of a turn, out of `count`.
pub(super) fn round_robin(turn: usize, count: usize) -> usize {
    turn % count
}

/// The endpoint for the next try of a session. `tried` are the endpoints that have failed, fewer
/// than `count`. A new turn for each try spreads the share of a dead endpoint over all endpoints
/// that answer; without it, the next endpoint in the list would get a double share.
pub(super) fn untried(
    mut take_turn: impl FnMut() -> usize,
    count: usize,
    tried: &[usize],
) -> usize {
    let is_untried = |index: &usize| !tried.contains(index);
    let mut by_turn = (0..count).map(|_| round_robin(take_turn(), count));
    // Lanes share the turns: a lane may not see the turn of any endpoint that is left.
    let next = by_turn
        .find(is_untried)
        .or_else(|| (0..count).find(is_untried));
    next.expect("an endpoint is left to try")
}

#[cfg(test)]
mod tests {
    use super::{round_robin, untried};

    /// Turns from 0 on.
    fn turns() -> impl FnMut() -> usize {
        let mut next = 0;
        move || {
            next += 1;
            next - 1
        }
    }

    #[test]
    fn every_endpoint_has_the_same_share() {
        let mut take_turn = turns();
        let mut sessions = [0; 3];
        (0..30).for_each(|_| sessions[round_robin(take_turn(), 3)] += 1);
        assert_eq!(sessions, [10; 3]);
    }

    #[test]
    fn the_share_of_a_dead_endpoint_is_spread_over_all_others() {
        let mut take_turn = turns();
        let mut sessions = [0; 4];
        for _ in 0..3000 {
            let first = round_robin(take_turn(), 4);
            let is_dead = first == 2;
            let chosen = if is_dead {
                untried(&mut take_turn, 4, &[first])
            } else {
                first
            };
            sessions[chosen] += 1;
        }
        assert_eq!(sessions.iter().sum::<usize>(), 3000);
        for (index, share) in [(0, 1000), (1, 1000), (2, 0), (3, 1000)] {
            assert!(sessions[index].abs_diff(share) <= 1, "{sessions:?}");
        }
    }

    #[test]
    fn a_session_tries_no_endpoint_twice() {
        let mut take_turn = turns();
        let mut tried = vec![round_robin(take_turn(), 5)];
        while tried.len() < 5 {
            let next = untried(&mut take_turn, 5, &tried);
            tried.push(next);
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn turns_that_other_lanes_take_leave_an_endpoint_to_try() {
        assert_eq!(untried(|| 7, 3, &[1, 0]), 2);
    }
}
