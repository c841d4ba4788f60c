//! Journeys: what happened to one person, step by step, and what a sales team sees of it.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::fact::{Happening, IDENTIFIED, ReferralCreated};
use super::profile::{Profile, Stage};
use super::trace::Money;
use crate::event::Event;
use crate::fields::Fields;
use crate::id::EventId;
use crate::time::Timestamp;

/// What happened to one person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Journey {
    #[serde(skip)]
    pub profile: Profile,
    pub stage: Stage,
    /// In the order of time.
    pub steps: Vec<Step>,
    /// Whether there are more events than it was told from.
    #[serde(skip)]
    pub is_cut: bool,
    pub record: SalesRecord,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    pub kind: StepKind,
    /// When it happened; of the visit to a store that nobody reported, not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The event that says so. A click that only a claim tells of has the event of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Since the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_step: Option<Span>,
    /// Since the first click.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_click: Option<Span>,
    /// Since the first install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_install: Option<Span>,
}

/// What kind of step it is. Of several at one time, the order is this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    Click,
    /// The person was in a store: whoever clicks first and has the app later was.
    Store,
    Install,
    Claim,
    Open,
    /// The person got a referral code to hand out.
    Code,
    Referral,
    Completion,
    Conversion,
    /// Somebody said who it is.
    Identified,
    /// Anything else that names the person.
    Event,
}

/// A span of time, and how to say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    pub ms: u64,
    pub text: String,
}

/// The record that a sales team sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SalesRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The prefix and the token of the first link: `go/summer-promo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_campaign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referred_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referral_source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_value: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_to_conversion: Option<Span>,
}

impl Journey {
    /// The journey of whoever this profile is of, told from the events about it, each with its `data` and what its source means
    /// by `referral.created`.
    pub fn of<'a>(profile: Profile, events: impl IntoIterator<Item = (&'a Event, &'a Value, ReferralCreated)>) -> Self {
        // What we tell of a person is no step of the person's.
        let is_told = |event: &Event| event.event_type.is_operational() && event.event_type.as_str() != IDENTIFIED;
        let events = events.into_iter().filter(|(event, ..)| !is_told(event));
        let mut steps: Vec<Step> = events.flat_map(|(event, data, meaning)| steps_of(event, data, meaning)).collect();
        steps.sort_by_key(|step| (step.at, step.kind, step.event));
        // What a claim tells of a click need not be said again beside the click itself.
        let clicks: Vec<Timestamp> =
            steps.iter().filter(|step| is_own_click(step)).filter_map(|step| step.at).collect();
        steps.retain(|step| {
            step.kind != StepKind::Click || is_own_click(step) || !step.at.is_some_and(|at| clicks.contains(&at))
        });
        add_store(&mut steps);
        add_spans(&mut steps);
        let record = SalesRecord::of(&profile);
        Self { stage: profile.stage(), profile, steps, is_cut: false, record }
    }
}

fn is_own_click(step: &Step) -> bool {
    step.kind == StepKind::Click && step.event_type.as_deref() == Some("link.clicked")
}

/// The steps that one event tells of.
fn steps_of(event: &Event, data: &Value, meaning: ReferralCreated) -> Vec<Step> {
    let fields = Fields::of(data);
    let kind = match Happening::of(event.event_type.as_str(), data, &fields, meaning) {
        Happening::Click => StepKind::Click,
        Happening::Open => StepKind::Open,
        Happening::Install => StepKind::Install,
        Happening::Claim => StepKind::Claim,
        Happening::CodeGenerated => StepKind::Code,
        Happening::Referral => StepKind::Referral,
        Happening::Completion => StepKind::Completion,
        Happening::Conversion => StepKind::Conversion,
        Happening::Identified => StepKind::Identified,
        Happening::Other if event.event_type.as_str().contains("store_redirect") => StepKind::Store,
        Happening::Other => StepKind::Event,
    };
    let at = event.occurred_at.min(event.received_at);
    let step = |kind, at| Step {
        kind,
        at: Some(at),
        event: Some(event.id),
        event_type: Some(event.event_type.to_string()),
        campaign: fields.campaign.as_deref().map(str::to_owned),
        after_step: None,
        after_click: None,
        after_install: None,
    };
    let click = fields.original_click_at.filter(|click| *click < at && kind != StepKind::Click);
    click.map(|click| step(StepKind::Click, click)).into_iter().chain([step(kind, at)]).collect()
}

