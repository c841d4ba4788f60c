//! Lives: each a way in which somebody comes to be known, or does not.

use super::day::{Day, HOUR, MINUTE};
use super::deed::{By, Deed, Kind, Millis, Name, Trail};
use super::truth::Said;

/// Most people who came by one code.
const REFERRED_TOGETHER_MAX: u64 = 6;
/// How many came by a code that everybody knows.
const REFERRED_BY_ALL: usize = 24;

type Story = fn(&mut Day);

/// Stories, and how often each is told.
const STORIES: &[(u64, Story)] = &[
    (16, visitor),
    (16, stranger),
    (14, signs_in),
    (14, identified),
    (5, identified_twice),
    (6, claims),
    (6, guessed),
    (8, two_devices),
    (5, own_code),
    (2, shared_code),
    (4, tablet),
    (4, by_address),
    (3, inbox),
    (3, web),
    (3, receipt),
    (2, only_claims),
];

/// Tells one more, of one person or of several who have to do with each other.
pub(super) fn tell(day: &mut Day) {
    // The first ones are told in any case: a small day has each of them too.
    let told = day.lives.iter().map(|life| life.story).collect::<std::collections::BTreeSet<_>>().len();
    if day.lives.len() < 400
        && day.chance.percent(30)
        && told > 0
        && !day.lives.iter().any(|life| life.story == POPULAR)
    {
        return popular_code(day);
    }
    let all: u64 = STORIES.iter().map(|(share, _)| share).sum();
    let mut drawn = day.chance.below(all);
    for (share, story) in STORIES {
        if drawn < *share {
            return story(day);
        }
        drawn -= share;
    }
}

/// A first device: a click and an install, or two installs' worth of luck.
struct Device {
    install: Name,
    click: Name,
    at: Millis,
}

/// Somebody clicks and installs.
fn arrives(day: &mut Day, who: usize, at: &mut Millis) -> Device {
    let (click, install) = (day.name(who, By::Click), day.name(who, By::Install));
    let (trail, platform) = (day.trail(), day.platform());
    let clicked = day.later(at);
    day.does(Deed::new(who, Kind::Click, clicked, &[&click]).led(&trail, platform));
    let installed = day.later(at);
    let mut deed = Deed::new(who, Kind::Install, installed, &[&install, &click]);
    if day.chance.percent(60) {
        deed = deed.led(&trail, platform);
    }
    day.does(deed);
    if day.chance.percent(30) {
        let mut claim = Deed::new(who, Kind::Claim, day.later(at), &[&install]).led(&trail, platform);
        claim.clicked_at = Some(clicked);
        claim.confidence = day.chance.percent(50).then_some(1.0);
        day.does(claim);
    }
    day.hears(who, &[&install]);
    Device { install, click, at: installed }
}

/// Somebody does what the link was for.
fn converts(day: &mut Day, who: usize, names: &[&Name], at: &mut Millis) {
    let kind = *day.chance.pick(&[Kind::Conversion, Kind::Purchase]);
    let mut deed = Deed::new(who, kind, day.later(at), names);
    if day.chance.percent(80) {
        let cents = day.chance.between(1, 100_000);
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        let amount = cents as f64 / 100.0;
        deed = deed.worth(amount, if day.chance.percent(50) { "EUR" } else { "USD" });
    }
    if day.chance.percent(30) {
        let (trail, platform) = (day.trail(), day.platform());
        deed = deed.led(&trail, platform);
    }
    day.does(deed);
}

fn signs_in_with(day: &mut Day, who: usize, names: &[&Name], at: &mut Millis) {
    let mut deed = Deed::new(who, Kind::SignIn, day.later(at), names);
    if day.chance.percent(70) {
        let name = day.call_name(who);
        deed = deed.called(&name);
    }
    deed.phone = day.chance.percent(20).then(|| format!("+49 30 {who}"));
    day.does(deed);
}

fn visitor(day: &mut Day) {
    let who = day.person("clicked and went away");
    let (click, mut at) = (day.name(who, By::Click), day.morning());
    let (trail, platform) = (day.trail(), day.platform());
    let deed = Deed::new(who, Kind::Click, day.later(&mut at), &[&click]).led(&trail, platform);
    day.does(deed);
    day.hears(who, &[&click]);
}

fn stranger(day: &mut Day) {
    let who = day.person("installed and was never known");
    let mut at = day.morning();
    let device = arrives(day, who, &mut at);
    if day.chance.percent(20) {
        converts(day, who, &[&device.install], &mut at);
    }
}

