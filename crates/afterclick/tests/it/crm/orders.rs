//! Orders: whatever order the same events come in, the same record is there in the end.

use super::accounts::{self, Weather};
use super::day::Day;
use super::run::live;
use super::truth::Strategy;
use super::{arrivals, stories};

/// How many people live the same life, each told in an order of its own.
const ORDERS: usize = 48;

#[test]
fn any_order_of_the_same_events_ends_in_the_same_record() {
    let seed = std::env::var("AFTERCLICK_CRM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut day = Day::empty(seed);
    (0..ORDERS).for_each(|_| stories::full_life(&mut day));
    let accounts = accounts::start(Weather::Calm, [Strategy::Stub, Strategy::Stub, Strategy::Registration]);
    let found = live(&day, &arrivals::in_any_order(&day), &accounts, &[]);
    assert!(found.is_empty(), "AFTERCLICK_CRM_SEED={seed}{found}");
}