/// Who clicked first and has the app later was in a store between the two.
fn add_store(steps: &mut Vec<Step>) {
    let has_app = |step: &Step| matches!(step.kind, StepKind::Install | StepKind::Claim);
    let Some(place) = steps.iter().position(has_app) else { return };
    let has_clicked = steps[..place].iter().any(|step| step.kind == StepKind::Click);
    if !has_clicked || steps.iter().any(|step| step.kind == StepKind::Store) {
        return;
    }
    let store = Step {
        kind: StepKind::Store,
        at: None,
        event: None,
        event_type: None,
        campaign: None,
        after_step: None,
        after_click: None,
        after_install: None,
    };
    steps.insert(place, store);
}

fn add_spans(steps: &mut [Step]) {
    let first = |kind| steps.iter().find(|step| step.kind == kind).and_then(|step| step.at);
    let (click, install) = (first(StepKind::Click), first(StepKind::Install));
    let mut before = None;
    for step in steps.iter_mut() {
        let Some(at) = step.at else { continue };
        let since =
            |earlier: Option<Timestamp>| earlier.filter(|earlier| *earlier <= at).map(|from| Span::between(from, at));
        step.after_step = since(before);
        step.after_click = since(click).filter(|_| step.kind != StepKind::Click);
        step.after_install = since(install).filter(|_| step.kind != StepKind::Install);
        before = Some(at);
    }
}

impl SalesRecord {
    /// What a sales team sees of a person.
    pub fn of(profile: &Profile) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let first = profile.first_touch().map(|(touch, _)| touch);
        let last = profile.last_touch().map(|(touch, _)| touch);
        let link = first.and_then(|touch| {
            let parts: Vec<&str> = [&touch.prefix, &touch.token].into_iter().flatten().map(String::as_str).collect();
            (!parts.is_empty()).then(|| parts.join("/"))
        });
        let trace = &profile.trace;
        let took = trace.installed_at.zip(trace.converted_at).filter(|(installed, converted)| installed <= converted);
        Self {
            lead_source: profile.lead_source(),
            campaign: first.and_then(|touch| touch.campaign.clone()),
            channel: first.and_then(|touch| touch.channel.clone()),
            platform: text(profile.platform()),
            link,
            last_campaign: last.and_then(|touch| touch.campaign.clone()),
            last_channel: last.and_then(|touch| touch.channel.clone()),
            installed_at: trace.installed_at,
            referred_at: trace.referred_at,
            referral_source: text(profile.referral_source()),
            converted_at: trace.converted_at,
            conversion_value: profile.money().cloned(),
            install_to_conversion: took.map(|(installed, converted)| Span::between(installed, converted)),
        }
    }
}

impl Span {
    /// From one time to a later one.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        let span = to.since(from);
        Self { ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX), text: in_words(span) }
    }
}

