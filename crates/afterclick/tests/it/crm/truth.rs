//! Truth: what a sales team should see of somebody, said again from the promise and not from the code that keeps it.

use std::collections::BTreeMap;

use super::deed::{By, Deed, Kind, Millis, Trail};

/// Which people a CRM keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    Stub,
    Registration,
    Referral,
}

/// A fact of a record, whatever a CRM calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    LeadSource,
    Email,
    FirstName,
    LastName,
    /// First and last name in one.
    Name,
    Phone,
    Campaign,
    Channel,
    Platform,
    Token,
    Prefix,
    LastCampaign,
    LastChannel,
    InstallDate,
    ReferralDate,
    ReferralSource,
    ConversionDate,
    /// The same three as days in UTC.
    InstallDay,
    ReferralDay,
    ConversionDay,
    Value,
    Currency,
    Stage,
    /// How the deal of those stands who came through a referral.
    Deal,
}

/// What a record holds. Moments are milliseconds since 1970.
pub(super) type Fields = BTreeMap<Field, String>;

/// A link that was followed, as far as anybody knows.
#[derive(Debug, Clone)]
struct Touch {
    trust: u8,
    at: Millis,
    trail: Trail,
    platform: Option<&'static str>,
}

/// What somebody says of a person by a call to identify. Such calls are later than any event of the day.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) email: Option<String>,
    pub(super) called: Option<String>,
    pub(super) phone: Option<String>,
}

/// All that is true of one person.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    pub(super) is_known: bool,
    has_code: bool,
    installed: Option<Millis>,
    claimed: Option<Millis>,
    referred: Option<Millis>,
    completed: Option<Millis>,
    converted: Option<Millis>,
    touches: Vec<Touch>,
    platforms: Vec<(Millis, &'static str)>,
    referrers: Vec<(Millis, String)>,
    codes: Vec<(Millis, String)>,
    money: Vec<(Millis, f64, &'static str)>,
    emails: Vec<(Millis, String)>,
    names: Vec<(Millis, String)>,
    phones: Vec<(Millis, String)>,
}

impl Truth {
    /// What follows from somebody's own deeds, in whatever order they are given, and from what was said of the person.
    /// `owns` is whether an address is the person's and not somebody else's.
    pub(super) fn of<'a>(
        deeds: impl IntoIterator<Item = &'a Deed>,
        said: &[Said],
        owns: impl Fn(&str) -> bool,
    ) -> Self {
        let mut truth = Self::default();
        for deed in deeds {
            truth.add(deed, &owns);
        }
        for (said, at) in said.iter().zip(Millis::MAX - 1_000..) {
            truth.is_known = true;
            truth.emails.extend(said.email.iter().map(|email| (at, email.trim().to_lowercase())));
            truth.names.extend(said.called.iter().map(|name| (at, name.clone())));
            truth.phones.extend(said.phone.iter().map(|phone| (at, phone.clone())));
        }
        truth
    }

    fn add(&mut self, deed: &Deed, owns: impl Fn(&str) -> bool) {
        let earliest =
            |moment: &mut Option<Millis>| *moment = Some(moment.map_or(deed.at, |before| before.min(deed.at)));
        match deed.kind {
            Kind::Install => earliest(&mut self.installed),
            Kind::Claim => earliest(&mut self.claimed),
            Kind::Referral => earliest(&mut self.referred),
            Kind::Completion => {
                earliest(&mut self.completed);
                earliest(&mut self.converted);
            }
            Kind::Conversion | Kind::Purchase => earliest(&mut self.converted),
            Kind::Click | Kind::Open | Kind::Code | Kind::SignIn | Kind::Cart => {}
        }
        self.touches.extend(touch(deed));
        self.platforms.extend(deed.platform.map(|platform| (deed.at, platform)));
        self.referrers.extend(deed.referrer.clone().map(|referrer| (deed.at, referrer)));
        self.codes.extend(deed.code().map(|code| (deed.at, code.to_owned())));
        self.has_code |= deed.code().is_some();
        self.money.extend(deed.money.map(|(amount, currency)| (deed.at, amount, currency)));
        self.names.extend(deed.called.clone().map(|name| (deed.at, name)));
        self.phones.extend(deed.phone.clone().map(|phone| (deed.at, phone)));
        for (by, name) in &deed.names {
            let is_person = matches!(by, By::User | By::Referred) && deed.kind != Kind::Code;
            self.is_known |= is_person || *by == By::Email && owns(name);
            if *by == By::Email && owns(name) {
                self.emails.push((deed.at, name.trim().to_lowercase()));
            }
        }
    }

    /// Whether a CRM should have a record.
    pub(super) fn belongs(&self, strategy: Strategy) -> bool {
        let more = [self.installed, self.referred, self.completed].iter().any(Option::is_some);
        match strategy {
            Strategy::Stub => more || self.claimed.is_some(),
            // A claim alone makes none; with a conversion it is told of all the same.
            Strategy::Registration => self.is_known && (more || self.claimed.is_some() && self.converted.is_some()),
            Strategy::Referral => self.is_referred() && (more || self.claimed.is_some() && self.converted.is_some()),
        }
    }

    fn is_referred(&self) -> bool {
        self.referred.is_some() || self.completed.is_some() || self.has_code
    }

    /// What the record should hold; what is not known is not there.
    pub(super) fn fields(&self) -> Fields {
        let best = self.touches.iter().map(|touch| touch.trust).max();
        let mut touches: Vec<&Touch> = self.touches.iter().filter(|touch| Some(touch.trust) == best).collect();
        touches.sort_by_key(|touch| touch.at);
        let (first, last) = (touches.first().copied(), touches.last().copied());
        let of = |touch: Option<&Touch>, read: fn(&Trail) -> &Option<String>| {
            touch.and_then(|touch| read(&touch.trail).clone())
        };
        let first_platform = self.platforms.iter().min().map(|(_, platform)| *platform);
        let platform = first.and_then(|touch| touch.platform).or(first_platform);
        let name = latest(&self.names);
        let (first_name, last_name) = name.clone().map_or((None, None), |name| apart(&name));
        let money = self.money.iter().max_by_key(|(at, ..)| *at);
        let stage = if self.converted.is_some() { "customer" } else { "lead" };
        let deal = if self.completed.is_some() { "won" } else { "open" };
        let moment = |at: Option<Millis>| at.map(|at| at.to_string());
        let day = |at: Option<Millis>| at.map(day_of);
        let all = [
            (Field::LeadSource, Some("Deep Link".to_owned())),
            (Field::Email, latest(&self.emails)),
            (Field::FirstName, first_name),
            (Field::LastName, last_name),
            (Field::Name, name),
            (Field::Phone, latest(&self.phones)),
            (Field::Campaign, of(first, |trail| &trail.campaign)),
            (Field::Channel, of(first, |trail| &trail.channel)),
            (Field::Platform, platform.map(str::to_owned)),
            (Field::Token, of(first, |trail| &trail.token)),
            (Field::Prefix, of(first, |trail| &trail.prefix)),
            (Field::LastCampaign, of(last, |trail| &trail.campaign)),
            (Field::LastChannel, of(last, |trail| &trail.channel)),
            (Field::InstallDate, moment(self.installed)),
            (Field::ReferralDate, moment(self.referred)),
            (Field::ReferralSource, earliest(&self.referrers).or_else(|| earliest(&self.codes))),
            (Field::ConversionDate, moment(self.converted)),
            (Field::InstallDay, day(self.installed)),
            (Field::ReferralDay, day(self.referred)),
            (Field::ConversionDay, day(self.converted)),
            (Field::Value, money.map(|(_, amount, _)| amount.to_string())),
            (Field::Currency, money.map(|(.., currency)| (*currency).to_owned())),
            (Field::Stage, Some(stage.to_owned())),
            (Field::Deal, self.is_referred().then(|| deal.to_owned())),
        ];
        all.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
    }
}

