//! Profiles: all that is known of one subject, and what a sales team sees of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::fact::Fact;
use super::identifier::{Identifier, IdentifierKind};
use super::trace::{Money, Touch, Trace, Worth};
use crate::id::{AppspaceId, SubjectId};
use crate::time::Timestamp;

/// What a record's lead source is, as the sales team sees it.
const LEAD_SOURCE: &str = "Deep Link";

/// All that is known of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The same from the first fact on, whatever else becomes known.
    pub subject: SubjectId,
    /// Subjects that turned out to be this one. A vendor may have a record of each.
    pub absorbed: BTreeSet<SubjectId>,
    /// Kinds of identifiers of which one turned out to be somebody else's: what a vendor was told because of it is not true.
    pub lost: BTreeSet<IdentifierKind>,
    /// Best first.
    pub identifiers: BTreeSet<Identifier>,
    /// What all its events have left behind.
    pub trace: Trace,
}

/// How far somebody has come. The order is that of time; nobody goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Clicked, at most.
    Visitor,
    /// Installed, claimed a link or was referred.
    Lead,
    /// Converted or completed a referral.
    Customer,
}

impl Profile {
    /// What one fact alone says: for a preview, where nothing is stored.
    pub fn of(appspace: AppspaceId, fact: Fact) -> Option<Self> {
        let subject = SubjectId::born(appspace, fact.identifiers.first()?, 0);
        let identifiers = fact.identifiers.into_iter().collect();
        Some(Self { subject, absorbed: BTreeSet::new(), lost: BTreeSet::new(), identifiers, trace: fact.trace })
    }

    /// The account in the app.
    pub fn user_id(&self) -> Option<&str> {
        self.named(IdentifierKind::User)
    }

    /// The address: the one that was said last or, if the events do not tell, any.
    pub fn email(&self) -> Option<&str> {
        let said = self.trait_text("email").and_then(|text| Identifier::new(IdentifierKind::Email, text));
        let said = said.and_then(|email| self.identifiers.get(&email));
        said.map(Identifier::value).or_else(|| self.named(IdentifierKind::Email))
    }

    /// What the person is called.
    pub fn name(&self) -> Option<&str> {
        self.trait_text("name")
    }

    /// The person's telephone number.
    pub fn phone(&self) -> Option<&str> {
        self.trait_text("phone")
    }

    /// A trait that is a text and not empty.
    pub fn trait_text(&self, name: &str) -> Option<&str> {
        self.trace.traits.get(name).and_then(|said| said.value.as_str()).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether it is a person that is known by an account or an address, and not only a device.
    pub fn is_known(&self) -> bool {
        self.identifiers.iter().any(|identifier| identifier.kind().is_person())
    }

    /// Whether a referral is known of it.
    pub fn is_referred(&self) -> bool {
        self.trace.referred_at.is_some() || self.trace.completed_at.is_some() || self.trace.referral_code.is_some()
    }

    /// The first touch, and since when.
    pub fn first_touch(&self) -> Option<(&Touch, Timestamp)> {
        self.trace.first_touch.as_ref().map(|touch| (&touch.value, touch.at))
    }

    /// The last touch, and since when.
    pub fn last_touch(&self) -> Option<(&Touch, Timestamp)> {
        self.trace.last_touch.as_ref().map(|touch| (&touch.value, touch.at))
    }

    /// The platform of the first touch or, if it names none, the first that was named.
    pub fn platform(&self) -> Option<&str> {
        let touched = self.first_touch().and_then(|(touch, _)| touch.platform.as_deref());
        touched.or(self.trace.platform.as_ref().map(|platform| platform.value.as_str()))
    }

    /// Who referred the person: an id, or the token or the code that stands for the referrer.
    pub fn referral_source(&self) -> Option<&str> {
        let referrer = self.trace.referrer.as_ref().or(self.trace.referral_code.as_ref());
        referrer.map(|referrer| referrer.value.as_str())
    }

    /// The amount of the last conversion.
    pub fn money(&self) -> Option<&Money> {
        self.trace.money.as_ref().map(|money| &money.value)
    }

    /// What a record's lead source is; none of somebody of whom it is only known who it is.
    pub fn lead_source(&self) -> Option<&'static str> {
        let is_led = self.first_touch().is_some_and(|(touch, _)| touch.worth > Worth::Device);
        let is_any = is_led || self.trace.clicked_at.is_some() || self.is_referred() || self.trace.is_telling();
        is_any.then_some(LEAD_SOURCE)
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        if self.trace.converted_at.is_some() {
            Stage::Customer
        } else if self.trace.is_telling() {
            Stage::Lead
        } else {
            Stage::Visitor
        }
    }