fn signs_in(day: &mut Day) {
    let who = day.person("installed, then signed in");
    let mut at = day.morning();
    let device = arrives(day, who, &mut at);
    let (user, email) = (day.name(who, By::User), day.name(who, By::Email));
    signs_in_with(day, who, &[&user, &email, &device.install], &mut at);
    if day.chance.percent(40) {
        converts(day, who, &[&user], &mut at);
    }
    if day.chance.percent(20) {
        converts(day, who, &[&device.install], &mut at);
    }
    day.hears(who, &[&user]);
    day.hears(who, &[&user, &device.install]);
}

fn said(day: &mut Day, who: usize, email: Option<&Name>) -> Said {
    Said {
        email: email.map(|(_, email)| email.clone()),
        called: day.chance.percent(80).then(|| day.call_name(who)),
        phone: day.chance.percent(20).then(|| format!("+44 20 {who}")),
    }
}

fn identified(day: &mut Day) {
    let who = day.person("identified by a call");
    let mut at = day.morning();
    let before = at - 10 * MINUTE;
    let device = arrives(day, who, &mut at);
    let (user, email) = (day.name(who, By::User), day.name(who, By::Email));
    if day.chance.percent(40) {
        converts(day, who, &[&device.install], &mut at);
    }
    let when = [before, device.at, at + HOUR];
    let when = *day.chance.pick(&when);
    let by = if day.chance.percent(70) { device.install.clone() } else { device.click.clone() };
    let said = said(day, who, Some(&email));
    let names: &[&Name] = if day.chance.percent(80) { &[&user, &by] } else { &[&by] };
    if names.len() == 1 {
        day.lives[who].names.retain(|name| *name != user);
    }
    day.says(who, names, said, when);
    if names.len() == 2 {
        day.hears(who, &[&user]);
    }
}

fn identified_twice(day: &mut Day) {
    let who = day.person("identified twice, with another name and address");
    let mut at = day.morning();
    let device = arrives(day, who, &mut at);
    let user = day.name(who, By::User);
    let (first, second) = (day.name(who, By::Email), day.name(who, By::Email));
    let call = said(day, who, Some(&first));
    day.says(who, &[&user, &device.install], call, at - 20 * MINUTE);
    let call = said(day, who, Some(&second));
    day.says(who, &[&user], call, at + HOUR);
    converts(day, who, &[&user], &mut at);
}

fn claims(day: &mut Day) {
    let who = day.person("claimed a link that was clicked before");
    let mut at = day.morning();
    let (install, user, email) = (day.name(who, By::Install), day.name(who, By::User), day.name(who, By::Email));
    let clicked = day.later(&mut at);
    let installed = Deed::new(who, Kind::Install, day.later(&mut at), &[&install]);
    day.does(installed);
    let (other, platform) = (day.trail(), day.platform());
    let opened = Deed::new(who, Kind::Open, day.later(&mut at), &[&install]).led(&other, platform);
    day.does(opened);
    let (trail, platform) = (day.trail(), day.platform());
    let mut claim = Deed::new(who, Kind::Claim, day.later(&mut at), &[&install]).led(&trail, platform);
    claim.clicked_at = Some(clicked);
    claim.confidence = *day.chance.pick(&[None, Some(1.0), Some(0.8), Some(0.79), Some(0.3)]);
    day.does(claim);
    signs_in_with(day, who, &[&user, &email, &install], &mut at);
    day.hears(who, &[&user]);
}

fn guessed(day: &mut Day) {
    let who = day.person("matched by a guess");
    let mut at = day.morning();
    let (install, user) = (day.name(who, By::Install), day.name(who, By::User));
    let guess = |day: &mut Day, at: Millis, kind: Kind| {
        let (trail, platform) = (day.trail(), day.platform());
        let mut deed = Deed::new(who, kind, at, &[&install]).led(&trail, platform);
        deed.confidence = Some(0.55);
        day.does(deed);
    };
    let moment = day.later(&mut at);
    guess(day, moment, Kind::Install);
    if day.chance.percent(60) {
        let (trail, platform) = (day.trail(), day.platform());
        let opened = Deed::new(who, Kind::Open, day.later(&mut at), &[&install]).led(&trail, platform);
        day.does(opened);
    }
    let moment = day.later(&mut at);
    guess(day, moment, Kind::Claim);
    let names: &[&Name] = &[&user, &install];
    signs_in_with(day, who, names, &mut at);
    converts(day, who, names, &mut at);
}

