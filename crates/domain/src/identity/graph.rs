//! The graph: which identifiers are one subject.
//!
//! A fact that names several identifiers links the best of them to each of the others. All links are taken in one order, that
//! of their class and then of the moment at which they were first told, and each puts together what it links unless that
//! would make one person of two:
//!
//! 1. A user and an address: never two users.
//! 2. Anything and a device, a click or an anonymous id: never two persons, of whom at least one has no user to show that they
//!    are the same.
//! 3. Anything and the code of a referral: never two persons, nor two installs, two clicks or two anonymous ids, because codes
//!    may be handed to several people.
//!
//! An identifier that is linked to more than [`SHARERS_MAX`] persons is shared: it names nobody any longer and joins nothing,
//! see [`is_shared`].
//!
//! What is not put together stays apart until a link says otherwise. Since the order is one of the links and not of their
//! arrival, the outcome depends on which links there are and on nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::identifier::{Identifier, IdentifierKind};
use crate::time::Timestamp;

/// Most persons that an identifier is linked to and still names one of them; of a referral's code, most identifiers of any
/// kind. A tablet in a shop is nobody, and so is an id that an app fills with zeros.
pub const SHARERS_MAX: usize = 16;

/// Whether an identifier with these links is one that many use.
pub fn is_shared(identifier: &Identifier, links: &BTreeMap<Identifier, Moment>) -> bool {
    let counts = |other: &Identifier| match identifier.kind() {
        IdentifierKind::User => false,
        IdentifierKind::Email => other.kind() == IdentifierKind::User,
        IdentifierKind::Referral => true,
        IdentifierKind::Install | IdentifierKind::Click | IdentifierKind::Anonymous => other.kind().is_person(),
    };
    links.keys().filter(|other| counts(other)).take(SHARERS_MAX + 1).count() > SHARERS_MAX
}

/// When something was told first. Two of the same time are told apart by what their events hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    pub at: Timestamp,
    /// The fingerprint of the event's dedupe key.
    pub tie: u64,
}

/// Links between identifiers, each with the moment it was told first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<(Identifier, Identifier), Moment>);

impl Links {
    /// Links the best of `identifiers`, which come best first, to each of the others. Returns whether that says anything new:
    /// a link that was not there, or one that is older than it was.
    pub fn tell(&mut self, identifiers: &[Identifier], moment: Moment) -> bool {
        let Some((best, others)) = identifiers.split_first() else { return false };
        let mut is_new = false;
        for other in others.iter().filter(|other| *other != best) {
            is_new |= self.insert(best, other, moment);
        }
        is_new
    }

    /// Links two identifiers. Returns whether that says anything new.
    pub fn insert(&mut self, a: &Identifier, b: &Identifier, moment: Moment) -> bool {
        let pair = if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        match self.0.get_mut(&pair) {
            Some(told) if *told <= moment => false,
            Some(told) => {
                *told = moment;
                true
            }
            None => {
                self.0.insert(pair, moment);
                true
            }
        }
    }

    /// Removes every link of one identifier.
    pub fn cut(&mut self, identifier: &Identifier) {
        self.0.retain(|(a, b), _| a != identifier && b != identifier);
    }

    /// The links of one identifier: the other ends, and since when.
    pub fn of(&self, identifier: &Identifier) -> BTreeMap<Identifier, Moment> {
        let ends = self.0.iter().filter_map(|((a, b), moment)| match (a == identifier, b == identifier) {
            (true, _) => Some((b.clone(), *moment)),
            (_, true) => Some((a.clone(), *moment)),
            _ => None,
        });
        ends.collect()
    }

    /// Which of `identifiers`, and of all that are linked, are one subject. Each group comes with its best identifier first.
    pub fn resolve(&self, identifiers: impl IntoIterator<Item = Identifier>) -> Vec<BTreeSet<Identifier>> {
        let linked = self.0.keys().flat_map(|(a, b)| [a.clone(), b.clone()]);
        let nodes: BTreeSet<Identifier> = linked.chain(identifiers).collect();
        let mut groups = Groups::new(nodes.into_iter().collect());
        let mut links: Vec<_> = self.0.iter().collect();
        links.sort_by_key(|(pair, moment)| (Class::of(pair), **moment, *pair));
        for (pair, _) in links {
            groups.join(&pair.0, &pair.1, Class::of(pair));
        }
        groups.into_sets()
    }
}

/// How far a link is to be trusted, most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Person,
    Device,
    Referral,
}

impl Class {
    fn of((a, b): &(Identifier, Identifier)) -> Self {
        if a.kind() == IdentifierKind::Referral || b.kind() == IdentifierKind::Referral {
            Self::Referral
        } else if a.kind().is_person() && b.kind().is_person() {
            Self::Person
        } else {
            Self::Device
        }
    }