    /// The profile for templates, as `person`: every member that is known, none that is not.
    pub fn value(&self) -> Value {
        let text = |text: Option<&str>| text.map(Value::from);
        let time = |time: Option<Timestamp>| time.map(|time| Value::from(time.to_string()));
        let touch = |touch: Option<(&Touch, Timestamp)>| touch.and_then(|(touch, _)| serde_json::to_value(touch).ok());
        let traits =
            self.trace.traits.iter().filter(|(name, said)| *name != "email" || self.is_own_address(&said.value));
        let traits: BTreeMap<_, _> = traits.map(|(name, said)| (name, &said.value)).collect();
        let members = [
            ("subject", Some(Value::from(self.subject.to_string()))),
            ("user_id", text(self.user_id())),
            ("email", text(self.email())),
            ("name", text(self.name())),
            ("phone", text(self.phone())),
            ("traits", serde_json::to_value(traits).ok()),
            ("stage", serde_json::to_value(self.stage()).ok()),
            ("platform", text(self.platform())),
            ("first_touch", touch(self.first_touch())),
            ("last_touch", touch(self.last_touch())),
            ("first_touch_at", time(self.first_touch().map(|(_, at)| at))),
            ("last_touch_at", time(self.last_touch().map(|(_, at)| at))),
            ("installed_at", time(self.trace.installed_at)),
            ("claimed_at", time(self.trace.claimed_at)),
            ("referred_at", time(self.trace.referred_at)),
            ("completed_at", time(self.trace.completed_at)),
            ("converted_at", time(self.trace.converted_at)),
            ("referral_code", text(self.trace.referral_code.as_ref().map(|code| code.value.as_str()))),
            ("referral_source", text(self.referral_source())),
            ("milestone", text(self.trace.milestone.as_ref().map(|milestone| milestone.value.as_str()))),
            ("revenue", self.money().map(|money| Value::from(money.amount))),
            ("currency", text(self.money().and_then(|money| money.currency.as_deref()))),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Whether an address that was said is the person's still: it may have been unlinked.
    fn is_own_address(&self, said: &Value) -> bool {
        let email = said.as_str().and_then(|text| Identifier::new(IdentifierKind::Email, text));
        email.is_some_and(|email| self.identifiers.contains(&email))
    }

    fn named(&self, kind: IdentifierKind) -> Option<&str> {
        self.identifiers.iter().find(|identifier| identifier.kind() == kind).map(Identifier::value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{Moment, Stamped};

    fn id(text: &str) -> Identifier {
        text.parse().unwrap()
    }

    fn profile(identifiers: &[&str], trace: Trace) -> Profile {
        let identifiers: BTreeSet<_> = identifiers.iter().map(|text| id(text)).collect();
        let appspace = AppspaceId::mint(Timestamp::from_secs(1), 1);
        let subject = SubjectId::born(appspace, identifiers.first().unwrap(), 0);
        Profile { subject, absorbed: BTreeSet::new(), lost: BTreeSet::new(), identifiers, trace }
    }

    fn said(name: &str, value: Value) -> Trace {
        let Moment { at, tie } = Moment { at: Timestamp::from_secs(1), tie: 0 };
        Trace { traits: BTreeMap::from([(name.to_owned(), Stamped { at, tie, value })]), ..Trace::default() }
    }

    #[test]
    fn the_address_is_the_one_that_was_said_last_and_is_the_persons() {
        let emails = ["user:1", "email:a@b.c", "email:d@e.f"];
        assert_eq!(profile(&emails, Trace::default()).email(), Some("a@b.c"));
        assert_eq!(profile(&emails, said("email", json!("D@e.f"))).email(), Some("d@e.f"));
        assert_eq!(profile(&emails, said("email", json!("x@y.z"))).email(), Some("a@b.c"));
    }

    #[test]
    fn an_address_that_is_no_longer_the_persons_is_no_trait_either() {
        let email = |identifiers: &[&str]| {
            profile(identifiers, said("email", json!(" Ada@b.C"))).value()["traits"].get("email").cloned()
        };
        assert_eq!(email(&["user:1", "email:ada@b.c"]), Some(json!(" Ada@b.C")));
        assert_eq!(email(&["user:1", "email:other@b.c"]), None);
    }

    #[test]
    fn a_device_is_nobody_in_particular() {
        assert!(!profile(&["install:i", "click:c"], Trace::default()).is_known());
        assert!(profile(&["install:i", "email:a@b.c"], Trace::default()).is_known());
    }

    #[test]
    fn who_is_only_known_has_no_lead_source() {
        let moment = Some(Timestamp::from_secs(9));
        let seen = Some(Stamped { at: Timestamp::from_secs(9), tie: 0, value: Touch::default() });
        let source = |trace: Trace| profile(&["user:1", "email:a@b.c"], trace).lead_source();
        assert_eq!(source(said("plan", json!("pro"))), None);
        assert_eq!(source(Trace { first_touch: seen, ..Trace::default() }), None);
        for trace in [
            Trace { clicked_at: moment, ..Trace::default() },
            Trace { installed_at: moment, ..Trace::default() },
            Trace { referred_at: moment, ..Trace::default() },
            Trace { converted_at: moment, ..Trace::default() },
        ] {
            assert_eq!(source(trace.clone()), Some("Deep Link"), "{trace:?}");
        }
    }

    #[test]
    fn nobody_goes_back() {
        let trace = Trace { converted_at: Some(Timestamp::from_secs(9)), ..Trace::default() };
        let mut later = trace.clone();
        later.merge(&Trace { installed_at: Some(Timestamp::from_secs(20)), ..Trace::default() });
        assert_eq!(profile(&["user:1"], trace).stage(), Stage::Customer);
        assert_eq!(profile(&["user:1"], later).stage(), Stage::Customer);
    }

    #[test]
    fn what_is_not_known_is_no_member() {
        let value = profile(&["user:1"], said("plan", json!("pro"))).value();
        assert_eq!(value["user_id"], "1");
        assert_eq!(value["traits"]["plan"], "pro");
        assert!(value.get("email").is_none());
    }
}
