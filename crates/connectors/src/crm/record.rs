//! The record that a sales team sees.

use std::collections::BTreeSet;

use domain::Timestamp;
use domain::identity::{IdentifierKind, Profile, Stage, Touch, Worth};

use super::Part;

/// What is known of a person, under the names of a CRM. What is not known is `None` and is not sent: an empty value would
/// clear what the CRM has. That is for what is known to be nothing, where it has a value of ours: texts that are known to be nothing
/// are `Some("")`, and of the rest [`Record::is_nothing`] tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record<'p> {
    pub(crate) lead_source: Option<&'static str>,
    pub(crate) user_id: Option<&'p str>,
    /// Only if it looks like one: every CRM refuses the whole record for an address that is none.
    pub(crate) email: Option<&'p str>,
    pub(crate) first_name: Option<&'p str>,
    pub(crate) last_name: Option<&'p str>,
    pub(crate) phone: Option<&'p str>,
    /// Of the first touch.
    pub(crate) campaign: Option<&'p str>,
    pub(crate) channel: Option<&'p str>,
    pub(crate) platform: Option<&'p str>,
    pub(crate) token: Option<&'p str>,
    pub(crate) prefix: Option<&'p str>,
    /// Of the last touch.
    pub(crate) last_campaign: Option<&'p str>,
    pub(crate) last_channel: Option<&'p str>,
    pub(crate) installed_at: Option<Timestamp>,
    pub(crate) referred_at: Option<Timestamp>,
    pub(crate) converted_at: Option<Timestamp>,
    pub(crate) referral_source: Option<&'p str>,
    /// The amount of the last conversion, in units of its currency.
    pub(crate) value: Option<f64>,
    pub(crate) currency: Option<&'p str>,
    pub(crate) stage: Stage,
    /// Whether something that the CRM was told turned out to be somebody else's: then whatever of ours is not known is nothing.
    pub(crate) has_lost: bool,
    /// What this destination does not get, which says nothing about whether it is there.
    withheld: &'p BTreeSet<&'static str>,
}

impl<'p> Record<'p> {
    /// What a profile says.
    pub(crate) fn of(profile: &'p Profile) -> Self {
        let first = profile.first_touch().map(|(touch, _)| touch);
        let last = profile.last_touch().map(|(touch, _)| touch);
        let withheld = &profile.trace.withheld;
        // A touch is written whole: what it does not say is nothing, and not what another touch has said. Of a device that was merely
        // seen nobody knows what led it.
        let of = |touch: Option<&'p Touch>, name: &str, read: fn(&'p Touch) -> Option<&'p String>| {
            let touch = touch?;
            let is_nothing = touch.worth > Worth::Device && !withheld.contains(name);
            let said = read(touch).map(String::as_str).filter(|text| !text.is_empty());
            said.or(is_nothing.then_some(""))
        };
        let (first_name, last_name) = names(profile);
        // An address that went to somebody else must not stay here too.
        let no_email = (profile.lost.contains(&IdentifierKind::Email) && !withheld.contains("email")).then_some("");
        Self {
            lead_source: profile.lead_source(),
            user_id: profile.user_id(),
            email: profile.email().filter(|email| is_address(email)).or(no_email),
            first_name,
            last_name,
            phone: profile.phone(),
            campaign: of(first, "campaign", |touch| touch.campaign.as_ref()),
            channel: of(first, "channel", |touch| touch.channel.as_ref()),
            platform: profile.platform(),
            token: of(first, "token", |touch| touch.token.as_ref()),
            prefix: of(first, "prefix", |touch| touch.prefix.as_ref()),
            last_campaign: of(last, "campaign", |touch| touch.campaign.as_ref()),
            last_channel: of(last, "channel", |touch| touch.channel.as_ref()),
            installed_at: profile.trace.installed_at,
            referred_at: profile.trace.referred_at,
            converted_at: profile.trace.converted_at,
            referral_source: profile.referral_source(),
            value: profile.money().map(|money| money.amount),
            currency: profile.money().and_then(|money| money.currency.as_deref()),
            stage: profile.stage(),
            has_lost: !profile.lost.is_empty(),
            withheld,
        }
    }

    /// Whether a part is known to be nothing: what the CRM has of it, if that is ours, is not true any more.
    pub(crate) fn is_nothing(&self, part: Part) -> bool {
        let text = |text: Option<&str>| text.map(str::is_empty);
        let other = |is_there: bool| is_there.then_some(false);
        let (is_empty, fields): (_, &[&str]) = match part {
            // Names stay also where something turned out to be somebody else's.
            Part::FirstName => return self.first_name == Some(""),
            Part::Campaign => (text(self.campaign), &["campaign", "first_touch"]),
            Part::Channel => (text(self.channel), &["channel", "first_touch"]),
            Part::Platform => (text(self.platform), &["platform", "first_touch"]),
            Part::Token => (text(self.token), &["token", "first_touch"]),
            Part::Prefix => (text(self.prefix), &["prefix", "first_touch"]),
            Part::LastCampaign => (text(self.last_campaign), &["campaign", "last_touch"]),
            Part::LastChannel => (text(self.last_channel), &["channel", "last_touch"]),
            Part::InstalledAt => (other(self.installed_at.is_some()), &["installed_at"]),
            Part::ReferredAt => (other(self.referred_at.is_some()), &["referred_at"]),
            Part::ReferralSource => (text(self.referral_source), &["referrer_id", "referral_code"]),
            Part::ConvertedAt => (other(self.converted_at.is_some()), &["converted_at"]),
            Part::Value => (other(self.value.is_some()), &["revenue"]),
            Part::Currency => (text(self.currency), &["currency", "revenue"]),
        };
        let is_held_back = fields.iter().any(|field| self.withheld.contains(field));
        is_empty.unwrap_or(self.has_lost && !is_held_back)
    }
}

