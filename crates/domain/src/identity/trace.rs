//! Traces: what events have left behind about somebody, in a form that can be put together in any order.
//!
//! Each member of a [`Trace`] is the least, the greatest or the union of what was told. So [`Trace::merge`] is associative,
//! commutative and idempotent, and a fact that comes late, twice or out of order ends in the same trace.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Timestamp;

/// Most traits of one subject beside those that say who it is; of more, those whose names come first in the alphabet are kept.
pub const TRAITS_MAX: usize = 64;
/// Traits that say who somebody is. There is always room for them.
const OF_PERSON: [&str; 5] = ["email", "name", "first_name", "last_name", "phone"];

/// Whether a trait of this name counts among [`TRAITS_MAX`].
pub fn is_counted(name: &str) -> bool {
    !OF_PERSON.contains(&name)
}

/// A value with the moment it is from. Two of the same moment are told apart by what their events hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped<T> {
    pub at: Timestamp,
    /// The fingerprint of the event's dedupe key.
    pub tie: u64,
    pub value: T,
}

impl<T> Stamped<T> {
    fn moment(&self) -> (Timestamp, u64) {
        (self.at, self.tie)
    }
}

/// Somebody followed a link: where it led them from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Touch {
    /// How much the event is worth as a touch. The better one counts, however early or late the lesser one is.
    pub worth: Worth,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The link's own token and prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// What a touch is worth, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// A device was seen, and nothing says what brought it.
    #[default]
    Device,
    /// A campaign is named by an event that is no touch itself: a conversion for example.
    Attributed,
    /// A link was followed, as far as a comparison of devices can say.
    Likely,
    /// A link was followed.
    Certain,
}

/// An amount, in units of its currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Money {
    pub amount: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// What events have left behind about somebody.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// The first of the best touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_touch: Option<Stamped<Touch>>,
    /// The last of the best touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_touch: Option<Stamped<Touch>>,
    /// The first platform that was named, for touches that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Stamped<String>>,
    /// When each of these happened first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clicked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Timestamp>,
    /// The person signed up through a referral.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referred_at: Option<Timestamp>,
    /// A referral was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The person did what the link was for: a completed referral, a conversion or a purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted_at: Option<Timestamp>,
    /// Who referred, by the first event that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Stamped<String>>,
    /// The code of the referral, by the first event that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referral_code: Option<Stamped<String>>,
    /// The milestone that was reached last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milestone: Option<Stamped<String>>,
    /// The amount of the last conversion that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<Stamped<Money>>,
    /// Of each trait what was said last: `name`, `phone`, and whatever a call to identify gives.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub traits: BTreeMap<String, Stamped<Value>>,
    /// Of what a destination may see: what is held back from it or cut, of [`HELD_BACK`]. That such a thing is missing here does not mean
    /// that there is none.
    #[serde(skip)]
    pub withheld: BTreeSet<&'static str>,
}

/// Fields of which a destination that keeps people must know whether they are missing or only held back.
pub const HELD_BACK: [&str; 16] = [
    "first_touch",
    "last_touch",
    "campaign",
    "channel",
    "platform",
    "token",
    "prefix",
    "installed_at",
    "referred_at",
    "converted_at",
    "referrer_id",
    "referral_code",
    "revenue",
    "currency",
    "email",
    "first_name",
];

