//! Welcome mail, by every provider.

use vendors::bucket::Bucket;
use vendors::mail_api::MailApi;
use vendors::smtp::Smtp;
use vendors::{Book, Vendor as _};

use super::super::tally::{Tally, count_marks};
use super::super::traffic::Event;
use super::{Member, Promise, section, seldom, with_pages};

const WELCOMES: &str = "events = [\"install.tracked\"]\nrate = 2000";

/// The words of every welcome mail.
const WELCOME: [(&str, &str); 3] = [
    ("from", "Acme <hello@acme.example>"),
    ("subject", "Welcome, {{ data.campaign }}"),
    ("text", "Hello {{ data.mark }}"),
];

/// It knows a mail by its idempotency key.
pub(super) fn resend(seed: u64) -> Member {
    let simulator = MailApi::without_limit().start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [("provider", "resend"), ("api_url", &*url), ("api_key", "re_afterclick")];
    let config = section("resend", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    Member::simulated("resend", config, simulator).gets(Event::is_install)
}

/// All of a team are on one mail, which is known by its key too. So many mails are taken a second, and no more.
pub(super) fn team(seed: u64) -> Member {
    let mut vendor = MailApi::new();
    vendor.resend.rate = Some(Bucket::new(20.0, 20.0));
    let simulator = vendor.start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [
        ("provider", "resend"),
        ("api_url", &*url),
        ("api_key", "re_afterclick"),
        ("recipients", "['ada@acme.example', 'bob@acme.example']"),
    ];
    let config = section("mail-team", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    let look = move || {
        let marks_of = |to: &str| {
            let mails = |book: &Book| {
                let mails = book.stored.iter().filter(|entry| entry.key == to);
                count_marks(mails.map(|entry| entry.item.to_string()))
            };
            simulator.book(mails)
        };
        let (times, others) = (marks_of("ada@acme.example"), marks_of("bob@acme.example"));
        let mut tally = Tally { times, ..Tally::of(&simulator) };
        if others != tally.times {
            tally.lost.push("a mail that not all of the team have".to_owned());
        }
        tally
    };
    Member::new("mail-team", config, look).gets(Event::is_install)
}

/// These know nothing of the kind.
pub(super) fn postmark(seed: u64) -> Member {
    let simulator = MailApi::without_limit().start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [("provider", "postmark"), ("api_url", &*url), ("api_key", "postmark-token")];
    let config = section("postmark", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    Member::simulated("postmark", config, simulator).gets(Event::is_install).promises(Promise::AtMostOnce)
}

pub(super) fn send_grid(seed: u64) -> Member {
    let simulator = MailApi::without_limit().start(with_pages(seldom(seed)));
    let url = simulator.url();
    let settings = [("provider", "sendgrid"), ("api_url", &*url), ("api_key", "SG.afterclick")];
    let config = section("sendgrid", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    Member::simulated("sendgrid", config, simulator).gets(Event::is_install).promises(Promise::AtMostOnce)
}

pub(super) fn smtp(seed: u64, nobody: &str) -> Member {
    let mut server = Smtp::new();
    server.refused = vec![(format!("{nobody}@example.org"), "550 5.1.1 no such user here".to_owned())];
    let simulator = server.start(with_pages(seldom(seed)));
    let port = simulator.address().port().to_string();
    let settings = [("provider", "smtp"), ("host", "127.0.0.1"), ("port", &*port), ("tls", "none")];
    let config = section("smtp", "email", WELCOMES, &[&settings[..], &WELCOME].concat());
    let member = Member::simulated("smtp", config, simulator).gets(Event::is_install).promises(Promise::AtMostOnce);
    member.poisoned(nobody, "no such user here")
}
