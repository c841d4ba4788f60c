//! Ad platforms, which refuse a whole request for one of its events.

use vendors::google_ads::GoogleAds;
use vendors::meta::Meta;
use vendors::{Fault, Vendor as _};

use super::super::traffic::Event;
use super::{Member, section, seldom, with_pages, without_waits};

const CONVERSIONS: &str = "rate = 2000\nbatch = { items = 20, wait = \"100ms\" }\nevents = [\"link.conversion\", \"referral.completed\", \"ecommerce.purchase\"]";

/// Its rate limits mean a wait that is longer than this test.
pub(super) fn meta(seed: u64) -> Member {
    let simulator = Meta::new().start(with_pages(without_waits(seed)));
    let settings = [
        ("host", &*simulator.url()),
        ("dataset_id", "'1001'"),
        ("access_token", "EAAB"),
        ("consent", "assumed"),
        ("custom_data", "{ mark = '{{ data.mark }}' }"),
    ];
    let config = section("meta", "meta-conversions", CONVERSIONS, &settings);
    Member::simulated("meta", config, simulator).gets(Event::is_conversion)
}

/// It knows a conversion by the number of what was bought, which has the mark in it.
pub(super) fn google(seed: u64) -> Member {
    let mut ads = GoogleAds::new();
    ads.rate = Some(vendors::bucket::Bucket::new(5.0, 10.0));
    let simulator = ads.start(with_pages(seldom(seed)).with(Fault::TokenExpired, 30));
    let settings = [
        ("host", &*simulator.url()),
        ("customer_id", "'1234567890'"),
        ("conversion_action", "'42'"),
        ("consent", "assumed"),
        ("service_account", &*format!("'''{}'''", simulator.service_account())),
    ];
    let config = section("google-ads", "google-ads", CONVERSIONS, &settings);
    Member::simulated("google-ads", config, simulator).gets(Event::is_conversion)
}
