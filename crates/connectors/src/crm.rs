//! What CRMs share: whose record is written, when there is one at all, and what a sales team sees in it.
//!
//! A record is a function of the person's profile and not of the event that caused the delivery. So several events of one
//! person in a batch are one record, events that come late or twice change nothing, and whatever is written last is right.

mod given;
mod mark;
mod record;
#[cfg(test)]
pub(crate) mod trial;

use domain::connector::{Batch, Field, FieldKind, Item, Step};
use domain::identity::{Identifier, IdentifierKind, Profile, Stage};
use domain::{Settings, SubjectId, Verdict};

pub(crate) use self::given::{Given, Part};
pub(crate) use self::mark::{fingerprint, mark};
pub(crate) use self::record::Record;

/// Which people get a record.
pub(crate) const MATCH: Field = Field::optional(
    "match",
    FieldKind::Choice { of: &["registration", "stub", "referral"] },
    "which people get a record: `registration` those who are known by an account or an address, as soon as they are; `stub` \
     everybody whom an event names, a device too, to be completed when the person is known; `referral` those who came \
     through a referral",
)
.or("registration");

/// Whether records are brought up to date by what becomes known later.
pub(crate) const ON_IDENTIFY: Field = Field::optional(
    "on_identify",
    FieldKind::Choice { of: &["update", "ignore"] },
    "whether a record is written once more when a call to identify, or an event that does not come here, tells more of the \
     person",
)
.or("update");

/// What such a destination gets that names no events: those of which a sales team wants to hear.
pub(crate) const EVENTS: &[&str] =
    &["install.tracked", "referral.created", "referral.completed", "deferred_link.claimed"];

/// How events and people are brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matching {
    by: By,
    /// What [`domain::Outlet::reissues`] answers.
    pub(crate) reissues: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Registration,
    Stub,
    Referral,
}

impl Matching {
    /// As the settings say.
    pub(crate) fn of(settings: &Settings) -> Self {
        let by = match settings.text("match") {
            Some("stub") => By::Stub,
            Some("referral") => By::Referral,
            _ => By::Registration,
        };
        Self { by, reissues: settings.text("on_identify") != Some("ignore") }
    }

    /// Why somebody gets no record yet. `has_record` is whether the vendor has one already: that is brought up to date in any
    /// case.
    fn refuses(self, profile: &Profile, has_record: bool) -> Option<&'static str> {
        if has_record {
            return None;
        }
        match self.by {
            _ if is_only_code(profile) => Some(
                "a code was made for somebody to hand out, and nobody is known who has signed up by it; there is no record yet",
            ),
            _ if profile.stage() == Stage::Visitor => Some(
                "so far this person has followed a link and done no more; there is no record before an install or a referral",
            ),
            By::Registration if !profile.is_known() => Some(
                "nobody knows yet who this is; the record is written when a call to identify or a later event names the \
                 person",
            ),
            By::Referral if !profile.is_referred() => Some("this person did not come through a referral"),
            // A claim enriches; it is no reason to make a record of somebody of whom nothing else is known.
            By::Registration | By::Referral if is_only_claimed(profile) => Some(
                "so far this person has opened a link in the app and no install or referral is known; there is no record yet",
            ),
            _ => None,
        }
    }
}

/// Whether nobody has done anything yet but have a code made.
fn is_only_code(profile: &Profile) -> bool {
    let is_code = |one: &Identifier| one.kind() == IdentifierKind::Referral;
    profile.stage() == Stage::Visitor && profile.trace.clicked_at.is_none() && profile.identifiers.iter().all(is_code)
}

fn is_only_claimed(profile: &Profile) -> bool {
    let trace = &profile.trace;
    [trace.installed_at, trace.referred_at, trace.completed_at, trace.converted_at].iter().all(Option::is_none)
}

/// One person of a batch, to whom all events about the person belong.
pub(crate) struct Person<'a> {
    pub(crate) profile: &'a Profile,
    /// The newest of the events of the batch about this person, for templates.
    pub(crate) item: &'a Item<'a>,
    /// The places in the batch of everything about this person.
    pub(crate) places: Vec<usize>,
}

impl Person<'_> {
    /// The name of the record: the same for ever, and nobody else's.
    pub(crate) fn key(&self) -> String {
        self.profile.subject.to_string()
    }
}

/// The people of a batch, each once, in the order in which they come first.
pub(crate) struct People<'a> {
    pub(crate) people: Vec<Person<'a>>,
    /// What is settled already: events that cause no record.
    verdicts: Vec<Option<Verdict>>,
}

impl<'a> People<'a> {
    /// Who of a batch gets a record.
    pub(crate) fn of(batch: &'a Batch<'a>, matching: Matching, has_record: impl Fn(&Profile) -> bool) -> Self {
        let mut all = Self { people: Vec::new(), verdicts: vec![None; batch.items.len()] };
        for (place, item) in batch.items.iter().enumerate() {
            let Some(profile) = item.profile() else {
                all.verdicts[place] = Some(Verdict::skip(
                    "this event names nobody: no user, address, install, click or referral code; a link's token is shared \
                     by everybody who taps the link",
                ));
                continue;
            };
            if let Some(person) = all.people.iter_mut().find(|person| person.profile.subject == profile.subject) {
                person.places.push(place);
                if (item.event.occurred_at, item.event.id) > (person.item.event.occurred_at, person.item.event.id) {
                    person.item = item;
                }
                continue;
            }
            match matching.refuses(profile, has_record(profile)) {
                Some(message) => all.verdicts[place] = Some(Verdict::skip(message)),
                None => all.people.push(Person { profile, item, places: vec![place] }),
            }
        }
        all
    }

    /// The end of an exchange: what `judge` says of each person holds for all of the person's events.
    pub(crate) fn settle(&self, judge: impl Fn(&Person<'a>) -> Verdict) -> Step {
        let mut verdicts = self.verdicts.clone();
        for person in &self.people {
            let verdict = judge(person);
            for &place in &person.places {
                verdicts[place] = Some(verdict.clone());
            }
        }
        // Every item is either settled or some person's.
        Step::Settle(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Delivered)).collect())
    }
}

/// The subjects whose remote ids an exchange about a batch asks for: those it is about, and those that turned out to be them.
pub(crate) fn subjects(batch: &Batch<'_>) -> Vec<String> {
    let profiles = batch.items.iter().filter_map(Item::profile);
    let mut subjects: Vec<SubjectId> =
        profiles.flat_map(|profile| std::iter::once(profile.subject).chain(profile.absorbed.iter().copied())).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects.iter().map(ToString::to_string).collect()
}
