//! The day: who lives through it, what they do, and what is said of them.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::deed::{By, Deed, Kind, Millis, Name, Trail};
use super::hostile;
use super::stories;
use super::truth::{Said, Truth};

/// 2026-03-04, midnight in UTC. It is over wherever this runs.
const MIDNIGHT: Millis = 1_772_582_400_000;
pub(super) const MINUTE: Millis = 60_000;
pub(super) const HOUR: Millis = 60 * MINUTE;

/// One person.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// What kind of life it is.
    pub(super) story: &'static str,
    /// Everything by which the person should be found.
    pub(super) names: Vec<Name>,
    /// In the order in which it is said.
    pub(super) said: Vec<Said>,
    /// Addresses that the person gives and that are somebody else's.
    pub(super) borrowed: Vec<String>,
    /// Under which more may be heard of the person: each a set of names that one event may hold.
    voices: Vec<Vec<Name>>,
}

/// A call to identify.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) who: usize,
    pub(super) body: Value,
    /// When it is made, on the clock of the day.
    pub(super) at: Millis,
}

/// Everything that happens.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) chance: Chance,
    pub(super) lives: Vec<Life>,
    pub(super) deeds: Vec<Deed>,
    pub(super) calls: Vec<Call>,
}

impl Day {
    /// A day with so many people and events.
    pub(super) fn new(seed: u64, people: usize, events: usize) -> Self {
        let mut day = Self::empty(seed);
        while day.lives.len() < people {
            stories::tell(&mut day);
        }
        while day.deeds.len() < events {
            day.chatter();
        }
        day
    }

    /// A day on which nothing has happened yet.
    pub(super) const fn empty(seed: u64) -> Self {
        Self { chance: Chance::new(seed), lives: Vec::new(), deeds: Vec::new(), calls: Vec::new() }
    }

    /// What is true of each person.
    pub(super) fn truths(&self) -> Vec<Truth> {
        let mut own = vec![Vec::new(); self.lives.len()];
        for deed in &self.deeds {
            if let Some(who) = deed.who {
                own[who].push(deed);
            }
        }
        let truth = |(life, own): (&Life, Vec<&Deed>)| {
            Truth::of(own, &life.said, |email| !life.borrowed.iter().any(|borrowed| borrowed == email))
        };
        self.lives.iter().zip(own).map(truth).collect()
    }

    /// Somebody is born; returns the number.
    pub(super) fn person(&mut self, story: &'static str) -> usize {
        let (names, said, borrowed, voices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.lives.push(Life { story, names, said, borrowed, voices });
        self.lives.len() - 1
    }

    /// A name that is nobody else's.
    pub(super) fn name(&mut self, who: usize, by: By) -> Name {
        let nth = self.lives[who].names.len();
        // What has control characters in it names nobody.
        let odd = *self.chance.pick(hostile::TEXTS);
        let odd = if self.chance.percent(4) && !odd.contains(char::is_control) { odd } else { "" };
        let is_number = self.chance.percent(30);
        let name = match by {
            By::User | By::Referred if is_number => format!("{}", 100_000 + who * 10 + nth),
            By::User | By::Referred => format!("user-{who}-{nth}{odd}"),
            By::Email => format!("Person.{who}.{nth}@Example.ORG"),
            By::Install => format!("i-{who}-{nth}{odd}"),
            By::Click => format!("c-{who}-{nth}"),
            By::Anonymous => format!("a-{who}-{nth}{odd}"),
            By::Code => format!("code-{who}-{nth}"),
        };
        let name = (by, name.trim().to_owned());
        self.lives[who].names.push(name.clone());
        name
    }

    /// A person's name in the world.
    pub(super) fn call_name(&mut self, who: usize) -> String {
        match self.chance.below(10) {
            0 => format!("Mono{who}"),
            1 => format!("Anna Maria  von {who}"),
            2 => format!("{} {who}", self.chance.pick(hostile::TEXTS)),
            _ => format!("Ada Nr{who}"),
        }
    }

    /// Where a link leads somebody from. Campaigns and tokens are shared by many.
    pub(super) fn trail(&mut self) -> Trail {
        let chance = &mut self.chance;
        if chance.percent(4) {
            let odd = |chance: &mut Chance| Some((*chance.pick(hostile::TEXTS)).to_owned());
            return Trail {
                campaign: odd(chance),
                channel: odd(chance),
                token: odd(chance),
                prefix: Some("go".to_owned()),
            };
        }
        let one = |chance: &mut Chance, of: &[&str], percent: u64| {
            chance.percent(percent).then(|| (*chance.pick(of)).to_owned())
        };
        let campaigns = ["instagram-story-may", "spring", "newsletter-12", "tv-spot", "summer-promo", "Übergabe"];
        Trail {
            campaign: Some((*chance.pick(&campaigns)).to_owned()).filter(|_| chance.percent(95)),
            channel: one(chance, &["instagram", "email", "tv", "qr"], 70),
            token: Some((*chance.pick(&["summer-promo", "x1", "qr-42", "welcome"])).to_owned()),
            prefix: one(chance, &["go", "r"], 60),
        }
    }

    pub(super) fn platform(&mut self) -> Option<&'static str> {
        *self.chance.pick(&[Some("ios"), Some("android"), Some("web"), None])
    }

