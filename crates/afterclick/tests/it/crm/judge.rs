//! The judge: every record of every CRM against what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;

use bench::server::ADMIN_KEY;
use domain::Timestamp;

use super::accounts::{Account, Kept};
use super::day::Day;
use super::deed::{By, Name};
use super::truth::{Field, Fields, Truth};
use crate::support::request;

/// So many findings of a kind are told in full.
const TOLD_MAX: usize = 3;
/// Questions that are asked side by side.
const ASKING: usize = 4;

/// What is not as it should be, by what kind of thing it is and in what kind of life.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<String, Vec<String>>);

impl Findings {
    fn find(&mut self, kind: String, what: String) {
        self.0.entry(kind).or_default().push(what);
    }

    /// Each kind with how often it was found, and the first of them in full.
    pub(super) fn tell(&self) -> String {
        let mut text = String::new();
        for (kind, all) in &self.0 {
            writeln!(text, "\n== {} × {kind}", all.len()).expect("writing to a string");
            all.iter().take(TOLD_MAX).for_each(|what| text.push_str(what));
        }
        text
    }
}

/// Holds what is kept against what is true.
pub(super) fn judge(day: &Day, accounts: &[Account], server: SocketAddr) -> Findings {
    let mut findings = Findings::default();
    let (truths, subjects) = (day.truths(), subjects(day, server));
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for (who, found) in subjects.iter().enumerate() {
        let story = day.lives[who].story;
        if truths[who].belongs(super::truth::Strategy::Stub) && found.len() != 1 {
            findings.find(format!("identity, {story}: known as {} subjects", found.len()), tell(day, who));
        }
        for subject in found {
            if let Some(other) = owners.insert(subject, who) {
                let kind = format!("identity, {story} and {}: one subject", day.lives[other].story);
                findings.find(kind, tell(day, who) + &tell(day, other));
            }
        }
    }
    for account in accounts {
        judge_account(day, account, &truths, &subjects, &mut findings);
    }
    findings
}

fn judge_account(
    day: &Day,
    account: &Account,
    truths: &[Truth],
    subjects: &[BTreeSet<String>],
    findings: &mut Findings,
) {
    let mut kept: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
    for record in (account.records)() {
        kept.entry(record.key.clone()).or_default().push(record);
    }
    for (who, truth) in truths.iter().enumerate() {
        let story = day.lives[who].story;
        let records: Vec<Kept> = subjects[who].iter().filter_map(|subject| kept.remove(subject)).flatten().collect();
        let wanted = usize::from(truth.belongs(account.strategy));
        if records.len() != wanted {
            let kind = format!("{}, {story}: {} records in place of {wanted}", account.name, records.len());
            findings.find(kind, format!("{}{records:#?}\n", tell(day, who)));
            continue;
        }
        let Some(record) = records.first() else { continue };
        for wrong in differences(account, &truth.fields(), &record.fields) {
            let kind = format!("{}, {story}: {:?} {}", account.name, wrong.field, wrong.kind());
            let text =
                format!("{wrong}\n{}  record {} of {}: {:?}\n", tell(day, who), record.id, record.key, record.fields);
            findings.find(kind, text);
        }
    }
    for record in kept.into_values().flatten() {
        findings.find(format!("{}: a record of nobody", account.name), format!("{record:?}\n"));
    }
}

/// A field that is not as it should be.
struct Wrong {
    field: Field,
    wanted: Option<String>,
    is: Option<String>,
}

impl Wrong {
    const fn kind(&self) -> &'static str {
        match (&self.wanted, &self.is) {
            (None, _) => "should be empty",
            (_, None) => "is missing",
            _ => "is another",
        }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "-- {:?} is {:?} and should be {:?}", self.field, self.is, self.wanted)
    }
}

fn differences(account: &Account, wanted: &Fields, is: &Fields) -> Vec<Wrong> {
    let wrong = account.keeps.iter().filter_map(|(field, _, longest)| {
        let whole = wanted;
        let wanted = wanted.get(field).map(|text| on_one_line(text)).filter(|text| !text.is_empty());
        let is = is.get(field).map(|text| on_one_line(text));
        let same = match (&wanted, &is) {
            (Some(wanted), Some(is)) => is_same(*field, wanted, is, *longest),
            (None, Some(is)) => (account.stands_in)(*field, is, whole),
            (wanted, is) => wanted == is,
        };
        (!same).then_some(Wrong { field: *field, wanted, is })
    });
    wrong.collect()
}

fn is_same(field: Field, wanted: &str, is: &str, longest: usize) -> bool {
    let is_cut = || {
        let cut: String = wanted.chars().take(longest).collect();
        wanted.chars().count() > longest && cut.trim() == is.trim_end_matches('…').trim()
    };
    match field {
        Field::Value => wanted.parse::<f64>().ok() == is.parse::<f64>().ok(),
        _ => wanted == is || is_cut(),
    }
}

/// A text as every CRM may show it: without what is invisible.
fn on_one_line(text: &str) -> String {
    let is_apart = |c: char| c.is_whitespace() || c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    text.split(is_apart).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A life, for a person.
fn tell(day: &Day, who: usize) -> String {
    let life = &day.lives[who];
    let mut text = format!("  person {who}: {}\n", life.story);
    let mut deeds: Vec<_> = day.deeds.iter().filter(|deed| deed.who == Some(who)).collect();
    deeds.sort_by_key(|deed| deed.at);
    for deed in deeds {
        let at = Timestamp::from_millis(deed.at);
        writeln!(text, "    {at} ({}) {deed:?}", deed.at).expect("writing to a string");
    }
    for call in day.calls.iter().filter(|call| call.who == who) {
        writeln!(text, "    identify {} {}", Timestamp::from_millis(call.at), call.body).expect("writing to a string");
    }
    text
}

/// The subjects that each person's names lead to.
fn subjects(day: &Day, server: SocketAddr) -> Vec<BTreeSet<String>> {
    let lives = &day.lives;
    let part = lives.len().div_ceil(ASKING).max(1);
    std::thread::scope(|scope| {
        let asking: Vec<_> = lives
            .chunks(part)
            .map(|lives| {
                scope.spawn(move || {
                    let of = |names: &Vec<Name>| names.iter().filter_map(|name| subject(server, name)).collect();
                    lives.iter().map(|life| of(&life.names)).collect::<Vec<_>>()
                })
            })
            .collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    })
}

fn subject(server: SocketAddr, (by, name): &Name) -> Option<String> {
    let kind = match by {
        By::User | By::Referred => "user",
        By::Email => "email",
        By::Install => "install",
        By::Click => "click",
        By::Anonymous => "anonymous",
        By::Code => "referral",
    };
    let path = format!("/v1/subjects/{}", encoded(&format!("{kind}:{name}")));
    let headers = vec![("authorization".to_owned(), format!("Bearer {ADMIN_KEY}"))];
    let answer = request(server, "GET", &path, &headers, b"");
    match answer.status {
        200 => Some(answer.json()["id"].as_str().expect("a subject has an id").to_owned()),
        // Nobody has said it.
        404 => None,
        status => panic!("GET {path}: {status} {}", answer.json()),
    }
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
