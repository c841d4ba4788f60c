//! The few requests that a producer needs, in the oldest version that every broker since 0.11 still speaks.

use bytes::Bytes;

use super::codec::{Malformed, Reader, Writer};

/// A request: its number and version, and how its reply is read.
pub(super) trait Request {
    const KEY: i16;
    const VERSION: i16;
    type Reply;

    fn write(&self, to: &mut Writer);
    fn read(from: &mut Reader) -> Result<Self::Reply, Malformed>;
}

/// Who leads the partitions of topics.
pub(super) struct Metadata<'t>(pub(super) &'t [&'t str]);

pub(super) struct Cluster {
    pub(super) brokers: Vec<Node>,
    /// In the order of their names.
    pub(super) topics: Vec<Topic>,
}

/// A broker as the cluster announces it.
pub(super) struct Node {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: i32,
}

pub(super) struct Topic {
    pub(super) error: i16,
    pub(super) name: String,
    /// In the order of their numbers.
    pub(super) partitions: Vec<Partition>,
}

pub(super) struct Partition {
    pub(super) error: i16,
    pub(super) number: i32,
    pub(super) leader: i32,
}

impl Request for Metadata<'_> {
    const KEY: i16 = 3;
    const VERSION: i16 = 4;
    type Reply = Cluster;

    fn write(&self, to: &mut Writer) {
        to.count(self.0.len());
        for topic in self.0 {
            to.text(topic);
        }
        // A topic that is not there is a mistake that a person should see, not one more topic.
        to.flag(false);
    }

    fn read(from: &mut Reader) -> Result<Cluster, Malformed> {
        let _throttled_ms = from.i32()?;
        let brokers = from.list(|from| {
            let node = Node { id: from.i32()?, host: from.text()?, port: from.i32()? };
            from.text_or_nothing()?;
            Ok(node)
        })?;
        from.text_or_nothing()?;
        let _controller = from.i32()?;
        let mut topics = from.list(|from| {
            let (error, name, _is_internal) = (from.i16()?, from.text()?, from.flag()?);
            let mut partitions = from.list(partition)?;
            partitions.sort_unstable_by_key(|it| it.number);
            Ok(Topic { error, name, partitions })
        })?;
        topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Cluster { brokers, topics })
    }
}

fn partition(from: &mut Reader) -> Result<Partition, Malformed> {
    let partition = Partition { error: from.i16()?, number: from.i32()?, leader: from.i32()? };
    let (_replicas, _in_sync) = (from.list(Reader::i32)?, from.list(Reader::i32)?);
    Ok(partition)
}

/// Batches for partitions, to be acknowledged by every replica that is in sync.
pub(super) struct Produce<'p> {
    pub(super) timeout_ms: i32,
    pub(super) topics: Vec<(&'p str, Vec<(i32, Bytes)>)>,
}

/// What became of a batch.
pub(super) struct Produced {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) error: i16,
}

/// Every replica that is in sync.
const ACKS_ALL: i16 = -1;