    /// Whether two groups that hold identifiers of these kinds may be one.
    fn joins(self, a: Kinds, b: Kinds) -> bool {
        match self {
            Self::Person => !both(a, b, &[IdentifierKind::User]),
            Self::Device => !(a.has_person() && b.has_person()),
            Self::Referral => {
                let devices = [IdentifierKind::Install, IdentifierKind::Click, IdentifierKind::Anonymous];
                !(both(a, b, &devices) || a.has_person() && b.has_person())
            }
        }
    }
}

fn both(a: Kinds, b: Kinds, kinds: &[IdentifierKind]) -> bool {
    kinds.iter().any(|&kind| a.has(kind) && b.has(kind))
}

/// Which kinds of identifiers a group holds.
#[derive(Debug, Clone, Copy, Default)]
struct Kinds(u8);

impl Kinds {
    const fn of(kind: IdentifierKind) -> Self {
        Self(1 << kind as u8)
    }

    const fn has(self, kind: IdentifierKind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    const fn has_person(self) -> bool {
        self.has(IdentifierKind::User) || self.has(IdentifierKind::Email)
    }
}

/// Groups of identifiers that grow together: a forest in which each group has one root.
struct Groups {
    nodes: Vec<Identifier>,
    parents: Vec<usize>,
    /// Of roots.
    kinds: Vec<Kinds>,
}

impl Groups {
    /// Each of `nodes`, which are in order and each there once, by itself.
    fn new(nodes: Vec<Identifier>) -> Self {
        let kinds = nodes.iter().map(|node| Kinds::of(node.kind())).collect();
        Self { parents: (0..nodes.len()).collect(), nodes, kinds }
    }

    fn join(&mut self, a: &Identifier, b: &Identifier, class: Class) {
        let (a, b) = (self.root_of(a), self.root_of(b));
        if a != b && class.joins(self.kinds[a], self.kinds[b]) {
            let (root, child) = (a.min(b), a.max(b));
            self.parents[child] = root;
            self.kinds[root].0 |= self.kinds[child].0;
        }
    }