/// How far an event is to be trusted that says what led somebody: a link that was followed counts more than a comparison of
/// devices, that more than a campaign on a receipt, and that more than a device that was merely seen.
fn touch(deed: &Deed) -> Option<Touch> {
    let is_visit = matches!(deed.kind, Kind::Click | Kind::Open | Kind::Install | Kind::Claim);
    let is_guess = deed.confidence.is_some_and(|confidence| confidence < 0.8);
    let trust = match (deed.kind, &deed.trail) {
        (Kind::Code, _) => return None,
        (_, None) if is_visit => 0,
        (_, None) => return None,
        (Kind::Click | Kind::Open | Kind::Install | Kind::Claim | Kind::Referral, Some(_)) => 3 - u8::from(is_guess),
        (_, Some(_)) => 1,
    };
    let at = deed.clicked_at.map_or(deed.at, |clicked_at| clicked_at.min(deed.at));
    Some(Touch { trust, at, trail: deed.trail.clone().unwrap_or_default(), platform: deed.platform })
}

fn latest(said: &[(Millis, String)]) -> Option<String> {
    said.iter().max_by_key(|(at, _)| *at).map(|(_, text)| text.clone())
}

fn earliest(said: &[(Millis, String)]) -> Option<String> {
    said.iter().min_by_key(|(at, _)| *at).map(|(_, text)| text.clone())
}

/// As `2026-03-04`.
fn day_of(at: Millis) -> String {
    domain::Timestamp::from_millis(at).to_string().chars().take(10).collect()
}

/// First and last name; the last word is the last name.
fn apart(name: &str) -> (Option<String>, Option<String>) {
    let mut words: Vec<&str> = name.split_whitespace().collect();
    let last = words.pop().map(str::to_owned);
    ((!words.is_empty()).then(|| words.join(" ")), last)
}
