//! The fair shares of a claim: fresh deliveries first, and yet nothing starves behind them.

use std::collections::VecDeque;

use domain::delivery::Class;

/// The classes, each at the place of its `as usize`.
pub(crate) const CLASSES: [Class; 3] = [Class::Fresh, Class::Retry, Class::Replay];

/// Gives out up to `limit` places, from the one with the number `place` on, each to the class whose turn it is or, when
/// that has none left, to the next one that has. `due` holds what each class has, first things first.
pub(crate) fn share_out<T>(place: u64, limit: usize, mut due: [VecDeque<T>; 3]) -> Vec<T> {
    let places = (place..).take(limit);
    places.map_while(|place| turn(place).into_iter().find_map(|class| due[class as usize].pop_front())).collect()
}

/// Which class has the first right to the place with this number: out of ten, two go to retries and one to a replay.
const fn turn(place: u64) -> [Class; 3] {
    match place % 10 {
        4 | 9 => [Class::Retry, Class::Fresh, Class::Replay],
        7 => [Class::Replay, Class::Fresh, Class::Retry],
        _ => [Class::Fresh, Class::Retry, Class::Replay],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares out places from the one with the number `place` on; each class has so many of its letter.
    fn check(place: u64, limit: usize, due: [usize; 3], expect: &str) {
        let letters = ['f', 'r', 'p'];
        let due = std::array::from_fn(|class| std::iter::repeat_n(letters[class], due[class]).collect());
        assert_eq!(share_out(place, limit, due).into_iter().collect::<String>(), expect);
    }

    #[test]
    fn each_class_stands_where_its_number_says() {
        assert!(CLASSES.iter().enumerate().all(|(at, class)| *class as usize == at));
    }

    #[test]
    fn out_of_ten_places_two_go_to_retries_and_one_to_a_replay() {
        check(0, 20, [50, 50, 50], "ffffrffpfrffffrffpfr");
        check(7, 4, [50, 50, 50], "pfrf");
    }

    #[test]
    fn a_place_that_its_class_cannot_fill_goes_to_the_next() {
        check(0, 10, [1, 50, 50], "frrrrrrprr");
        check(0, 10, [0, 2, 3], "rrppp");
        check(4, 1, [1, 0, 1], "f");
        check(0, 0, [1, 1, 1], "");
    }
}
