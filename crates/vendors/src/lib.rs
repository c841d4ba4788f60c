//! Simulators of the vendors that Afterclick delivers to, badness included: for tests, the bench and the demo.
//!
//! A simulator is a real server on a port of 127.0.0.1 that answers as the vendor does, down to the wording of its errors, and
//! keeps a book of what became of everything it was sent. What a vendor does badly it does badly here too: Segment answers
//! 200 and drops the message, Mixpanel stores half of what it refuses, a mail server hangs up after the dot.
//!
//! # To use one
//!
//! ```
//! use vendors::segment::Segment;
//! use vendors::{Fault, Faults, Vendor as _};
//!
//! let simulator = Segment::new().start(Faults::rough(7).for_the_first(500));
//! let url = simulator.url(); // Goes into the settings of a destination.
//! // … deliver, then look:
//! simulator.book(|book| assert!(book.lost.is_empty() && book.counts().values().all(|times| *times == 1)));
//!
//! // Or say what happens to the first requests, one by one.
//! simulator.set_faults(Faults::script([Some(Fault::DropAfter), None, Some(Fault::ServerError(503))]));
//! simulator.vendor(|segment| segment.write_key = "rotated".to_owned());
//! # assert!(url.starts_with("http://127.0.0.1:"));
//! ```
//!
//! - It runs on a thread of its own, so a test may be synchronous, asynchronous or run on paused time. It ends when it is dropped.
//! - [`Simulator::until`] waits for the book to look as wanted, without sleeping.
//! - Limits and windows ("one message a second", "remembered for a day") run on the simulator's own clock, which
//!   [`Simulator::advance`] moves. Rate limits are a public field `rate`, and `without_limit()` leaves them out.
//! - What must be signed is signed with [`private_key`] (`BigQuery`, Google Ads, Snowflake, Salesforce) or the keys in [`redshift`].
//! - Chat hooks and catch hooks have `hook_url()`, Google's APIs `service_account()`: what a user would paste.
//!
//! # The book
//!
//! | list of [`Book`] | the client was told | and the vendor |
//! | --- | --- | --- |
//! | `stored` | success, or nothing where a fault ate the answer | has it |
//! | `duplicates` | success | had it already, and kept one |
//! | `lost` | success | dropped it: a bug of ours unless the test wants it |
//! | `refused` | what is wrong | does not have it; may be sent again |
//! | `flagged` | success | has it, and something is wrong with it: it pings everybody, it has a bare line feed |
//! | `received` | | every request byte for byte, with its fault and the status of its answer |
//!
//! Every entry has the key that the vendor goes by. Where a vendor has no key for repetitions, a repetition is stored
//! again, and [`Book::times_stored`] says so. "Exactly once where the vendor allows it, and never zero times" is then: every key is in
//! [`Book::counts`]; each count is 1 where the vendor deduplicates; `lost` is empty.
//!
//! # Who is here
//!
//! | module | stands for | key | tells repetitions |
//! | --- | --- | --- | --- |
//! | [`segment`] | Segment, `RudderStack`, Jitsu | `messageId` | for a day, across all writers |
//! | [`slack`], [`discord`], [`teams`] | hooks of chats | the text | no |
//! | [`mail_api`] | Resend, Postmark, `SendGrid` | the recipient | Resend, by `Idempotency-Key`, for a day |
//! | [`smtp`] | a mail server | the recipient | no |
//! | [`mixpanel`] | its import | `$insert_id` | with event, time and person |
//! | [`amplitude`] | HTTP API v2 and batch | `insert_id` | with the device, for a week |
//! | [`ga4`] | measurement protocol | client, name and time | purchases only |
//! | [`braze`] | `/users/track` | who, name and time | no |
//! | [`iterable`] | event tracking | `id` | yes |
//! | [`bigquery`] | `insertAll`, tables, tokens | `insertId` | for a minute |
//! | [`snowflake`] | Snowpipe Streaming, SQL API | column `event_id` | no |
//! | [`redshift`] | Data API | `ClientToken` | yes |
//! | [`clickhouse`] | 18.16 and 26.9 over HTTP | column `event_id` | by insert token, where the table keeps any |
//! | [`meta`] | Conversions API | `event_id` | with the name, for two days |
//! | [`google_ads`] | Data Manager API | `transactionId` | yes |
//! | [`hubspot`] | contacts, their properties, merging | the unique value | by it |
//! | [`salesforce`] | leads, contacts, conversion, merging, setup | the external id | by it |
//! | [`pipedrive`] | people, deals, their fields, search, merging | a custom field | no |
//! | [`catch_hook`] | Zapier, Make, n8n | `id`, or the JSON | no |
//!
//! # Faults
//!
//! A plan of [`Faults`] depends on a seed and the number of the request alone. [`Fault`] says of each kind whether the vendor stores
//! before it misbehaves. A [`Fault::PartialFailure`] is the vendor's own: the last of a batch fails (Mixpanel, Postmark,
//! Braze, Iterable), times out and stops the others (`BigQuery`) or is throttled (Amplitude), a message is not saved (Discord,
//! Teams, `SendGrid`), an exception hides behind a 200 (`ClickHouse`), only the first recipient is taken (SMTP), a
//! statement fails after it was accepted (Redshift). Those that are final
//! for the vendor stay final: the deliveries end as dead letters, or as lost where nobody is told.
//!
//! # To add a simulator
//!
//! 1. One file, named after the vendor, with a struct of its public settings and `new()`. The module doc says what it stands
//!    for, what an item is, what its key is and whether it tells repetitions.
//! 2. Implement [`Vendor`]: `answer` decides from the request alone, without clock or socket, and writes every item into the book;
//!    `words` gives the vendor's wording of a rate limit, a server error and an expired token; `is_aside` names token endpoints
//!    and probes, which meet no faults. Where the protocol is not HTTP, see [`smtp`].
//! 3. Tests beside it hold it against the vendor's documentation: once over HTTP, the rest through `answer`.
//! 4. One line in this file's list of modules, one row in the table above.

pub mod answer;
pub mod book;
pub mod bucket;
pub mod faults;
mod google;
mod http1;
mod jwt;
mod look;
#[cfg(test)]
mod probe;
pub mod request;
mod sigv4;
pub mod simulator;

pub mod amplitude;
pub mod bigquery;
pub mod braze;
pub mod catch_hook;
pub mod clickhouse;
pub mod discord;
pub mod ga4;
pub mod google_ads;
pub mod hubspot;
pub mod iterable;
pub mod mail_api;
pub mod meta;
pub mod mixpanel;
pub mod pipedrive;
pub mod redshift;
pub mod salesforce;
pub mod segment;
pub mod slack;
pub mod smtp;
pub mod snowflake;
pub mod teams;

pub use answer::Answer;
pub use book::{Book, Entry, Received};
pub use faults::{Fault, Faults};
pub use google::SERVICE_ACCOUNT_EMAIL;
pub use jwt::private_key;
pub use request::Request;
pub use simulator::{Simulator, Vendor};