    fn root_of(&mut self, node: &Identifier) -> usize {
        let mut at = self.nodes.binary_search(node).expect("every end of a link is a node");
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    fn into_sets(mut self) -> Vec<BTreeSet<Identifier>> {
        let mut sets: BTreeMap<usize, BTreeSet<Identifier>> = BTreeMap::new();
        for node in self.nodes.clone() {
            sets.entry(self.root_of(&node)).or_default().insert(node);
        }
        sets.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> Identifier {
        text.parse().unwrap()
    }

    fn at(seconds: i64) -> Moment {
        Moment { at: Timestamp::from_secs(seconds), tie: 0 }
    }

    /// The groups that facts make, told in order one second apart, as text: `user:1 install:a | click:b`.
    fn groups(facts: &[&[&str]]) -> String {
        let mut links = Links::default();
        let mut nodes = Vec::new();
        for (fact, seconds) in facts.iter().zip(0..) {
            let mut identifiers: Vec<_> = fact.iter().map(|text| id(text)).collect();
            identifiers.sort();
            links.tell(&identifiers, at(seconds));
            nodes.extend(identifiers);
        }
        let line = |set: BTreeSet<Identifier>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        links.resolve(nodes).into_iter().map(line).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn what_is_named_together_is_one() {
        assert_eq!(
            groups(&[&["click:c", "install:i"], &["user:1", "install:i"], &["user:1", "email:a@b.c"]]),
            "user:1 email:a@b.c install:i click:c"
        );
    }

    #[test]
    fn two_users_are_never_one() {
        assert_eq!(groups(&[&["user:1", "install:i"], &["user:2", "install:i"]]), "user:1 install:i | user:2");
        assert_eq!(groups(&[&["user:1", "email:a@b.c"], &["user:2", "email:a@b.c"]]), "user:1 email:a@b.c | user:2");
    }

    #[test]
    fn two_addresses_on_one_device_are_two_people_unless_a_user_has_both() {
        assert_eq!(
            groups(&[&["email:a@b.c", "install:i"], &["email:d@e.f", "install:i"]]),
            "email:a@b.c install:i | email:d@e.f"
        );
        assert_eq!(
            groups(&[
                &["email:a@b.c", "install:i"],
                &["email:d@e.f", "install:i"],
                &["user:1", "email:a@b.c"],
                &["user:1", "email:d@e.f"]
            ]),
            "user:1 email:a@b.c email:d@e.f install:i"
        );
    }

    #[test]
    fn a_referral_code_joins_one_person_and_not_the_next_one() {
        assert_eq!(groups(&[&["install:i", "referral:r"], &["user:1", "referral:r"]]), "user:1 install:i referral:r");
        assert_eq!(
            groups(&[&["install:i", "referral:r"], &["install:j", "referral:r"]]),
            "install:i referral:r | install:j"
        );
        assert_eq!(groups(&[&["user:1", "referral:r"], &["user:2", "referral:r"]]), "user:1 referral:r | user:2");
    }

    /// See the decision on what joins two names: no rule joins the first two and is right whatever comes.
    #[test]
    fn what_only_a_code_joins_comes_apart_once_it_turns_out_that_two_have_used_it() {
        let told: [&[&str]; 4] = [
            &["install:i", "referral:r"],
            &["user:1", "referral:r"],
            &["user:1", "install:j"],
            &["user:2", "install:i"],
        ];
        assert_eq!(groups(&told[..2]), "user:1 install:i referral:r");
        assert_eq!(groups(&told[..3]), "user:1 install:j | install:i referral:r");
        assert_eq!(groups(&[told[0], told[1], told[3]]), "user:1 | user:2 install:i referral:r");
    }

    /// Facts told in some order, each with its own time, and what they are linked by.
    fn linked(facts: &[(Vec<String>, i64)]) -> Links {
        let mut links = Links::default();
        for (fact, seconds) in facts {
            let mut identifiers: Vec<_> = fact.iter().map(|text| id(text)).collect();
            identifiers.sort();
            links.tell(&identifiers, at(*seconds));
        }
        links
    }

    /// The parts of a group that are linked with one another, over links of which this is said.
    fn parts(group: &BTreeSet<Identifier>, links: &Links, counts: impl Fn(Class) -> bool) -> Vec<BTreeSet<Identifier>> {
        let mut parts: Vec<BTreeSet<Identifier>> = group.iter().map(|one| BTreeSet::from([one.clone()])).collect();
        for pair in links.0.keys().filter(|pair| counts(Class::of(pair))) {
            let of = |end| parts.iter().position(|part| part.contains(end));
            if let (Some(a), Some(b)) = (of(&pair.0), of(&pair.1))
                && a != b
            {
                let other = parts[a.max(b)].clone();
                parts[a.min(b)].extend(other);
                parts.remove(a.max(b));
            }
        }
        parts
    }

    proptest! {
        #[test]
        fn whoever_is_one_at_any_moment_was_said_to_be_one_by_then_and_by_a_code_at_most_one_person_with_a_device_of_a_kind(
            facts in prop::collection::vec(
                (prop::collection::vec("(user|email|install|click|anonymous|referral):[abc]", 1..4), 0_i64..6),
                1..10,
            ),
        ) {
            // In whatever order they come: these are any facts at any times.
            for known in 1..=facts.len() {
                let links = linked(&facts[..known]);
                for group in links.resolve([]) {
                    prop_assert_eq!(parts(&group, &links, |_| true).len(), 1, "{:?}", &group);
                    let without_codes = parts(&group, &links, |class| class != Class::Referral);
                    let has = |part: &BTreeSet<Identifier>, is: &dyn Fn(IdentifierKind) -> bool| part.iter().any(|one| is(one.kind()));
                    let count = |is: &dyn Fn(IdentifierKind) -> bool| without_codes.iter().filter(|part| has(part, is)).count();
                    prop_assert!(count(&IdentifierKind::is_person) <= 1, "{:?}", &without_codes);
                    for kind in [IdentifierKind::Install, IdentifierKind::Click, IdentifierKind::Anonymous] {
                        prop_assert!(count(&|other| other == kind) <= 1, "{:?}", &without_codes);
                    }
                }
            }
        }

        #[test]
        fn the_order_and_repetition_of_facts_change_nothing(
            facts in prop::collection::vec(
                (prop::collection::vec("(user|email|install|click|anonymous|referral):[abc]", 1..4), 0_i64..6),
                1..10,
            ),
            order in any::<prop::sample::Index>(),
        ) {
            let resolve = |facts: &[(Vec<String>, i64)]| {
                let mut links = Links::default();
                let mut nodes = Vec::new();
                for (fact, seconds) in facts {
                    let mut identifiers: Vec<_> = fact.iter().map(|text| id(text)).collect();
                    identifiers.sort();
                    links.tell(&identifiers, at(*seconds));
                    nodes.extend(identifiers);
                }
                links.resolve(nodes)
            };
            let mut other: Vec<_> = facts.iter().rev().cloned().chain(facts.iter().cloned()).collect();
            let middle = order.index(other.len());
            other.rotate_left(middle);
            prop_assert_eq!(resolve(&facts), resolve(&other));
        }

        #[test]
        fn no_group_has_two_users(
            facts in prop::collection::vec(
                prop::collection::vec("(user|email|install|click|anonymous|referral):[abcd]", 1..4), 1..16,
            ),
        ) {
            let mut links = Links::default();
            for (fact, seconds) in facts.iter().zip(0..) {
                let mut identifiers: Vec<_> = fact.iter().map(|text| id(text)).collect();
                identifiers.sort();
                links.tell(&identifiers, at(seconds));
            }
            for group in links.resolve([]) {
                let users = group.iter().filter(|identifier| identifier.kind() == IdentifierKind::User).count();
                prop_assert!(users <= 1, "{:?}", group);
            }
        }
    }
}
