//! What the tests of CRMs share: people, and exchanges about them as the engine has them, with a vendor that is asked
//! without a socket.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use domain::connector::{Action, Batch, Call, HttpCall, Item, Means, Outlet, Progress, Reply, Step};
use domain::identity::{Identifier, Profile, Stamped, Touch, Trace, Worth};
use domain::{AppspaceId, Reading, SubjectId, Timestamp};
use serde_json::json;
use vendors::{Answer, Book, Request, Vendor};

use crate::kit::{NOW, Variant, event_with, items, numbered};

/// Most calls of an exchange before the engine gives it up.
const CALLS_MAX: u32 = 8;

/// An exchange about a batch. What becomes known is kept before the next call is made. `ask` makes a call, by its number in the
/// exchange, and has nothing to say if the answer is lost: then the exchange is over.
pub(crate) fn exchange(
    outlet: &dyn Outlet,
    batch: &Batch<'_>,
    bound: &mut BTreeMap<String, String>,
    mut ask: impl FnMut(&HttpCall, usize) -> Option<Reply>,
) -> Option<(Step, Progress)> {
    let subjects = outlet.subjects(batch);
    let known = bound.iter().filter(|(subject, _)| subjects.contains(subject));
    let mut progress = Progress::with_bindings(known.map(|(subject, id)| (subject.clone(), id.clone())).collect());
    let mut step = outlet.prepare(batch, &mut progress);
    loop {
        bound.extend(progress.take_new_bindings());
        let Step::Send(Call::Http(call)) = &step else { return Some((step, progress)) };
        assert!(progress.replies < CALLS_MAX, "the engine gives up before {} {}", call.method, call.url);
        let reply = ask(call, progress.replies as usize)?;
        progress.replies += 1;
        step = outlet.advance(batch, &mut progress, &reply);
    }
}

/// One event about each of these people, as a batch has them.
pub(crate) fn with_items<T>(people: &[impl Borrow<Profile>], ordinal: u16, look: impl FnOnce(&[Item<'_>]) -> T) -> T {
    let full = event_with("install.tracked", Variant::Full);
    let events: Vec<_> = (1..).zip(people).map(|(number, _)| numbered(full.clone(), number)).collect();
    let reading = |profile: &Profile| Reading::new("tolinku".to_owned()).about(Some(profile.clone()));
    let readings: Vec<_> = people.iter().map(|profile| reading(profile.borrow())).collect();
    look(&items(&events, &readings, ordinal))
}

/// What is answered in place of a vendor, by the number of the call in its exchange; with `true` after the vendor has done
/// what it was asked.
pub(crate) type Answers = BTreeMap<usize, (Answer, bool)>;

/// The vendor's answer, or the one in its place.
pub(crate) fn answer(
    vendor: &mut impl Vendor,
    book: &mut Book,
    request: &Request,
    instead: Option<(Answer, bool)>,
) -> Answer {
    match instead {
        Some((answer, false)) => answer,
        Some((answer, true)) => {
            vendor.answer(request, book);
            answer
        }
        None => vendor.answer(request, book),
    }
}

/// Provisions: what was made and why, or why nothing was.
pub(crate) fn provision(
    outlet: &dyn Outlet,
    means: &Means<'_>,
    mut ask: impl FnMut(&HttpCall) -> Reply,
) -> Result<Vec<String>, String> {
    let mut ask = |call: &Call| match call {
        Call::Http(call) => ask(call),
        call => panic!("no request: {call:?}"),
    };
    let replies: Vec<_> = outlet.survey(means).unwrap().iter().map(&mut ask).collect();
    let make = |Action { reason, call }: Action| outlet.is_done(&ask(&call)).map(|()| reason);
    outlet.plan(means, &replies)?.into_iter().map(make).collect()
}

/// A person who installed the app, by these identifiers; the first one names the subject.
pub(crate) fn person(identifiers: &[&str]) -> Profile {
    let identifiers: Vec<Identifier> = identifiers.iter().map(|text| text.parse().unwrap()).collect();
    let touch = Touch {
        worth: Worth::Certain,
        campaign: Some("spring-sale".to_owned()),
        channel: Some("instagram".to_owned()),
        platform: Some("ios".to_owned()),
        token: Some("summer-promo".to_owned()),
        prefix: Some("go".to_owned()),
        ..Touch::default()
    };
    let touch = Some(Stamped { at: NOW, tie: 0, value: touch });
    Profile {
        subject: SubjectId::born(AppspaceId::mint(NOW, 1), &identifiers[0], 0),
        absorbed: BTreeSet::new(),
        lost: BTreeSet::new(),
        identifiers: identifiers.into_iter().collect(),
        trace: Trace { first_touch: touch.clone(), last_touch: touch, installed_at: Some(NOW), ..Trace::default() },
    }
}

/// The same person with an identifier more.
pub(crate) fn knowing(profile: &Profile, identifier: &str) -> Profile {
    let mut profile = profile.clone();
    profile.identifiers.insert(identifier.parse().unwrap());
    profile
}

/// The same person, of whom something was said.
pub(crate) fn said(profile: &Profile, name: &str, value: &str) -> Profile {
    let mut profile = profile.clone();
    profile.trace.traits.insert(name.to_owned(), Stamped { at: NOW, tie: 0, value: json!(value) });
    profile
}

/// The same person after a conversion.
pub(crate) fn converted(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.trace.converted_at = Some(Timestamp::from_millis(NOW.as_millis() + 18 * 60_000));
    profile
}

/// A person who turned out to be these others too.
pub(crate) fn absorbing(profile: &Profile, others: &[&Profile]) -> Profile {
    let mut profile = profile.clone();
    for other in others {
        profile.absorbed.insert(other.subject);
        profile.identifiers.extend(other.identifiers.iter().cloned());
    }
    profile
}
