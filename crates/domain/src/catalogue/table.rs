//! The table itself. Field names and values of the samples are those of the documents, so that what a reader tries here
//! looks like what a reader knows.

use super::{EventKind, Group, TEST};
use crate::identity::fact::{IDENTIFIED, SUBJECT_UPDATED};

pub(super) const CLAIMED: &str = "deferred_link.claimed";
pub(super) const DEFERRED_INSTALL: &str = "link.deferred_install";

/// Every event type the catalogue knows.
pub static ALL: &[EventKind] = &[
    EventKind {
        event_type: "link.clicked",
        alias: None,
        group: Group::Links,
        title: "Link clicked",
        description: "Somebody followed a deep link; the app has not opened yet. The most frequent event.",
        samples: &[
            concat!(
                r#"{"link_id":"lnk_8xKp2mVq","url":"https://app.example.com/product/42","campaign":"spring-sale","#,
                r#""channel":"email","referrer":"https://mail.google.com/","#,
                r#""user_agent":"Mozilla/5.0 (iPhone; CPU iPhone OS 19_3 like Mac OS X)","#,
                r#""ip_country":"US","ip_region":"CA","platform":"ios"}"#,
            ),
            concat!(
                r#"{"prefix":"go","token":"summer-sale","hostname":"links.example.com","ip":"203.0.113.42","#,
                r#""platform":"ios","device_type":"mobile","campaign":"instagram-story-may"}"#,
            ),
        ],
    },
    EventKind {
        event_type: "link.opened",
        alias: None,
        group: Group::Links,
        title: "App opened",
        description: "The link was resolved and the app opened on its route.",
        samples: &[concat!(
            r#"{"link_id":"lnk_8xKp2mVq","route":"/product/:id","route_params":{"id":"42"},"platform":"ios","#,
            r#""app_version":"3.2.1","is_deferred":false}"#,
        )],
    },
    EventKind {
        event_type: DEFERRED_INSTALL,
        alias: Some(CLAIMED),
        group: Group::Installs,
        title: "Deferred install",
        description: "A first app open was matched to the click that led to the store.",
        samples: &[concat!(
            r#"{"link_id":"lnk_8xKp2mVq","original_click_at":"2026-03-04T14:32:08.441Z","platform":"ios","#,
            r#""campaign":"spring-sale","channel":"email","match_method":"fingerprint","match_confidence":0.92}"#,
        )],
    },
    EventKind {
        event_type: CLAIMED,
        alias: Some(DEFERRED_INSTALL),
        group: Group::Installs,
        title: "Deferred link claimed",
        description: "After an install, the app claimed the link that had led to it.",
        samples: &[
            r#"{"deep_link_path":"/merchant/abc123","method":"token","ip":"203.0.113.42"}"#,
            r#"{"url":"https://links.example.com/go/summer-sale","prefix":"go","token":"summer-sale","platform":"android"}"#,
        ],
    },
    EventKind {
        event_type: "install.tracked",
        alias: None,
        group: Group::Installs,
        title: "Install tracked",
        description: "An install was reported for a link, or a visitor was sent on to the store.",
        samples: &[concat!(
            r#"{"hostname":"links.example.com","ip":"203.0.113.42","platform":"ios","device_type":"mobile","#,
            r#""campaign":"instagram-story-may"}"#,
        )],
    },
    EventKind {
        event_type: "link.conversion",
        alias: None,
        group: Group::Links,
        title: "Conversion",
        description: "A user who came through a link did what the link was for: bought, signed up, subscribed.",
        samples: &[concat!(
            r#"{"link_id":"lnk_8xKp2mVq","user_id":"user_456","campaign":"spring-sale","channel":"email","#,
            r#""revenue":49.99,"currency":"USD"}"#,
        )],
    },
    EventKind {
        event_type: "referral.created",
        alias: None,
        group: Group::Referrals,
        title: "Referral created",
        description: "A user got a referral code to share.",
        samples: &[concat!(
            r#"{"referral_code":"k7Qm2xP9aZ","referrer_id":"user_123","#,
            r#""referral_url":"https://links.example.com/ref/k7Qm2xP9aZ"}"#,
        )],
    },
    EventKind {
        event_type: "referral.completed",
        alias: None,
        group: Group::Referrals,
        title: "Referral completed",
        description: "A referred user reached the milestone that counts.",
        samples: &[concat!(
            r#"{"referral_code":"k7Qm2xP9aZ","referrer_id":"user_123","referred_user_id":"user_456","#,
            r#""milestone":"first_purchase"}"#,
        )],
    },
    EventKind {
        event_type: "ecommerce.purchase",
        alias: None,
        group: Group::Ecommerce,
        title: "Purchase",
        description: "A purchase was recorded.",
        samples: &[concat!(
            r#"{"transaction_id":"txn_10042","revenue":129.5,"currency":"USD","coupon_code":"SPRING10","#,
            r#""discount":14.4,"shipping":4.99,"tax":10.27,"#,
            r#""items":[{"item_id":"sku_42","item_name":"Trail Shoe","item_category":"Shoes","price":64.75,"quantity":2}],"#,
            r#""user_id":"user_456","campaign":"spring-sale","source":"newsletter","medium":"email","platform":"ios"}"#,
        )],
    },
    EventKind {
        event_type: "ecommerce.refund",
        alias: None,
        group: Group::Ecommerce,
        title: "Refund",
        description: "A purchase, or part of one, was paid back.",
        samples: &[r#"{"transaction_id":"txn_10042","revenue":64.75,"currency":"USD","user_id":"user_456"}"#],
    },
    EventKind {
        event_type: "ecommerce.cart_abandoned",
        alias: None,
        group: Group::Ecommerce,
        title: "Cart abandoned",
        description: "A checkout was begun and no purchase followed in time.",
        samples: &[concat!(
            r#"{"cart_id":"5f0c9a52-6a41-4c0e-9d5b-2f6c1f0f7a11","revenue":129.5,"currency":"USD","#,
            r#""items":[{"item_id":"sku_42","price":64.75,"quantity":2}],"user_id":"user_456","campaign":"spring-sale"}"#,
        )],
    },
    EventKind {
        event_type: "ecommerce.add_to_cart",
        alias: None,
        group: Group::Ecommerce,
        title: "Added to cart",
        description: "An item was put into a cart.",
        samples: &[concat!(
            r#"{"cart_id":"5f0c9a52-6a41-4c0e-9d5b-2f6c1f0f7a11","#,
            r#""items":[{"item_id":"sku_42","item_name":"Trail Shoe","price":64.75,"quantity":1,"currency":"USD"}],"#,
            r#""user_id":"user_456","platform":"ios"}"#,
        )],
    },
    EventKind {
        event_type: "ecommerce.begin_checkout",
        alias: None,
        group: Group::Ecommerce,
        title: "Checkout begun",
        description: "A checkout was begun.",
        samples: &[concat!(
            r#"{"cart_id":"5f0c9a52-6a41-4c0e-9d5b-2f6c1f0f7a11","revenue":129.5,"currency":"USD","#,
            r#""coupon_code":"SPRING10","user_id":"user_456","platform":"ios"}"#,
        )],
    },
    EventKind {
        event_type: "ecommerce.add_to_wishlist",
        alias: None,
        group: Group::Ecommerce,
        title: "Added to wish list",
        description: "An item was put on a wish list.",
        samples: &[concat!(
            r#"{"items":[{"item_id":"sku_42","item_name":"Trail Shoe","price":64.75,"currency":"USD"}],"#,
            r#""user_id":"user_456","platform":"android"}"#,
        )],
    },
    EventKind {
        event_type: "ecommerce.fraud_flagged",
        alias: None,
        group: Group::Ecommerce,
        title: "Fraud flagged",
        description: "An e-commerce event matched a fraud rule.",
        samples: &[concat!(
            r#"{"event_type":"purchase","transaction_id":"txn_10042","revenue":129.5,"currency":"USD","#,
            r#""user_id":"user_456"}"#,
        )],
    },
    EventKind {
        event_type: TEST,
        alias: None,
        group: Group::Test,
        title: "Test",
        description: "A person pressed a test button.",
        samples: &[r#"{"webhook_id":"wh_abc123","appspace_id":"as_def456"}"#],
    },
    EventKind {
        event_type: "afterclick.destination.paused",
        alias: None,
        group: Group::Operational,
        title: "Destination paused",
        description: "A destination was paused by a person, by a verdict or by its breaker; its deliveries are held.",
        samples: &[concat!(
            r#"{"destination":{"id":"dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4","name":"orders-backend"},"reason":"gone","#,
            r#""message":"the receiver answered 410"}"#,
        )],
    },
    EventKind {
        event_type: "afterclick.destination.recovered",
        alias: None,
        group: Group::Operational,
        title: "Destination recovered",
        description: "A destination takes deliveries again.",
        samples: &[r#"{"destination":{"id":"dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4","name":"orders-backend"}}"#],
    },
    EventKind {
        event_type: "afterclick.delivery.dead",
        alias: None,
        group: Group::Operational,
        title: "Delivery dead",
        description: "A delivery became a dead letter and waits for a person.",
        samples: &[concat!(
            r#"{"destination":{"id":"dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4","name":"orders-backend"},"#,
            r#""delivery":"dlv_01JD3ZK7Q0M8X2V4N6B8C0D2F5_0","#,
            r#""event":{"id":"evt_01JD3ZK7Q0M8X2V4N6B8C0D2F5","type":"link.clicked"},"#,
            r#""reason":"server_error","attempts":4}"#,
        )],
    },
    EventKind {
        event_type: "afterclick.source.failing",
        alias: None,
        group: Group::Operational,
        title: "Source failing",
        description: "A source refuses one request after another because of their signatures.",
        samples: &[concat!(
            r#"{"source":{"id":"src_01JD3ZK7Q0M8X2V4N6B8C0D2F6","name":"tolinku"},"code":"signature_mismatch","#,
            r#""failures":25}"#,
        )],
    },
    EventKind {
        event_type: IDENTIFIED,
        alias: None,
        group: Group::Operational,
        title: "Person identified",
        description: "A call to identify said who somebody is, and that was news.",
        samples: &[concat!(
            r#"{"user_id":"user_456","email":"ada@example.com","install_id":"inst_7Hq2","#,
            r#""traits":{"name":"Ada Lovelace","plan":"team"}}"#,
        )],
    },
    EventKind {
        event_type: SUBJECT_UPDATED,
        alias: None,
        group: Group::Operational,
        title: "Person updated",
        description: "Something became known of a person by an event or a call to identify.",
        samples: &[concat!(
            r#"{"subject":"sub_01JD3ZK7Q0M8X2V4N6B8C0D2F7","because":"evt_01JD3ZK7Q0M8X2V4N6B8C0D2F5","#,
            r#""changed":["email","name","stage","user_id"]}"#,
        )],
    },
    EventKind {
        event_type: "afterclick.subject.unlinked",
        alias: None,
        group: Group::Operational,
        title: "Person unlinked",
        description: "A person said that an identifier is not somebody's; which one is not told, only its kind.",
        samples: &[r#"{"subject":"sub_01JD3ZK7Q0M8X2V4N6B8C0D2F7","identifier":"install"}"#],
    },
];
