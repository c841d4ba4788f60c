//! Digests: many events in one message, to people who want to know how many there were.

use vendors::mail_api::MailApi;
use vendors::slack::Slack;
use vendors::{Book, Fault, Faults, Vendor as _};

use super::super::tally::Tally;
use super::{Member, Promise, section, with_pages};

/// Every event of these types; an interval is a moment, so that there are some.
const DIGEST: &str = "rate = 2000\nvolume = { digest = \"2s\" }\n";

/// Nothing is stored and nothing answered that could be taken for a success, so that only a kill can make a message come twice.
pub(super) fn slack(seed: u64) -> Member {
    let faults = Faults::seeded(seed)
        .with(Fault::ServerError(503), 150)
        .with(Fault::DropBefore, 100)
        .with(Fault::RateLimit { retry_after_s: 1 }, 100)
        .after([Some(Fault::DropBefore), Some(Fault::ServerError(502))]);
    let simulator = Slack::new().start(with_pages(faults));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false")];
    let config = section("slack-digest", "slack", &format!("{DIGEST}events = [\"*\"]"), &settings);
    let look = move || Tally { counted: Some(simulator.book(counted)), ..Tally::of(&simulator) };
    Member::new("slack-digest", config, look).promises(Promise::AtLeastOnce)
}

/// How many events each message counts; one that tells of a single event counts that.
fn counted(book: &Book) -> Vec<usize> {
    let count = |text: &str| {
        let headline = text.lines().next().unwrap_or_default();
        let number = headline.strip_suffix(" events in 2 seconds*").and_then(|head| head.strip_prefix('*'));
        number.map_or(1, |number| number.parse().expect("a number of events"))
    };
    book.stored.iter().map(|entry| count(&entry.key)).collect()
}

/// One mail to a team about everything, in the destination's own words. Where it cannot be told whether a mail went out, it is not sent
/// again.
pub(super) fn mail(seed: u64) -> Member {
    let faults = Faults::seeded(seed)
        .with(Fault::ServerError(503), 150)
        .with(Fault::DropAfter, 50)
        .with(Fault::RateLimit { retry_after_s: 1 }, 100)
        .after([Some(Fault::ServerError(503))]);
    let simulator = MailApi::new().start(faults);
    let settings = [
        ("provider", "resend"),
        ("api_url", &*simulator.url()),
        ("api_key", "re_afterclick"),
        ("from", "Acme <hello@acme.example>"),
        ("recipients", "['team@acme.example']"),
        ("subject", "{{ type }}"),
        ("text", "{{ data.mark }}"),
    ];
    let config = section("mail-digest", "email", &format!("{DIGEST}events = [\"referral.*\"]"), &settings);
    let member = Member::simulated("mail-digest", config, simulator);
    member.gets(|event| event.kind.starts_with("referral.")).promises(Promise::AtMostOnce)
}