impl Trace {
    /// What both say together.
    pub fn merge(&mut self, other: &Self) {
        least(&mut self.first_seen, other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        for (own, others) in [
            (&mut self.clicked_at, other.clicked_at),
            (&mut self.installed_at, other.installed_at),
            (&mut self.claimed_at, other.claimed_at),
            (&mut self.referred_at, other.referred_at),
            (&mut self.completed_at, other.completed_at),
            (&mut self.converted_at, other.converted_at),
        ] {
            least(own, others);
        }
        better(&mut self.first_touch, other.first_touch.as_ref(), |a, b| {
            (b.value.worth, a.moment()) < (a.value.worth, b.moment())
        });
        better(&mut self.last_touch, other.last_touch.as_ref(), |a, b| {
            (a.value.worth, a.moment()) > (b.value.worth, b.moment())
        });
        first(&mut self.platform, other.platform.as_ref());
        first(&mut self.referrer, other.referrer.as_ref());
        first(&mut self.referral_code, other.referral_code.as_ref());
        last(&mut self.milestone, other.milestone.as_ref());
        last(&mut self.money, other.money.as_ref());
        for (name, value) in &other.traits {
            let mut own = self.traits.remove(name);
            last(&mut own, Some(value));
            self.traits.extend(own.map(|own| (name.clone(), own)));
        }
        let beyond: Vec<String> =
            self.traits.keys().filter(|name| is_counted(name)).skip(TRAITS_MAX).cloned().collect();
        for name in beyond {
            self.traits.remove(&name);
        }
    }

    /// Whether it says anything about what a sales team wants to know, and not only that somebody was seen.
    pub fn is_telling(&self) -> bool {
        [self.installed_at, self.claimed_at, self.referred_at, self.completed_at, self.converted_at]
            .iter()
            .any(Option::is_some)
    }
}

fn least(own: &mut Option<Timestamp>, other: Option<Timestamp>) {
    *own = [*own, other].into_iter().flatten().min();
}

fn first<T: Clone>(own: &mut Option<Stamped<T>>, other: Option<&Stamped<T>>) {
    better(own, other, |a, b| a.moment() < b.moment());
}

fn last<T: Clone>(own: &mut Option<Stamped<T>>, other: Option<&Stamped<T>>) {
    better(own, other, |a, b| a.moment() > b.moment());
}

/// Takes the other one if there is no own one or if it `beats` it.
fn better<T: Clone>(
    own: &mut Option<Stamped<T>>,
    other: Option<&Stamped<T>>,
    beats: impl Fn(&Stamped<T>, &Stamped<T>) -> bool,
) {
    if let Some(other) = other
        && own.as_ref().is_none_or(|own| beats(other, own))
    {
        *own = Some(other.clone());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn touch(worth: Worth, seconds: i64, campaign: &str) -> Trace {
        let value = Touch { worth, campaign: Some(campaign.to_owned()), ..Touch::default() };
        let touch = Some(Stamped { at: Timestamp::from_secs(seconds), tie: 0, value });
        Trace { first_touch: touch.clone(), last_touch: touch, ..Trace::default() }
    }

    fn campaigns(traces: &[Trace]) -> (String, String) {
        let mut all = Trace::default();
        for trace in traces {
            all.merge(trace);
        }
        let campaign = |touch: Option<Stamped<Touch>>| touch.unwrap().value.campaign.unwrap();
        (campaign(all.first_touch), campaign(all.last_touch))
    }

    #[test]
    fn first_and_last_touch_are_kept_and_a_lesser_one_never_counts_beside_a_better_one() {
        let (first, last) = campaigns(&[
            touch(Worth::Certain, 20, "b"),
            touch(Worth::Likely, 5, "guessed"),
            touch(Worth::Certain, 10, "a"),
            touch(Worth::Certain, 30, "c"),
            touch(Worth::Attributed, 40, "bought"),
        ]);
        assert_eq!((first.as_str(), last.as_str()), ("a", "c"));
    }

    #[test]
    fn who_somebody_is_has_room_however_many_traits_there_are() {
        let said = |names: &[String]| Trace {
            traits: names
                .iter()
                .map(|name| (name.clone(), Stamped { at: Timestamp::from_secs(1), tie: 0, value: Value::from(1) }))
                .collect(),
            ..Trace::default()
        };
        let many: Vec<String> = (0..TRAITS_MAX + 2).map(|number| format!("a{number:02}")).collect();
        let mut trace = said(&many);
        trace.merge(&said(&OF_PERSON.map(str::to_owned)));
        let kept: Vec<&str> = trace.traits.keys().map(String::as_str).collect();
        assert_eq!(kept.len(), TRAITS_MAX + OF_PERSON.len());
        assert!(OF_PERSON.iter().all(|name| kept.contains(name)) && !kept.contains(&"a64"), "{kept:?}");
    }

    fn any_trace() -> impl Strategy<Value = Trace> {
        let stamp = || (0_i64..5, 0_u64..1_000);
        let touch =
            (stamp(), prop::sample::select(vec![Worth::Device, Worth::Attributed, Worth::Likely, Worth::Certain]));
        (prop::option::of(touch), stamp(), prop::option::of(0_i64..5), "[a-c]").prop_map(
            |(touch, (seconds, tie), installed, name)| {
                let at = Timestamp::from_secs(seconds);
                // What is said at one moment comes of one event, and an event says one thing.
                let said = Stamped { at, tie, value: Value::from(format!("{seconds} {tie}")) };
                let touch = touch.map(|((seconds, tie), worth)| Stamped {
                    at: Timestamp::from_secs(seconds),
                    tie,
                    value: Touch { worth, campaign: Some(format!("{seconds} {tie}")), ..Touch::default() },
                });
                Trace {
                    first_seen: Some(at),
                    last_seen: Some(at),
                    first_touch: touch.clone(),
                    last_touch: touch,
                    installed_at: installed.map(Timestamp::from_secs),
                    traits: BTreeMap::from([(name, said)]),
                    ..Trace::default()
                }
            },
        )
    }

    proptest! {
        #[test]
        fn amounts_survive_any_number_of_rewrites(
            amount in any::<f64>().prop_filter("JSON has no others", |amount| amount.is_finite()),
            cents in 0_u64..100_000_000_000,
        ) {
            for amount in [amount, cents as f64 / 100.0, cents as f64 * 1.1] {
                let at = Timestamp::from_secs(1);
                let money = Money { amount, currency: None };
                let score = Stamped { at, tie: 0, value: Value::from(amount) };
                let first = Trace {
                    money: Some(Stamped { at, tie: 0, value: money }),
                    traits: BTreeMap::from([("score".to_owned(), score)]),
                    ..Trace::default()
                };
                let mut trace = first.clone();
                for _ in 0..8 {
                    trace = serde_json::from_slice(&serde_json::to_vec(&trace).unwrap()).unwrap();
                }
                prop_assert_eq!(&trace, &first);
            }
        }

        #[test]
        fn traces_come_together_in_any_order_and_any_number_of_times(
            traces in prop::collection::vec(any_trace(), 1..8),
            turn in any::<prop::sample::Index>(),
        ) {
            let all = |traces: &[Trace]| {
                let mut all = Trace::default();
                for trace in traces {
            all.merge(trace);
        }
                all
            };
            let mut other: Vec<_> = traces.iter().rev().cloned().chain(traces.iter().cloned()).collect();
            let middle = turn.index(other.len());
            other.rotate_left(middle);
            // In two parts first, then the parts.
            let (left, right) = other.split_at(middle);
            let parts = [all(left), all(right)];
            prop_assert_eq!(all(&traces), all(&other));
            prop_assert_eq!(all(&traces), all(&parts));
        }
    }
}