fn two_devices(day: &mut Day) {
    let who = day.person("has two devices");
    let mut at = day.morning();
    let first = arrives(day, who, &mut at);
    let second = arrives(day, who, &mut at);
    let (user, email) = (day.name(who, By::User), day.name(who, By::Email));
    converts(day, who, &[&second.install], &mut at);
    if day.chance.percent(50) {
        signs_in_with(day, who, &[&user, &email, &first.install], &mut at);
        signs_in_with(day, who, &[&user, &second.install], &mut at);
    } else {
        signs_in_with(day, who, &[&user, &first.click], &mut at);
        let said = said(day, who, Some(&email));
        day.says(who, &[&user, &second.install], said, at - HOUR);
    }
    day.hears(who, &[&user]);
}

/// A code of one's own: whoever has it is meant.
fn own_code(day: &mut Day) {
    let who = day.person("came by a code of one's own");
    let mut at = day.morning();
    let code = day.name(who, By::Code);
    let referrer = format!("referrer-{who}");
    let made = Deed::new(who, Kind::Code, day.later(&mut at), &[&code]).referred_by(&referrer);
    day.does(made);
    let device = arrives(day, who, &mut at);
    let referred = Deed::new(who, Kind::Referral, day.later(&mut at), &[&device.install, &code]).referred_by(&referrer);
    day.does(referred);
    let (user, email) = (day.name(who, By::User), day.name(who, By::Email));
    match day.chance.below(3) {
        0 => signs_in_with(day, who, &[&user, &email, &device.install], &mut at),
        1 => {
            let said = said(day, who, Some(&email));
            let when = at + day.chance.between(-3 * HOUR, 3 * HOUR);
            day.says(who, &[&user, &code], said, when);
        }
        _ => day.lives[who].names.retain(|name| *name != user && *name != email),
    }
    if day.chance.percent(60) {
        let done =
            Deed::new(who, Kind::Completion, day.later(&mut at), &[&code]).referred_by(&referrer).worth(20.0, "EUR");
        day.does(done);
    }
}

fn shared_code(day: &mut Day) {
    let people = 2 + day.chance.below(REFERRED_TOGETHER_MAX - 1);
    come_by_one_code(day, usize::try_from(people).expect("few"), "came by a code that others came by too");
}

const POPULAR: &str = "came by a code that everybody knows";

fn popular_code(day: &mut Day) {
    come_by_one_code(day, REFERRED_BY_ALL, POPULAR);
}

fn come_by_one_code(day: &mut Day, people: usize, story: &'static str) {
    let code = (By::Code, format!("shared-{}", day.lives.len()));
    let referrer = format!("referrer-{}", day.lives.len());
    for _ in 0..people {
        let who = day.person(story);
        let mut at = day.morning();
        let device = arrives(day, who, &mut at);
        let (user, email) = (day.name(who, By::User), day.name(who, By::Email));
        let by = if day.chance.percent(50) { &user } else { &device.install };
        let referred = Deed::new(who, Kind::Referral, day.later(&mut at), &[by, &code]).referred_by(&referrer);
        day.does(referred);
        signs_in_with(day, who, &[&user, &email, &device.install], &mut at);
        if day.chance.percent(50) {
            let name = (By::Referred, user.1.clone());
            let done = Deed::new(who, Kind::Completion, day.later(&mut at), &[&name, &code]).referred_by(&referrer);
            day.does(done);
        }
    }
}

/// Two people on one tablet: it is the first one's.
fn tablet(day: &mut Day) {
    let (first, second) = (day.person("shares a tablet, first"), day.person("shares a tablet, second"));
    let mut at = day.morning();
    let device = arrives(day, first, &mut at);
    let (user, email) = (day.name(first, By::User), day.name(first, By::Email));
    signs_in_with(day, first, &[&user, &email, &device.install], &mut at);
    let (other, other_email) = (day.name(second, By::User), day.name(second, By::Email));
    signs_in_with(day, second, &[&other, &other_email, &device.install], &mut at);
    if day.chance.percent(50) {
        converts(day, first, &[&device.install], &mut at);
    }
    let name = (By::Referred, other.1.clone());
    let done = Deed::new(second, Kind::Completion, day.later(&mut at), &[&name]);
    day.does(done);
    day.hears(second, &[&other]);
}

fn by_address(day: &mut Day) {
    let who = day.person("known by an address first");
    let mut at = day.morning();
    let device = arrives(day, who, &mut at);
    let email = day.name(who, By::Email);
    signs_in_with(day, who, &[&email, &device.install], &mut at);
    if day.chance.percent(50) {
        let user = day.name(who, By::User);
        signs_in_with(day, who, &[&user, &email], &mut at);
        day.hears(who, &[&user]);
    }
    // Addresses come in whatever case.
    let loud = (By::Email, email.1.to_uppercase());
    converts(day, who, &[&loud], &mut at);
}