    /// Some moment of the day to begin with.
    pub(super) fn morning(&mut self) -> Millis {
        MIDNIGHT + self.chance.between(HOUR, 16 * HOUR)
    }

    /// A moment that is later.
    pub(super) fn later(&mut self, at: &mut Millis) -> Millis {
        *at += self.chance.between(1_000, 40 * MINUTE);
        *at
    }

    pub(super) fn does(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    /// More may be heard under these names.
    pub(super) fn hears(&mut self, who: usize, names: &[&Name]) {
        self.lives[who].voices.push(names.iter().copied().cloned().collect());
    }

    /// Somebody says who it is. Calls about one person are made in the order of this.
    pub(super) fn says(&mut self, who: usize, names: &[&Name], said: Said, at: Millis) {
        let mut body = Map::new();
        for (by, name) in names.iter().copied() {
            let member = match by {
                By::User | By::Referred => "user_id",
                By::Email => "email",
                By::Install => "install_id",
                By::Click => "click_id",
                By::Anonymous => "anonymous_id",
                By::Code => "referral_code",
            };
            body.insert(member.to_owned(), json!(name));
        }
        for (member, text) in [("email", &said.email), ("name", &said.called), ("phone", &said.phone)] {
            body.extend(text.as_ref().map(|text| (member.to_owned(), json!(text))));
        }
        body.insert("traits".to_owned(), json!({"plan": "pro", "seats": 3, "is_owner": true}));
        self.lives[who].said.push(said);
        self.calls.push(Call { who, body: Value::Object(body), at });
    }

    /// Something small that somebody does, or nobody in particular.
    fn chatter(&mut self) {
        let at = MIDNIGHT + self.chance.between(HOUR, 23 * HOUR);
        let (trail, platform) = (self.trail(), self.platform());
        if self.chance.percent(15) {
            let kind = *self.chance.pick(&[Kind::Click, Kind::Install, Kind::Claim]);
            let mut deed = Deed::new(0, kind, at, &[]).led(&trail, platform);
            deed.who = None;
            return self.does(deed);
        }
        let who = self.chance.index(self.lives.len());
        if self.lives[who].voices.is_empty() {
            return;
        }
        let voice = self.chance.pick(&self.lives[who].voices).clone();
        let kind = *self.chance.pick(&[Kind::Click, Kind::Open, Kind::Open, Kind::Cart]);
        let mut deed = Deed::new(who, kind, at, &voice.iter().collect::<Vec<_>>());
        if self.chance.percent(70) {
            deed = deed.led(&trail, platform);
            deed.confidence = self.chance.percent(20).then_some(0.4);
        }
        self.does(deed);
    }
}
