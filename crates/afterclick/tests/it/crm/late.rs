//! What comes late, step by step: each record is written before the next event comes, and in the end is as if all had come in order.

use super::accounts::{self, Weather};
use super::arrivals;
use super::day::Day;
use super::deed::{By, Deed, Kind, Millis, Name, Trail};
use super::run::live_step_by_step;
use super::truth::Strategy;

/// 2026-03-04T12:00:00Z.
const NOON: Millis = 1_772_625_600_000;

/// Tells these deeds, in this order, and holds all records against what is true.
#[track_caller]
fn check(strategy: Strategy, live: fn(&mut Day)) {
    let mut day = Day::empty(1);
    live(&mut day);
    let accounts = accounts::start(Weather::Calm, [strategy; 3]);
    let found = live_step_by_step(&day, &arrivals::as_told(&day), &accounts);
    assert!(found.is_empty(), "{found}");
}

fn name(day: &mut Day, who: usize, by: By, name: &str) -> Name {
    day.lives[who].names.push((by, name.to_owned()));
    (by, name.to_owned())
}

fn trail(campaign: Option<&str>, channel: Option<&str>) -> Trail {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Trail { campaign: text(campaign), channel: text(channel), token: Some("x1".to_owned()), prefix: None }
}

#[test]
fn a_record_tells_of_one_touch_and_not_of_two_mixed() {
    check(Strategy::Stub, |day| {
        let who = day.person("clicked before the install that came first");
        let (click, install) = (name(day, who, By::Click, "c"), name(day, who, By::Install, "i"));
        let bare = trail(Some("spring"), None);
        let rich = trail(Some("tv-spot"), Some("tv"));
        day.does(Deed::new(who, Kind::Install, NOON, &[&install, &click]).led(&rich, Some("ios")));
        day.does(Deed::new(who, Kind::Click, NOON - 1_000, &[&click]).led(&bare, Some("ios")));
        day.does(Deed::new(who, Kind::Open, NOON + 1_000, &[&install]).led(&bare, Some("ios")));
    });
}

#[test]
fn whoever_turns_out_not_to_have_installed_has_no_install_in_the_record() {
    check(Strategy::Registration, |day| {
        let (first, second) = (day.person("first on a tablet"), day.person("second on it, heard of first"));
        let install = name(day, first, By::Install, "tablet");
        let (ada, eve) = (name(day, first, By::User, "ada"), name(day, second, By::User, "eve"));
        let led = trail(Some("tv-spot"), Some("tv"));
        day.does(Deed::new(first, Kind::Install, NOON, &[&install]).led(&led, Some("ios")));
        let done = (By::Referred, eve.1.clone());
        day.does(Deed::new(second, Kind::Completion, NOON + 3_000, &[&done]));
        day.does(Deed::new(second, Kind::SignIn, NOON + 2_000, &[&eve, &install]));
        day.does(Deed::new(first, Kind::SignIn, NOON + 1_000, &[&ada, &install]));
    });
}

#[test]
fn an_address_goes_to_whoever_had_it_first_whenever_that_is_heard() {
    check(Strategy::Registration, |day| {
        let (first, second) = (day.person("had an address first"), day.person("had it second, heard of first"));
        let email = name(day, first, By::Email, "shared@example.org");
        let (ada, eve) = (name(day, first, By::User, "ada"), name(day, second, By::User, "eve"));
        let (phone, tablet) = (name(day, first, By::Install, "phone"), name(day, second, By::Install, "tablet"));
        day.lives[second].borrowed.push(email.1.clone());
        day.does(Deed::new(first, Kind::Install, NOON, &[&ada, &phone]));
        day.does(Deed::new(second, Kind::Install, NOON + 1_000, &[&eve, &tablet]));
        day.does(Deed::new(second, Kind::SignIn, NOON + 3_000, &[&eve, &email]));
        day.does(Deed::new(first, Kind::SignIn, NOON + 2_000, &[&ada, &email]));
    });
}

#[test]
fn no_placeholder_stays_beside_a_real_name() {
    check(Strategy::Stub, |day| {
        let who = day.person("has a name of one word");
        let (user, install) = (name(day, who, By::User, "ada"), name(day, who, By::Install, "i"));
        day.does(Deed::new(who, Kind::Install, NOON, &[&install]));
        day.does(Deed::new(who, Kind::SignIn, NOON + 1_000, &[&user, &install]).called("Björk"));
    });
}
