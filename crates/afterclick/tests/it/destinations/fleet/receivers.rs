//! Receivers of every event: a webhook, Segment, the analytics platforms.

use std::time::Duration;

use vendors::amplitude::Amplitude;
use vendors::braze::Braze;
use vendors::bucket::Bucket;
use vendors::ga4::Ga4;
use vendors::iterable::Iterable;
use vendors::mixpanel::Mixpanel;
use vendors::segment::Segment;
use vendors::{Answer, Book, Fault, Faults, Request, Vendor};

use super::{ALL, ALL_IN_BATCHES, Member, Promise, section, seldom, with_pages, without_waits};
use crate::support::DESTINATION_SECRET;

pub(super) fn webhook(seed: u64) -> Member {
    let simulator = Receiver.start(singly(seed));
    let config = section("webhook", "webhook", ALL, &[("url", &simulator.url()), ("secret", DESTINATION_SECRET)]);
    Member::simulated("webhook", config, simulator)
}

/// Somebody who takes webhooks and goes by their `webhook-id`, as receivers are told to.
struct Receiver;

impl Vendor for Receiver {
    fn answer(&mut self, request: &Request, book: &mut Book) -> Answer {
        let key = request.header("webhook-id").unwrap_or_default().to_owned();
        book.store_once(key, request.json().unwrap_or_default(), request.at, Duration::MAX);
        Answer::empty(204)
    }
}

pub(super) fn segment(seed: u64) -> Member {
    let simulator = Segment::new().start(with_pages(seldom(seed)));
    let settings = [("write_key", "write-key"), ("host", &*simulator.url())];
    Member::simulated("segment", section("segment", "segment", ALL_IN_BATCHES, &settings), simulator)
}

/// It takes no more than so many requests, and does not say when it takes others.
pub(super) fn mixpanel(seed: u64) -> Member {
    let vendor = Mixpanel { rate: Some(Bucket::new(5.0, 60.0)), ..Mixpanel::new() };
    let simulator = vendor.start(with_pages(without_waits(seed)));
    let settings = [("host", &*simulator.url()), ("project_id", "'42'"), ("user", "robot"), ("secret", "secret")];
    Member::simulated("mixpanel", section("mixpanel", "mixpanel", ALL_IN_BATCHES, &settings), simulator)
}

/// One of the people does more than is taken of anybody: what is theirs waits, and nothing else.
pub(super) fn amplitude(seed: u64) -> Member {
    let mut vendor = Amplitude::new();
    vendor.rate = Some(Bucket::new(3.0, 100.0));
    let simulator = vendor.start(with_pages(without_waits(seed)));
    let settings = [("host", &*simulator.url()), ("api_key", "api-key")];
    Member::simulated("amplitude", section("amplitude", "amplitude", ALL_IN_BATCHES, &settings), simulator)
}

/// It does not know a repetition.
pub(super) fn braze(seed: u64) -> Member {
    let simulator = Braze::new().start(with_pages(without_waits(seed)));
    let (url, key) = (simulator.url(), simulator.vendor(|braze| braze.api_key.clone()));
    let settings = [("host", &*url), ("instance", "iad-01"), ("api_key", &*key)];
    let config = section("braze", "braze", ALL_IN_BATCHES, &settings);
    Member::simulated("braze", config, simulator).promises(Promise::AtLeastOnce)
}

pub(super) fn iterable(seed: u64) -> Member {
    let simulator = Iterable::new().start(with_pages(without_waits(seed)));
    let (url, key) = (simulator.url(), simulator.vendor(|iterable| iterable.api_key.clone()));
    let config = section("iterable", "iterable", ALL_IN_BATCHES, &[("host", &*url), ("api_key", &*key)]);
    Member::simulated("iterable", config, simulator)
}

/// It answers the same to everything, and knows a repetition of purchases only.
pub(super) fn ga4(seed: u64) -> Member {
    let simulator = Ga4::new().start(with_pages(singly(seed)));
    let settings = [
        ("host", &*simulator.url()),
        ("measurement_id", "G-AFTERCLICK"),
        ("api_secret", "secret"),
        ("params", "{ mark = '{{ data.mark }}' }"),
    ];
    // Each event is a request of its own, so that some must do.
    let some = ALL.replace("[\"*\"]", "[\"link.*\", \"ecommerce.purchase\"]");
    let member = Member::simulated("ga4", section("ga4", "ga4", &some, &settings), simulator);
    let member = member.gets(|event| event.kind.starts_with("link.") || event.kind == "ecommerce.purchase");
    member.promises(Promise::AtLeastOnce).knows(|event| event.kind == "ecommerce.purchase")
}

/// The faults of somebody who takes one event at a time. Waits that are asked for are rare, because each holds the whole lane for
/// a second.
fn singly(seed: u64) -> Faults {
    Faults::seeded(seed)
        .with(Fault::RateLimit { retry_after_s: 1 }, 1)
        .with(Fault::ServerError(503), 60)
        .with(Fault::ServerError(500), 30)
        .with(Fault::DropBefore, 40)
        .with(Fault::DropAfter, 40)
        .with(Fault::LateSuccess { hold: Duration::from_millis(300) }, 5)
        .with(Fault::Slow { hold: Duration::from_millis(20) }, 30)
}
