//! Panic: with too few usable endpoints, all are used. Pure.
//!
//! A panic is for a check that is wrong, or for a shortage by which the last endpoints would fail
//! too. A level with enough usable endpoints, such as a backup, is the better choice.

/// An endpoint that an operator lets sessions choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) level: u8,
    pub(super) is_usable: bool,
}

/// The level whose endpoints are all used, if any: the first one, where every level has less than
/// this share of usable endpoints, in hundredths.
pub(super) fn level(ready: impl Iterator<Item = Ready>, below: u8) -> Option<u8> {
    let mut levels: Vec<(u8, usize, usize)> = Vec::new();
    for Ready { level, is_usable } in ready {
        let found = levels.iter().position(|(of, _, _)| *of == level);
        let at = found.unwrap_or_else(|| {
            levels.push((level, 0, 0));
            levels.len() - 1
        });
        levels[at].1 += usize::from(is_usable);
        levels[at].2 += 1;
    }
    let has_enough =
        |(_, usable, all): &(u8, usize, usize)| usable * 100 >= usize::from(below) * all;
    match levels.iter().any(has_enough) {
        true => None,
        false => levels.iter().map(|(level, _, _)| *level).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ready, level};

    /// Endpoints by level: `+` is usable.
    fn panics(levels: &[&str], below: u8) -> Option<u8> {
        let all = (0..).zip(levels).flat_map(|(level, endpoints)| {
            endpoints.chars().map(move |one| Ready {
                level,
                is_usable: one == '+',
            })
        });
        level(all, below)
    }

    #[test]
    fn a_level_is_used_whole_if_no_level_has_enough() {
        for (levels, below, expected) in [
            (&["++"][..], 50, None),
            (&["+-"], 50, None),
            (&["+--"], 50, Some(0)),
            (&["---"], 1, Some(0)),
            (&["+--"], 1, None),
            (&["++-"], 100, Some(0)),
            // The backup is enough, or is not.
            (&["---", "+"], 50, None),
            (&["---", "-"], 50, Some(0)),
            (&["", "-"], 50, Some(1)),
            (&[""], 50, None),
        ] {
            assert_eq!(panics(levels, below), expected, "{levels:?} {below}");
        }
    }
}