/// Whether a text can be an address that mail is sent to. `n/a` cannot, nor can the digits that are left where the settings
/// have addresses hashed. Whether it is one, the CRM may judge by rules of its own.
fn is_address(text: &str) -> bool {
    let is_plain =
        |part: &str| !part.is_empty() && !part.chars().any(|c| c == '@' || c.is_whitespace() || c.is_control());
    text.rsplit_once('@').is_some_and(|(name, host)| {
        is_plain(name) && is_plain(host) && host.contains('.') && host.split('.').all(|label| !label.is_empty())
    })
}

/// First and last name: as they were said, or else the whole name taken apart. They are one: with a last name and no first
/// one, there is none.
fn names(profile: &Profile) -> (Option<&str>, Option<&str>) {
    let said = (profile.trait_text("first_name"), profile.trait_text("last_name"));
    let (first, last) = match said {
        (None, None) => profile.name().map_or((None, None), split_name),
        said => said,
    };
    let is_nothing = last.is_some() && !profile.trace.withheld.contains("first_name");
    (first.or(is_nothing.then_some("")), last)
}

/// Takes a name apart at its last blank: `Ada King Lovelace` is Ada King and Lovelace. A single word is a last name, which
/// every CRM asks for.
fn split_name(name: &str) -> (Option<&str>, Option<&str>) {
    match name.trim().rsplit_once(char::is_whitespace) {
        Some((first, last)) => (Some(first.trim_end()), Some(last)),
        None => (None, Some(name.trim())),
    }
}

#[cfg(test)]
mod tests {
    use domain::Privacy;
    use domain::identity::Trace;

    use super::*;
    use crate::crm::trial::{person, said};

    #[test]
    fn what_is_no_address_is_not_in_the_record() {
        let hash = "email:".to_owned() + &"0a".repeat(32);
        let spoken = |text: &str| Record::of(&person(&[text])).email.map(str::to_owned);
        for none in ["email:n/a", "email:a@b", "email:@b.c", "email:a b@c.de", "email:a@b@c.de", "email:a@b..c", &hash]
        {
            assert_eq!(spoken(none), None, "{none}");
        }
        for address in ["ada@example.org", "a.d+a@mail.example.co.uk", "zoë@bücher.example"] {
            assert_eq!(spoken(&format!("email:{address}")).as_deref(), Some(address));
        }
    }

