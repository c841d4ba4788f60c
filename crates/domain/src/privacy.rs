//! Privacy: what of a person a destination does not get, or not as it is.
//!
//! Fields are named as everywhere here (`email`, `ip`), and each stands for all its spellings, in upper or lower case. They are
//! looked for everywhere in a body, however deep, and in what is known of the person. Any member of a body can be named, so a name
//! that is not known here is no mistake; one that looks like a slip of the pen for what is personal is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::body;
use crate::event::Event;
use crate::identity::identifier::whole;
use crate::identity::trace::HELD_BACK;
use crate::identity::{Identifier, Profile, Trace};

/// Most fields that one destination names.
pub const PRIVACY_FIELDS_MAX: usize = 64;
/// Longest name of a field, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a destination does not get, or not as it is. The default is that it gets everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Left out.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub drop: BTreeSet<String>,
    /// In its place 64 hexadecimal digits: SHA-256 of the text, without blanks at its ends and in lower case, as vendors expect
    /// addresses. Whoever can guess the text can check it: this is a pseudonym and no secret.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hash: BTreeSet<String>,
    /// Only its beginning: so many characters, or of an address of the internet so many bits (twice as many of version 6).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub truncate: BTreeMap<String, u8>,
}

/// What each name stands for besides itself.
const SPELLINGS: &[(&str, &[&str])] = &[
    ("ip", &["ip_address"]),
    ("email", &["user_email"]),
    ("name", &["user_name", "first_name", "last_name"]),
    ("phone", &["phone_number"]),
    ("user_id", &["external_user_id", "referred_user_id"]),
    ("anonymous_id", &["visitor_id", "device_id"]),
    ("install_id", &["installation_id"]),
    ("referrer", &["referer"]),
    ("referrer_id", &["referrer_token"]),
    ("referral_code", &["referrer_token"]),
    ("region", &["ip_region"]),
    ("country", &["ip_country"]),
    ("token", &["link_token"]),
    ("route", &["deep_link_path"]),
    ("campaign", &["utm_campaign"]),
    ("channel", &["source", "utm_source"]),
    ("medium", &["utm_medium"]),
    ("term", &["utm_term"]),
    ("content", &["utm_content"]),
    ("device_type", &["device"]),
    ("os", &["os_name"]),
    ("fbc", &["_fbc"]),
    ("fbp", &["_fbp"]),
    ("match_method", &["method"]),
    ("consent", &["ad_consent", "marketing_consent"]),
    ("revenue", &["value"]),
];

/// What else is personal and has one spelling.
const PERSONAL: &[&str] = &["user_agent", "click_id", "gclid", "gbraid", "wbraid", "fbclid", "traits"];
/// Those of the spellings above that are personal.
const PERSONAL_SPELLINGS: usize = 10;
/// Names of so many letters or more are compared with what is personal; shorter ones are alike by chance.
const SLIP_LETTERS_MIN: usize = 4;

/// The field that a member of a trace holds, where it is called otherwise there.
const TRACED: &[(&str, &str)] = &[("referrer", "referrer_id"), ("money", "revenue")];

enum Treatment {
    Drop,
    Hash,
    Truncate(u8),
}