/// A span in words: `18 minutes`, `2 days 3 hours`; at most two units, rounded down.
pub fn in_words(span: Duration) -> String {
    let secs = span.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let Some(largest) = units.iter().position(|(unit_secs, _)| secs >= *unit_secs) else {
        return "less than a second".to_owned();
    };
    let said = |(secs, (unit_secs, unit)): (u64, (u64, &str))| {
        let count = secs / unit_secs;
        format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
    };
    let (unit_secs, _) = units[largest];
    let rest = secs % unit_secs;
    // Seconds beside minutes are more than anybody asks for.
    let smaller = units[..3].get(largest + 1).filter(|(unit_secs, _)| rest >= *unit_secs);
    let parts = [Some((secs, units[largest])), smaller.map(|unit| (rest, *unit))];
    parts.into_iter().flatten().map(said).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::event::{DedupeKey, TimeMark};
    use crate::id::{AppspaceId, SourceId, SubjectId};
    use crate::identity::{Fact, Identifier, Trace};

    const START: Timestamp = Timestamp::from_secs(1_772_634_728);

    /// The journey of the user 1 through these events, each so many minutes after the start.
    fn journey(events: &[(u64, &str, Value)]) -> Journey {
        let appspace = AppspaceId::mint(START, 1);
        let event = |(number, (minutes, event_type, data)): (usize, &(u64, &str, Value))| {
            let at = START + Duration::from_secs(minutes * 60);
            let body = json!({ "event": event_type, "data": data }).to_string();
            Event {
                id: EventId::mint(at, number as u128),
                appspace,
                source: SourceId::API,
                event_type: event_type.parse().unwrap(),
                occurred_at: at,
                received_at: at,
                time_mark: TimeMark::Sender,
                dedupe_key: DedupeKey::of_body(SourceId::API, appspace, body.as_bytes()),
                body: body.into(),
            }
        };
        let all: Vec<Event> = events.iter().enumerate().map(event).collect();
        let (mut trace, mut identifiers) = (Trace::default(), BTreeSet::<Identifier>::new());
        let told = || all.iter().zip(events).map(|(event, (_, _, data))| (event, data, ReferralCreated::Shown));
        for fact in told().filter_map(|(event, data, meaning)| Fact::of(event, data, meaning)) {
            trace.merge(&fact.trace);
            identifiers.extend(fact.identifiers);
        }
        let subject = SubjectId::born(appspace, identifiers.first().unwrap(), 0);
        Journey::of(Profile { subject, absorbed: BTreeSet::new(), lost: BTreeSet::new(), identifiers, trace }, told())
    }

    /// `click | store | install +4 minutes`: each step, and how long after the one before it.
    fn line(journey: &Journey) -> String {
        let step = |step: &Step| {
            let kind = serde_json::to_value(step.kind).unwrap();
            let after = step.after_step.as_ref().map_or_else(String::new, |span| format!(" +{}", span.text));
            format!("{}{after}", kind.as_str().unwrap())
        };
        journey.steps.iter().map(step).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn a_journey_goes_from_the_click_to_the_conversion_and_says_how_long_each_step_took() {
        let journey = journey(&[
            (4, "install.tracked", json!({ "click_id": "c", "install_id": "i", "platform": "ios" })),
            (0, "link.clicked", json!({ "click_id": "c", "campaign": "a", "prefix": "/go/", "token": "t" })),
            (5, "deferred_link.claimed", json!({ "install_id": "i", "original_click_at": START })),
            (6, "referral.created", json!({ "install_id": "i", "referral_code": "r", "referrer_id": "u" })),
            (22, "referral.completed", json!({ "referred_user_id": "1", "install_id": "i", "referral_code": "r" })),
        ]);
        assert_eq!(
            line(&journey),
            "click | store | install +4 minutes | claim +1 minute | referral +1 minute | completion +16 minutes"
        );
        let last = journey.steps.last().unwrap();
        assert_eq!(last.after_install.as_ref().unwrap().text, "18 minutes");
        assert_eq!(last.after_click.as_ref().unwrap().text, "22 minutes");
        let record = serde_json::to_value(&journey.record).unwrap();
        assert_eq!(
            record,
            json!({
                "lead_source": "Deep Link",
                "campaign": "a",
                "platform": "ios",
                "link": "go/t",
                "last_campaign": "a",
                "installed_at": START + Duration::from_mins(4),
                "referred_at": START + Duration::from_mins(6),
                "referral_source": "u",
                "converted_at": START + Duration::from_mins(22),
                "install_to_conversion": { "ms": 1_080_000, "text": "18 minutes" },
            })
        );
    }

    #[test]
    fn a_click_that_only_the_claim_tells_of_is_a_step() {
        let journey = journey(&[(
            90,
            "deferred_link.claimed",
            json!({ "install_id": "i", "original_click_at": START, "campaign": "a" }),
        )]);
        assert_eq!(line(&journey), "click | store | claim +1 hour 30 minutes");
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (secs, expect) in [
            (0, "less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (1_080, "18 minutes"),
            (1_099, "18 minutes"),
            (3_600, "1 hour"),
            (7_500, "2 hours 5 minutes"),
            (86_400 + 60, "1 day"),
            (200_000, "2 days 7 hours"),
        ] {
            assert_eq!(in_words(Duration::from_secs(secs)), expect);
        }
    }
}
