//! The vendors Afterclick delivers to, one module each.
//!
//! A connector turns events into calls and replies into verdicts; the engine does everything else. Adding one is one file
//! here, one line in [`ALL`] and one fixture.

mod ads;
mod amplitude;
mod auth;
mod bigquery;
mod braze;
mod bus;
mod chat;
mod clickhouse;
mod common;
mod crm;
mod discord;
mod email;
mod ga4;
mod google_ads;
mod hubspot;
mod iterable;
mod kafka;
mod meta_conversions;
mod mixpanel;
mod nats;
mod pipedrive;
mod postgres;
mod redshift;
mod s3;
mod salesforce;
mod segment;
mod slack;
mod snowflake;
mod teams;
mod tracking;
mod warehouse;
mod webhook;
mod zapier;

use domain::Connector;

/// Every connector.
pub static ALL: &[&dyn Connector] = &[
    &webhook::Webhook,
    &zapier::Zapier,
    &email::Email,
    &segment::Segment,
    &amplitude::Amplitude,
    &mixpanel::Mixpanel,
    &meta_conversions::MetaConversions,
    &google_ads::GoogleAds,
    &ga4::Ga4,
    &braze::Braze,
    &iterable::Iterable,
    &hubspot::HubSpot,
    &salesforce::Salesforce,
    &pipedrive::Pipedrive,
    &slack::Slack,
    &discord::Discord,
    &teams::Teams,
    &s3::S3,
    &nats::Nats,
    &kafka::Kafka,
    &clickhouse::ClickHouse,
    &postgres::Postgres,
    &bigquery::BigQuery,
    &redshift::Redshift,
    &snowflake::Snowflake,
];

/// The connector of this name: the word in `connector = "…"`.
pub fn by_name(name: &str) -> Option<&'static dyn Connector> {
    ALL.iter().copied().find(|connector| connector.manifest().name == name)
}

#[cfg(test)]
mod kit;

/// What `cargo xtask new-connector` makes a new connector of.
#[cfg(test)]
mod template;