impl Privacy {
    /// Whether nothing is held back.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the names. The message continues "the privacy …".
    pub fn check(&self) -> Result<(), String> {
        let names = || self.drop.iter().chain(&self.hash).chain(self.truncate.keys());
        if names().count() > PRIVACY_FIELDS_MAX {
            return Err(format!("names more than {PRIVACY_FIELDS_MAX} fields"));
        }
        if let Some(name) = names().find(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            return Err(format!("names `{name}`; a name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = names().find(|name| !seen.insert(name.to_ascii_lowercase())) {
            return Err(format!("says two things of `{name}`; choose one of drop, hash and truncate"));
        }
        match names().find_map(|name| Some((name, meant(name)?))) {
            Some((name, meant)) => Err(format!("names `{name}`, which is no field; did you mean `{meant}`?")),
            None => Ok(()),
        }
    }

    /// The event as the destination may see it. A body that cannot be read is not handed on: it becomes an empty object.
    pub fn event(&self, event: &Event) -> Event {
        let body = match body::read(&event.body) {
            Ok(mut body) => {
                self.value(&mut body);
                Bytes::from(body.to_string())
            }
            Err(_) => Bytes::from_static(b"{}"),
        };
        Event { body, ..event.clone() }
    }

    /// What is known of a person as the destination may see it.
    pub fn profile(&self, profile: &Profile) -> Profile {
        let identifiers = profile.identifiers.iter().filter_map(|identifier| {
            let kind = identifier.kind();
            match self.treatment(kind.member()) {
                None => Some(identifier.clone()),
                Some(treatment) => Identifier::new(kind, &treatment.text(identifier.value())?),
            }
        });
        // A trace that cannot be read back is not handed on either.
        let trace = serde_json::to_value(&profile.trace).ok().and_then(|mut trace| {
            self.token_of_referrer(&mut trace);
            self.trace(&mut trace);
            serde_json::from_value(trace).ok()
        });
        let is_read = trace.is_some();
        let held_back = HELD_BACK.into_iter().filter(|name| !is_read || self.treatment(name).is_some());
        Profile {
            subject: profile.subject,
            absorbed: profile.absorbed.clone(),
            lost: profile.lost.clone(),
            identifiers: identifiers.collect(),
            trace: Trace { withheld: held_back.collect(), ..trace.unwrap_or_default() },
        }
    }

    /// Treats every member that is named, however deep.
    fn value(&self, value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(members) => {
                let names: Vec<String> = members.keys().cloned().collect();
                for name in names {
                    let Some(member) = members.get_mut(&name) else { continue };
                    match self.treatment(&name) {
                        None => self.value(member),
                        Some(treatment) => {
                            if !treatment.apply(member) {
                                members.remove(&name);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// The same in what is kept of a person, where a text has a moment beside it and some fields have another name.
    fn trace(&self, value: &mut Value) {
        let Value::Object(members) = value else { return };
        if members.get("tie").is_some_and(Value::is_number) {
            return members.get_mut("value").into_iter().for_each(|value| self.trace(value));
        }
        for name in members.keys().cloned().collect::<Vec<_>>() {
            let Some(member) = members.get_mut(&name) else { continue };
            let field = TRACED.iter().find(|(traced, _)| *traced == name).map_or(name.as_str(), |(_, field)| field);
            match self.treatment(field) {
                None => self.trace(member),
                Some(treatment) => {
                    if !treatment.apply(member) {
                        members.remove(&name);
                    }
                }
            }
        }
    }

    /// A referrer's token stands for a code that nobody gave, and is treated as what it is.
    fn token_of_referrer(&self, trace: &mut Value) {
        let Some(treatment) = self.treatment("referrer_id") else { return };
        if trace["referral_code"]["value"] != trace["referrer"]["value"] {
            return;
        }
        if let Some(members) = trace.as_object_mut()
            && !members.get_mut("referral_code").is_some_and(|code| treatment.apply(code))
        {
            members.remove("referral_code");
        }
    }

    fn treatment(&self, name: &str) -> Option<Treatment> {
        let is_spelling = |spelling: &&str| spelling.eq_ignore_ascii_case(name);
        let known = SPELLINGS.iter().filter(|(_, spellings)| spellings.iter().any(is_spelling));
        std::iter::once(name).chain(known.map(|(known, _)| *known)).find_map(|name| {
            let is_named = |wish: &String| wish.eq_ignore_ascii_case(name);
            if self.drop.iter().any(is_named) {
                Some(Treatment::Drop)
            } else if self.hash.iter().any(is_named) {
                Some(Treatment::Hash)
            } else {
                self.truncate.iter().find(|(wish, _)| is_named(wish)).map(|(_, &length)| Treatment::Truncate(length))
            }
        })
    }
}

/// The personal field for which a name is a slip of the pen: two letters changed places, or one is missing or there twice.
fn meant(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let spellings = |of: &'static [(&str, &[&str])]| of.iter().flat_map(|(known, all)| iter::once(known).chain(*all));
    let letters = |name: &str| name.replace(['_', '-'], "");
    let is_known = spellings(SPELLINGS).chain(PERSONAL).any(|known| letters(known) == letters(&name));
    if is_known || name.len() < SLIP_LETTERS_MIN {
        return None;
    }
    spellings(&SPELLINGS[..PERSONAL_SPELLINGS]).chain(PERSONAL).find(|known| is_slip(&name, known)).copied()
}

fn is_slip(name: &str, known: &str) -> bool {
    let (name, known) = (name.as_bytes(), known.as_bytes());
    let without = |text: &[u8], at: usize| [&text[..at], &text[at + 1..]].concat();
    let has_swapped = |at: usize| {
        let mut swapped = name.to_vec();
        swapped.swap(at - 1, at);
        swapped == known
    };
    // One letter less at the front of a word is another word: `mail`.
    let is_missing = |at: usize| known[at - 1] != b'_' && known[at] != b'_' && without(known, at) == name;
    let is_doubled = |at: usize| name[at - 1] == name[at] && without(name, at) == known;
    if name.len() == known.len() {
        (1..name.len()).any(has_swapped)
    } else if name.len() + 1 == known.len() {
        (1..known.len()).any(is_missing)
    } else {
        name.len() == known.len() + 1 && (1..name.len()).any(is_doubled)
    }
}

impl Treatment {
    /// Treats a value; `false` if it is to be removed. Of a value with a moment, the value.
    fn apply(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Some(treated) => *text = treated,
                None => return false,
            },
            Value::Number(number) => match self.text(&digits(number)) {
                Some(treated) => *value = Value::from(treated),
                None => return false,
            },
            Value::Object(members) if members.contains_key("tie") => {
                return members.get_mut("value").is_some_and(|value| self.apply(value));
            }
            // What has members has no one text that could stand for it.
            _ => return false,
        }
        true
    }

    fn text(&self, text: &str) -> Option<String> {
        match self {
            Self::Drop => None,
            Self::Hash => {
                let normal = text.trim().to_lowercase();
                let hash = ring::digest::digest(&ring::digest::SHA256, normal.as_bytes());
                Some(hex::encode(hash))
            }
            Self::Truncate(length) => Some(match text.trim().parse() {
                Ok(address) => network(address, *length).to_string(),
                Err(_) => text.chars().take(usize::from(*length)).collect(),
            }),
        }
    }
}

/// A number as a text: what somebody is named by has the same hash however it is written.
fn digits(number: &Number) -> String {
    let written_as_float = number.as_f64().filter(|_| number.is_f64());
    written_as_float.and_then(whole).unwrap_or_else(|| number.to_string())
}

/// The network that an address is in, by its first `bits`; twice as many of version 6.
fn network(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits * 2)).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::event::{DedupeKey, TimeMark};
    use crate::id::{AppspaceId, EventId, SourceId};
    use crate::identity::{Fact, ReferralCreated};
    use crate::time::Timestamp;

    fn privacy(text: Value) -> Privacy {
        serde_json::from_value(text).unwrap()
    }

    fn treated(wish: Value, mut value: Value) -> Value {
        privacy(wish).value(&mut value);
        value
    }

    #[test]
    fn fields_are_dropped_hashed_and_cut_wherever_they_are_and_however_they_are_spelt() {
        let wish = json!({"drop": ["user_agent"], "hash": ["email"], "truncate": {"ip": 24, "name": 1}});
        let before = json!({
            "event": "install.tracked",
            "data": {
                "user_agent": "x", "user_email": " Ada@Example.ORG", "ip_address": "192.0.2.77", "campaign": "a",
                "more": [{"ip": "2001:db8:1:2::1", "name": "Ada", "email": {"is": "an object"}}],
            },
        });
        let after = treated(wish, before);
        assert_eq!(after["data"]["user_email"].as_str().unwrap().len(), 64);
        assert_eq!(after["data"]["ip_address"], "192.0.2.0");
        assert_eq!(after["data"]["more"], json!([{"ip": "2001:db8:1::", "name": "A"}]));
        assert!(after["data"].get("user_agent").is_none());
        assert_eq!(after["data"]["campaign"], "a");
    }

    /// A person of whom an event says this.
    fn person(data: &Value) -> Profile {
        let appspace = AppspaceId::mint(Timestamp::from_secs(1), 1);
        let event = Event {
            id: EventId::mint(Timestamp::from_secs(1), 1),
            appspace,
            source: SourceId::API,
            event_type: "referral.completed".parse().unwrap(),
            occurred_at: Timestamp::from_secs(1),
            received_at: Timestamp::from_secs(1),
            time_mark: TimeMark::Sender,
            dedupe_key: DedupeKey::of_body(SourceId::API, appspace, b"{}"),
            body: Bytes::new(),
        };
        Profile::of(appspace, Fact::of(&event, data, ReferralCreated::Shown).unwrap()).unwrap()
    }

    #[test]
    fn what_is_known_of_a_person_is_treated_under_the_names_of_fields() {
        let data = json!({
            "referred_user_id": "u", "referrer_token": "bob-1", "utm_campaign": "spring", "value": 9.5, "currency": "EUR",
            "name": "Ada",
        });
        let person = person(&data);
        let seen = |wish: Value| privacy(wish).profile(&person).value();
        let open = seen(json!({}));
        assert_eq!((&open["referral_source"], &open["revenue"]), (&json!("bob-1"), &json!(9.5)));
        for field in ["referrer_id", "revenue", "campaign", "name"] {
            for wish in [json!({"drop": [field]}), json!({"hash": [field]})] {
                let (before, after) = (treated(wish.clone(), data.clone()), seen(wish.clone()));
                let secret = match field {
                    "referrer_id" => "bob-1",
                    "revenue" => "9.5",
                    "campaign" => "spring",
                    _ => "Ada",
                };
                assert!(!format!("{before} {after}").contains(secret), "{wish} {before} {after}");
                assert_eq!(after["user_id"], "u");
                assert_eq!(after["completed_at"], open["completed_at"]);
            }
        }
    }

    #[test]
    fn what_is_held_back_of_a_person_is_not_taken_for_what_is_not_there() {
        let person = person(&json!({"referred_user_id": "u", "utm_campaign": "spring"}));
        let withheld = |wish: Value| privacy(wish).profile(&person).trace.withheld.into_iter().collect::<Vec<_>>();
        assert_eq!(withheld(json!({"drop": ["phone"]})), [""; 0]);
        assert_eq!(withheld(json!({"drop": ["utm_campaign"]})), [""; 0], "the campaign itself is seen");
        let wish = json!({"drop": ["campaign", "value"], "hash": ["email"], "truncate": {"name": 1}});
        assert_eq!(withheld(wish), ["campaign", "email", "first_name"]);
        assert_eq!(withheld(json!({"drop": ["Channel", "revenue"]})), ["channel", "revenue"]);
    }

    #[test]
    fn the_hash_is_that_of_the_text_in_lower_case() {
        let after = treated(json!({"hash": ["email"]}), json!({"email": " ABC "}));
        // FIPS 180-2, the digest of "abc".
        assert_eq!(after["email"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_number_has_one_hash_however_it_is_written() {
        let hash = |id: Value| treated(json!({"hash": ["user_id"]}), json!({"user_id": id}))["user_id"].clone();
        assert_eq!([hash(json!(42)), hash(json!(42.0))], [hash(json!("42")), hash(json!("42"))]);
        assert_ne!(hash(json!(42.5)), hash(json!(42)));
    }

    #[test]
    fn two_things_cannot_be_said_of_one_field() {
        let message = privacy(json!({"drop": ["ip"], "truncate": {"ip": 24}})).check().unwrap_err();
        assert!(message.contains("`ip`"), "{message}");
        assert!(privacy(json!({"drop": ["ip"], "hash": ["email"]})).check().is_ok());
        assert!(privacy(json!({"drop": [""]})).check().is_err());
    }

    #[test]
    fn names_count_in_upper_and_lower_case_and_a_slip_of_the_pen_is_refused() {
        let after = treated(
            json!({"drop": ["Email"], "truncate": {"IP": 8}}),
            json!({"User_Email": "a", "ip": "192.0.2.7", "x": 1}),
        );
        assert_eq!(after, json!({"ip": "192.0.0.0", "x": 1}));
        assert!(privacy(json!({"drop": ["ip"], "hash": ["IP"]})).check().unwrap_err().contains("two things"));
        for (slip, meant) in [
            ("emial", "email"),
            ("Emal", "email"),
            ("emaill", "email"),
            ("phoen", "phone"),
            ("user_agnet", "user_agent"),
            ("ip_adress", "ip_address"),
            ("refferral_code", "referral_code"),
        ] {
            let message = privacy(json!({"hash": [slip]})).check().unwrap_err();
            assert!(
                message.contains(&format!("`{slip}`")) && message.contains(&format!("did you mean `{meant}`?")),
                "{message}"
            );
        }
        // These may well be what an application calls something of its own.
        for own in [
            "mail",
            "zip",
            "id",
            "names",
            "emails",
            "user_ip",
            "firstname",
            "usermail",
            "phones",
            "note",
            "nam",
            "title",
            "Email",
        ] {
            assert_eq!(privacy(json!({"drop": [own]})).check(), Ok(()), "{own}");
        }
    }

    proptest! {
        #[test]
        fn what_is_dropped_is_nowhere(depth in 0_usize..6, secret in "[a-z]{8}") {
            let mut value = json!({"email": secret.clone(), "x": 1});
            for _ in 0..depth {
                value = json!({"a": [value, {"user_email": secret.clone()}]});
            }
            privacy(json!({"drop": ["email"]})).value(&mut value);
            prop_assert!(!value.to_string().contains(&secret));
        }

        #[test]
        fn no_address_panics(bits in any::<u8>(), v4 in any::<u32>(), v6 in any::<u128>()) {
            let _ = network(Ipv4Addr::from(v4).into(), bits);
            let _ = network(Ipv6Addr::from(v6).into(), bits);
        }
    }
}
