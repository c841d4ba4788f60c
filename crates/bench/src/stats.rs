//! Arithmetic over measurements.

/// The middle value; the mean of the two in the middle when there is an even number of them.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The smallest value that `percent` of all values do not exceed.
pub(crate) fn percentile<T: Copy + Ord>(values: &mut [T], percent: usize) -> Option<T> {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    (rank <= values.len()).then(|| *values.select_nth_unstable(rank - 1).1)
}

/// The next rate to try, given which rates held: double until one does not, then halve the distance until the two are
/// within an eighth of each other. `None` when that is so; the answer is then [`highest_that_held`].
pub(crate) fn next_step(tried: &[(usize, bool)], first: usize, most: usize) -> Option<usize> {
    let next = match (highest_that_held(tried), lowest_that_failed(tried)) {
        (None, None) => first,
        (Some(held), None) => (held * 2).min(most),
        (None, Some(failed)) => failed / 2,
        (Some(held), Some(failed)) if failed - held <= held / 8 => return None,
        (Some(held), Some(failed)) => usize::midpoint(held, failed),
    };
    let again = tried.iter().any(|(rate, _)| *rate == next);
    (next > 0 && !again).then_some(next)
}

/// The highest rate that held below the lowest that did not: a lucky step above a failed one does not count.
pub(crate) fn highest_that_held(tried: &[(usize, bool)]) -> Option<usize> {
    let edge = lowest_that_failed(tried).unwrap_or(usize::MAX);
    tried.iter().filter(|(rate, held)| *held && *rate < edge).map(|(rate, _)| *rate).max()
}

fn lowest_that_failed(tried: &[(usize, bool)]) -> Option<usize> {
    tried.iter().filter(|(_, held)| !held).map(|(rate, _)| *rate).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let mut values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut values, 99), Some(99));
        assert_eq!(percentile(&mut values, 50), Some(50));
        assert_eq!(percentile(&mut [7], 99), Some(7));
        assert_eq!(percentile::<u32>(&mut [], 99), None);
    }

    #[test]
    fn a_ladder_doubles_and_then_closes_in() {
        let climb = |edge: usize| {
            let mut tried = Vec::new();
            while let Some(rate) = next_step(&tried, 1_000, 64_000) {
                tried.push((rate, rate <= edge));
                assert!(tried.len() < 20);
            }
            highest_that_held(&tried)
        };
        let found = climb(9_300).unwrap();
        assert!((8_300..=9_300).contains(&found), "{found}");
        assert_eq!(climb(usize::MAX), Some(64_000));
        assert!(climb(300).unwrap() <= 300);
        assert_eq!(climb(0), None);
    }

    #[test]
    fn luck_above_a_failure_does_not_count() {
        assert_eq!(highest_that_held(&[(1, true), (2, false), (4, true)]), Some(1));
    }
}
