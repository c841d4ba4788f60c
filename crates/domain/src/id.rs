//! Identifiers: a three-letter prefix, an underscore and a ULID, for example `evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4`.
//!
//! Ids are time-sortable (48 bits of milliseconds first), so a store appends at the right edge of its index, and a list
//! ordered by id is a list ordered by time. They are minted by us, never by a backend, so that two machines over one
//! database cannot collide.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::identity::Identifier;
use crate::time::Timestamp;

pub type AppspaceId = Id<kind::Appspace>;
pub type SourceId = Id<kind::Source>;
pub type EventId = Id<kind::Event>;
pub type DestinationId = Id<kind::Destination>;
pub type ReplayId = Id<kind::Replay>;
pub type KeyId = Id<kind::Key>;
pub type SubjectId = Id<kind::Subject>;

/// What an [`Id`] identifies; gives the prefix and the word used in messages.
pub trait Kind {
    const PREFIX: &'static str;
    const NOUN: &'static str;
}

/// The kinds of [`Id`].
pub mod kind {
    /// Marker of [`super::AppspaceId`].
    pub enum Appspace {}
    /// Marker of [`super::SourceId`].
    pub enum Source {}
    /// Marker of [`super::EventId`].
    pub enum Event {}
    /// Marker of [`super::DestinationId`].
    pub enum Destination {}
    /// Marker of [`super::ReplayId`].
    pub enum Replay {}
    /// Marker of [`super::KeyId`].
    pub enum Key {}
    /// Marker of [`super::SubjectId`].
    pub enum Subject {}
}

impl Kind for kind::Appspace {
    const PREFIX: &'static str = "app_";
    const NOUN: &'static str = "appspace";
}
impl Kind for kind::Source {
    const PREFIX: &'static str = "src_";
    const NOUN: &'static str = "source";
}
impl Kind for kind::Event {
    const PREFIX: &'static str = "evt_";
    const NOUN: &'static str = "event";
}
impl Kind for kind::Destination {
    const PREFIX: &'static str = "dst_";
    const NOUN: &'static str = "destination";
}
impl Kind for kind::Replay {
    const PREFIX: &'static str = "rpl_";
    const NOUN: &'static str = "replay";
}
impl Kind for kind::Key {
    const PREFIX: &'static str = "key_";
    const NOUN: &'static str = "key";
}
impl Kind for kind::Subject {
    const PREFIX: &'static str = "sub_";
    const NOUN: &'static str = "subject";
}

/// A 128-bit time-sortable identifier of one kind of thing.
pub struct Id<K> {
    ulid: Ulid,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Id<K> {
    /// Mints an id for `at` from 80 random bits (the upper 48 bits of `random` are ignored).
    pub fn mint(at: Timestamp, random: u128) -> Self {
        Self::from_ulid(Ulid::from_parts(at.as_millis().max(0).cast_unsigned(), random))
    }

    /// The 16 bytes in sort order, as a backend stores them.
    pub fn to_bytes(self) -> [u8; 16] {
        self.ulid.to_bytes()
    }

    /// The inverse of [`Id::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_ulid(Ulid::from_bytes(bytes))
    }

    /// When the id was minted, to the millisecond.
    pub fn minted_at(self) -> Timestamp {
        Timestamp::from_millis(self.ulid.timestamp_ms().cast_signed())
    }

    const fn from_ulid(ulid: Ulid) -> Self {
        Self { ulid, kind: PhantomData }
    }
}

impl SourceId {
    /// The built-in source of events published with `POST /v1/events`; named `api` everywhere.
    pub const API: Self = Self::from_ulid(Ulid(1));
    /// The built-in source of operational events; named `afterclick` everywhere.
    pub const AFTERCLICK: Self = Self::from_ulid(Ulid(2));
}

impl SubjectId {
    /// The id of a subject that begins with this identifier: the same whenever and wherever it is made, so that a record that
    /// a vendor keeps under it is found again. `round` tells those apart that begin with the same one after a separation.
    pub fn born(appspace: AppspaceId, identifier: &Identifier, round: u64) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&appspace.to_bytes());
        context.update(&round.to_be_bytes());
        context.update(identifier.to_string().as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&context.finish().as_ref()[..16]);
        Self::from_bytes(first)
    }
}

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {noun} id; it looks like `{prefix}01JD3ZK7Q0M8X2V4N6B8C0D2F4`")]
pub struct ParseIdError {
    text: String,
    noun: String,
    prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix(K::PREFIX).and_then(|rest| Ulid::from_string(rest).ok()).map(Self::from_ulid).ok_or_else(
            || {
                let article = if K::NOUN.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
                ParseIdError {
                    text: text.chars().take(64).collect(),
                    noun: format!("{article} {}", K::NOUN),
                    prefix: K::PREFIX,
                }
            },
        )
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::PREFIX)?;
        self.ulid.fmt(f)
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.ulid == other.ulid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ulid.cmp(&other.ulid)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ulid.hash(state);
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Identifies a delivery: the event it belongs to and its ordinal among that event's deliveries.
///
/// Written `dlv_<ulid of the event>_<ordinal>`. Because the event is part of the id, no backend needs an index from
/// delivery ids to rows, and the deliveries of one event lie beside each other. Ordinals count from 0 in the order of
/// routing; replays and resends of the event take the next free ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    pub event: EventId,
    pub ordinal: u16,
}

const DELIVERY_PREFIX: &str = "dlv_";

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DELIVERY_PREFIX}{}_{}", self.event.ulid, self.ordinal)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeliveryId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let parsed =
            text.strip_prefix(DELIVERY_PREFIX).and_then(|rest| rest.split_once('_')).and_then(|(ulid, ordinal)| {
                let canonical = ordinal == "0" || !ordinal.starts_with(['0', '+']);
                let ordinal = ordinal.parse().ok().filter(|_| canonical)?;
                Some(Self { event: EventId::from_ulid(Ulid::from_string(ulid).ok()?), ordinal })
            });
        parsed.ok_or_else(|| ParseIdError {
            text: text.chars().take(64).collect(),
            noun: "a delivery".to_owned(),
            prefix: DELIVERY_PREFIX,
        })
    }
}

impl Serialize for DeliveryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for DeliveryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text_and_bytes() {
        let id = EventId::mint(Timestamp::from_millis(1_772_634_728_441), 42);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(EventId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.minted_at(), Timestamp::from_millis(1_772_634_728_441));
    }

    #[test]
    fn ids_sort_by_time() {
        let earlier = EventId::mint(Timestamp::from_millis(1), u128::MAX);
        let later = EventId::mint(Timestamp::from_millis(2), 0);
        assert!(earlier < later);
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn an_id_of_another_kind_is_refused_with_the_expected_shape() {
        let error = "dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4".parse::<EventId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`dst_01JD3ZK7Q0M8X2V4N6B8C0D2F4` is not an event id; it looks like `evt_01JD3ZK7Q0M8X2V4N6B8C0D2F4`"
        );
    }

    #[test]
    fn a_delivery_id_names_its_event_and_has_one_spelling() {
        let id = DeliveryId { event: EventId::mint(Timestamp::from_millis(7), 7), ordinal: 12 };
        assert_eq!(id.to_string().parse(), Ok(id));
        let ulid = &id.to_string()[4..30];
        for other in ["012", "+12", "-1", "65536", ""] {
            assert!(format!("dlv_{ulid}_{other}").parse::<DeliveryId>().is_err(), "{other}");
        }
    }
}