/// Two accounts with one address: it is the first one's.
fn inbox(day: &mut Day) {
    let (first, second) = (day.person("shares an address, first"), day.person("shares an address, second"));
    let mut at = day.morning();
    let email = day.name(first, By::Email);
    for who in [first, second] {
        let device = arrives(day, who, &mut at);
        let user = day.name(who, By::User);
        signs_in_with(day, who, &[&user, &email, &device.install], &mut at);
    }
    day.lives[second].borrowed.push(email.1);
}

fn web(day: &mut Day) {
    let who = day.person("came to the site, then to the app");
    let mut at = day.morning();
    let (anonymous, user) = (day.name(who, By::Anonymous), day.name(who, By::User));
    let (trail, platform) = (day.trail(), Some("web"));
    let clicked = Deed::new(who, Kind::Click, day.later(&mut at), &[&anonymous]).led(&trail, platform);
    day.does(clicked);
    signs_in_with(day, who, &[&user, &anonymous], &mut at);
    let device = arrives(day, who, &mut at);
    let when = at - HOUR;
    let said = said(day, who, None);
    day.says(who, &[&user, &device.install], said, when);
    day.hears(who, &[&anonymous]);
}

/// Nothing says what led there but a receipt.
fn receipt(day: &mut Day) {
    let who = day.person("led there by what a receipt says");
    let mut at = day.morning();
    let (install, user) = (day.name(who, By::Install), day.name(who, By::User));
    let installed = Deed::new(who, Kind::Install, day.later(&mut at), &[&install, &user]);
    day.does(installed);
    let trail = Trail { token: None, prefix: None, ..day.trail() };
    let bought =
        Deed::new(who, Kind::Purchase, day.later(&mut at), &[&user]).led(&trail, Some("ios")).worth(9.5, "EUR");
    day.does(bought);
}

/// A life in which a little of everything happens, in twelve events.
pub(super) fn full_life(day: &mut Day) {
    let who = day.person("a bit of everything");
    let mut at = day.morning();
    let (user, email, code) = (day.name(who, By::User), day.name(who, By::Email), day.name(who, By::Code));
    let (install, other, click) = (day.name(who, By::Install), day.name(who, By::Install), day.name(who, By::Click));
    let (name, done) = (day.call_name(who), (By::Referred, user.1.clone()));
    let mut does = |day: &mut Day, kind: Kind, names: &[&Name], is_led: bool| {
        let (trail, platform) = (day.trail(), day.platform());
        let deed = Deed::new(who, kind, day.later(&mut at), names);
        if is_led { deed.led(&trail, platform) } else { deed }
    };
    let clicked = does(day, Kind::Click, &[&click], true);
    let mut guessed = does(day, Kind::Install, &[&install, &click], true);
    guessed.confidence = Some(0.5);
    let mut claimed = does(day, Kind::Claim, &[&install], true);
    claimed.clicked_at = Some(clicked.at - MINUTE);
    let deeds = [
        clicked,
        guessed,
        claimed,
        does(day, Kind::Open, &[&install], true),
        does(day, Kind::SignIn, &[&user, &email, &install], false).called(&name),
        does(day, Kind::Install, &[&other], false),
        does(day, Kind::Open, &[&other], true),
        does(day, Kind::SignIn, &[&user, &other], false).called("Grace Hopper"),
        does(day, Kind::Referral, &[&user, &code], false).referred_by("referrer-7"),
        does(day, Kind::Completion, &[&done, &code], false).worth(20.0, "EUR"),
        does(day, Kind::Purchase, &[&other], true).worth(9.5, "USD"),
        does(day, Kind::Cart, &[&email], true),
    ];
    day.deeds.extend(deeds);
}

fn only_claims(day: &mut Day) {
    let who = day.person("claimed a link and no more is known");
    let mut at = day.morning();
    let (install, user) = (day.name(who, By::Install), day.name(who, By::User));
    let (trail, platform) = (day.trail(), day.platform());
    let claimed = Deed::new(who, Kind::Claim, day.later(&mut at), &[&install]).led(&trail, platform);
    day.does(claimed);
    signs_in_with(day, who, &[&user, &install], &mut at);
    if day.chance.percent(50) {
        converts(day, who, &[&user], &mut at);
    }
}