impl Request for Produce<'_> {
    const KEY: i16 = 0;
    const VERSION: i16 = 3;
    type Reply = Vec<Produced>;

    fn write(&self, to: &mut Writer) {
        // No transaction.
        to.i16(-1);
        to.i16(ACKS_ALL);
        to.i32(self.timeout_ms);
        to.count(self.topics.len());
        for (topic, partitions) in &self.topics {
            to.text(topic);
            to.count(partitions.len());
            for (number, batch) in partitions {
                to.i32(*number);
                to.bytes(batch);
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Vec<Produced>, Malformed> {
        let topics = from.list(|from| {
            let topic = from.text()?;
            from.list(|from| {
                let (partition, error) = (from.i32()?, from.i16()?);
                let (_offset, _appended_at) = (from.i64()?, from.i64()?);
                Ok(Produced { topic: topic.clone(), partition, error })
            })
        })?;
        Ok(topics.into_iter().flatten().collect())
    }
}

/// What the broker can do, which every broker tells everybody, also before a login.
pub(super) struct ApiVersions;

impl Request for ApiVersions {
    const KEY: i16 = 18;
    const VERSION: i16 = 0;
    type Reply = ();

    fn write(&self, _: &mut Writer) {}

    fn read(from: &mut Reader) -> Result<(), Malformed> {
        let _error = from.i16()?;
        from.list(|from| Ok((from.i16()?, from.i16()?, from.i16()?))).map(drop)
    }
}

/// Which way of logging in we want.
pub(super) struct SaslHandshake(pub(super) &'static str);

impl Request for SaslHandshake {
    const KEY: i16 = 17;
    const VERSION: i16 = 1;
    /// An error, and the ways that the broker knows.
    type Reply = (i16, Vec<String>);

    fn write(&self, to: &mut Writer) {
        to.text(self.0);
    }

    fn read(from: &mut Reader) -> Result<Self::Reply, Malformed> {
        Ok((from.i16()?, from.list(Reader::text)?))
    }
}

/// One step of logging in.
pub(super) struct SaslAuthenticate(pub(super) Vec<u8>);

impl Request for SaslAuthenticate {
    const KEY: i16 = 36;
    const VERSION: i16 = 0;
    /// An error, its message, and what the broker says otherwise.
    type Reply = (i16, Option<String>, Bytes);

    fn write(&self, to: &mut Writer) {
        to.bytes(&self.0);
    }

    fn read(from: &mut Reader) -> Result<Self::Reply, Malformed> {
        Ok((from.i16()?, from.text_or_nothing()?, from.bytes()?))
    }
}

/// The broker's own names of what it answers to these requests; those that the documentation gives.
pub(super) fn error_name(code: i16) -> String {
    const NAMES: [(i16, &str); 28] = [
        (-1, "UNKNOWN_SERVER_ERROR"),
        (2, "CORRUPT_MESSAGE"),
        (3, "UNKNOWN_TOPIC_OR_PARTITION"),
        (5, "LEADER_NOT_AVAILABLE"),
        (6, "NOT_LEADER_OR_FOLLOWER"),
        (7, "REQUEST_TIMED_OUT"),
        (8, "BROKER_NOT_AVAILABLE"),
        (10, "MESSAGE_TOO_LARGE"),
        (13, "NETWORK_EXCEPTION"),
        (17, "INVALID_TOPIC_EXCEPTION"),
        (18, "RECORD_LIST_TOO_LARGE"),
        (19, "NOT_ENOUGH_REPLICAS"),
        (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
        (21, "INVALID_REQUIRED_ACKS"),
        (29, "TOPIC_AUTHORIZATION_FAILED"),
        (31, "CLUSTER_AUTHORIZATION_FAILED"),
        (32, "INVALID_TIMESTAMP"),
        (33, "UNSUPPORTED_SASL_MECHANISM"),
        (34, "ILLEGAL_SASL_STATE"),
        (35, "UNSUPPORTED_VERSION"),
        (42, "INVALID_REQUEST"),
        (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT"),
        (44, "POLICY_VIOLATION"),
        (56, "KAFKA_STORAGE_ERROR"),
        (58, "SASL_AUTHENTICATION_FAILED"),
        (76, "UNSUPPORTED_COMPRESSION_TYPE"),
        (87, "INVALID_RECORD"),
        (89, "THROTTLING_QUOTA_EXCEEDED"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known == code);
    known.map_or_else(|| format!("ERROR_{code}"), |(_, name)| (*name).to_owned())
}

/// Whether a code is about the broker, the topic or who we are, and so about every record of a batch alike. Any other one, also
/// one that we have never heard of, may be about one record: a broker answers for a whole batch and does not say for which.
pub(super) fn is_of_all(code: i16) -> bool {
    const OF_ALL: [i16; 28] =
        [3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 19, 20, 21, 29, 31, 33, 34, 35, 41, 43, 45, 46, 47, 56, 58, 74, 89];
    OF_ALL.contains(&code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that often look like the small counts and lengths of a real reply.
    fn any_reply() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![Just(0_u8), Just(0), Just(1), Just(2), any::<u8>()];
        proptest::collection::vec(number, 0..200)
    }

    proptest! {
        #[test]
        fn no_reply_panics_or_takes_long(bytes in any_reply()) {
            let reader = || Reader(bytes.clone().into());
            let _ = Metadata::read(&mut reader());
            let _ = Produce::read(&mut reader());
            let _ = ApiVersions::read(&mut reader());
            let _ = SaslHandshake::read(&mut reader());
            let _ = SaslAuthenticate::read(&mut reader());
        }
    }

    #[test]
    fn what_nobody_has_thought_of_may_be_about_one_record() {
        for code in [-1, 2, 10, 18, 32, 42, 44, 76, 87, 9_999] {
            assert!(!is_of_all(code), "{}", error_name(code));
        }
        for code in [3, 5, 6, 7, 19, 20, 29, 31, 56, 89] {
            assert!(is_of_all(code), "{}", error_name(code));
        }
    }

    #[test]
    fn a_request_is_written_as_the_documentation_has_it() {
        let mut writer = Writer::default();
        Metadata(&["a"]).write(&mut writer);
        assert_eq!(&writer.0[..], [0, 0, 0, 1, 0, 1, b'a', 0]);
        let mut writer = Writer::default();
        Produce { timeout_ms: 5, topics: vec![("a", vec![(2, Bytes::from_static(b"xy"))])] }.write(&mut writer);
        let expect = [
            &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, 1, 0, 1, b'a'][..],
            &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, b'x', b'y'],
        ];
        assert_eq!(&writer.0[..], expect.concat());
    }
}
