//! `afterclick demo --once`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::{program, run};

/// A small terminal.
const TERMINAL_CHARS: usize = 80;
/// What somebody scrolls through gladly.
const LINES_MAX: usize = 105;

#[test]
fn the_demo_shows_every_event_arrive_and_ends_with_0() {
    let ended = run(&mut program(), &["demo", "--once"]).ended(0);
    let types = domain::catalogue::ALL.iter().filter(|kind| kind.group != domain::catalogue::Group::Operational);
    for kind in types {
        assert!(ended.stdout.contains(kind.event_type), "{} is not in\n{}", kind.event_type, ended.stdout);
    }
    for expected in ["every webhook signature verified", "duplicate", "401", "try 3"] {
        assert!(ended.stdout.contains(expected), "{expected} is not in\n{}", ended.stdout);
    }
    let office =
        ["5 messages", "17 track calls", "Deep Link Clicked 2", "17 rows", "create table `default`.`deep_link_events`"];
    for expected in office {
        assert!(ended.stdout.contains(expected), "{expected} is not in\n{}", ended.stdout);
    }
    let wide = ended.stdout.lines().find(|line| line.chars().count() > TERMINAL_CHARS);
    assert!(wide.is_none() && ended.stdout.lines().count() <= LINES_MAX, "{wide:?}\n{}", ended.stdout);
    assert!(!ended.stdout.contains('\x1b') && !ended.stdout.contains('✗'), "{}", ended.stdout);
}

#[test]
fn the_demo_follows_a_person_from_a_tap_to_the_record_that_sales_sees() {
    let shown = run(&mut program(), &["demo", "--once"]).ended(0).stdout;
    let (_, mut rest) = shown.split_once("And who was that?").expect("somebody");
    // Each step adds to what was there, and nothing is said of anybody before it is known.
    for expected in [
        "link.clicked",
        "nothing yet",
        "install.tracked",
        "+ Campaign         instagram-story-may",
        "+ Link             go/summer-promo",
        "POST /v1/identify",
        "+ Name             Ada Lovelace",
        "referral.completed",
        "+ Stage            customer",
        "+ Referral source  user-abc123",
        "in one contact",
        "│ Ada Lovelace  ada@example.org",
        "│ Lead source      Deep Link",
        "│ Install date     20",
        "│ converted 18 minutes after install",
    ] {
        (_, rest) =
            rest.split_once(expected).unwrap_or_else(|| panic!("`{expected}` is not where it should be in\n{shown}"));
    }
}

#[test]
fn the_demo_runs_until_it_is_interrupted() {
    let mut child = program().arg("demo").stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let invitation = stdout.find(|line| line.contains("AFTERCLICK_ADMIN_KEY=ack_"));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(invitation.is_some() && status.success());
    stdout.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