    #[test]
    fn a_name_is_taken_apart_at_its_last_blank() {
        assert_eq!(split_name(" Ada King  Lovelace "), (Some("Ada King"), Some("Lovelace")));
        assert_eq!(split_name("Ada"), (None, Some("Ada")));
    }

    #[test]
    fn one_touch_is_written_whole_and_a_name_too() {
        let mut profile = said(&person(&["user:1"]), "name", "Björk");
        profile.trace.first_touch.as_mut().unwrap().value.channel = None;
        profile.trace.last_touch = None;
        let record = Record::of(&profile);
        assert_eq!((record.campaign, record.channel, record.last_campaign), (Some("spring-sale"), Some(""), None));
        assert_eq!((record.first_name, record.last_name), (Some(""), Some("Björk")));
        assert_eq!((record.email, record.has_lost), (None, false));
        assert!(record.is_nothing(Part::Channel) && !record.is_nothing(Part::Campaign));
        assert!(!record.is_nothing(Part::LastChannel) && !record.is_nothing(Part::ReferredAt));
        profile.lost.insert(IdentifierKind::Email);
        let record = Record::of(&profile);
        assert_eq!((record.email, record.has_lost), (Some(""), true));
        assert!(record.is_nothing(Part::LastChannel) && record.is_nothing(Part::ReferredAt));
        assert!(!record.is_nothing(Part::InstalledAt));
    }

    #[test]
    fn of_a_device_that_was_merely_seen_nobody_knows_what_led_it() {
        let mut profile = person(&["user:1"]);
        let touch = Touch { platform: Some("ios".to_owned()), ..Touch::default() };
        profile.trace.first_touch.as_mut().unwrap().value = touch;
        let record = Record::of(&profile);
        assert_eq!((record.campaign, record.channel, record.token), (None, None, None));
        assert!(!record.is_nothing(Part::Campaign) && record.platform == Some("ios"));
    }

    #[test]
    fn who_is_only_known_has_no_lead_source() {
        let mut profile = person(&["user:1"]);
        assert_eq!(Record::of(&profile).lead_source, Some("Deep Link"));
        profile.trace = Trace::default();
        assert_eq!(Record::of(&profile).lead_source, None);
    }

    #[test]
    fn what_a_destination_does_not_get_is_not_nothing() {
        let wish = |names: &[&str]| {
            let drop = names.iter().map(|name| (*name).to_owned()).collect();
            Privacy { drop, ..Privacy::default() }
        };
        let mut whole = said(&person(&["user:1", "email:ada@example.org"]), "name", "Ada Lovelace");
        let fields =
            ["campaign", "channel", "token", "prefix", "name", "email", "referred_at", "installed_at", "revenue"];
        for lost in [false, true] {
            if lost {
                whole.lost.insert(IdentifierKind::Email);
            }
            let seen = wish(&fields).profile(&whole);
            let record = Record::of(&seen);
            let texts = [
                record.email,
                record.first_name,
                record.last_name,
                record.campaign,
                record.channel,
                record.token,
                record.prefix,
                record.last_campaign,
                record.last_channel,
            ];
            assert_eq!(texts, [None; 9]);
            for part in
                [Part::FirstName, Part::Campaign, Part::LastChannel, Part::InstalledAt, Part::Value, Part::Currency]
            {
                assert!(!record.is_nothing(part), "{part:?}");
            }
            let without_touch = wish(&["first_touch"]).profile(&whole);
            assert!(!Record::of(&without_touch).is_nothing(Part::Campaign));
            let without_first_name = wish(&["first_name"]).profile(&said(&whole, "last_name", "Lovelace"));
            assert_eq!(Record::of(&without_first_name).first_name, None);
        }
    }
}
