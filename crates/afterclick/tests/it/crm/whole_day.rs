//! The whole day.

use super::accounts::{self, Weather};
use super::arrivals;
use super::day::Day;
use super::run::live;
use super::truth::Strategy;

/// How many people and events the day has: the whole day where `AFTERCLICK_CRM_DAY` is `whole`, which takes minutes, and else a
/// small part of it.
const WHOLE: (usize, usize) = (3_000, 20_000);
const PART: (usize, usize) = (200, 1_400);
/// Pipedrive takes about a person a second.
const SMALL: (usize, usize) = (60, 420);

#[test]
fn a_day_through_faults_and_kills_leaves_each_person_once_in_each_crm_as_they_are() {
    let is_whole = std::env::var("AFTERCLICK_CRM_DAY").is_ok_and(|day| day == "whole");
    check(if is_whole { WHOLE } else { PART }, [Strategy::Stub, Strategy::Registration, Strategy::Referral]);
}

#[test]
fn a_day_leaves_those_whom_the_other_strategies_mean() {
    check(SMALL, [Strategy::Registration, Strategy::Referral, Strategy::Stub]);
}

fn check((people, events): (usize, usize), strategies: [Strategy; 3]) {
    let seed = std::env::var("AFTERCLICK_CRM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x0c_4a11);
    eprintln!("crm: AFTERCLICK_CRM_SEED={seed}, {people} people, {events} events");
    let day = Day::new(seed, people, events);
    let posts = arrivals::of(&day);
    let kills = [posts.len() / 4, posts.len() / 2, posts.len() * 4 / 5];
    let accounts = accounts::start(Weather::Rough(seed), strategies);
    let found = live(&day, &posts, &accounts, &kills);
    assert!(found.is_empty(), "AFTERCLICK_CRM_SEED={seed}{found}");
}
