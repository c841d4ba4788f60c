//! Batches of records, in the one format that brokers have stored since 0.11, and which partition a record belongs to.

use bytes::Bytes;
use domain::Timestamp;
use domain::connector::Record;

use super::codec::Writer;

/// The format of the batch.
const MAGIC: u8 = 2;

/// The records as one batch, created at `now`: brokers keep records by age, so the time of an old event is none of
/// their business.
pub(super) fn batch(records: &[&Record], now: Timestamp) -> Bytes {
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let mut summed = Writer::default();
    // Nothing compressed, nothing transactional.
    summed.i16(0);
    summed.i32(count - 1);
    summed.i64(now.as_millis());
    summed.i64(now.as_millis());
    // No producer that counts its batches: id, epoch, sequence.
    summed.i64(-1);
    summed.i16(-1);
    summed.i32(-1);
    summed.i32(count);
    for (number, record) in (0..).zip(records) {
        summed.counted(&encoded(record, number));
    }
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &summed.0);
    let mut batch = Writer::default();
    batch.i64(0);
    batch.count(4 + 1 + 4 + summed.0.len());
    // The epoch of the leader is the broker's.
    batch.i32(-1);
    batch.0.extend([MAGIC]);
    batch.0.extend(&sum.to_be_bytes()[4..]);
    batch.0.extend(&summed.0);
    batch.0.freeze()
}

fn encoded(record: &Record, number: i64) -> Vec<u8> {
    let mut to = Writer::default();
    to.0.extend([0]);
    to.varint(0);
    to.varint(number);
    match &record.key {
        Some(key) => to.counted(key.as_bytes()),
        None => to.varint(-1),
    }
    to.counted(&record.value);
    to.varint(i64::try_from(record.headers.len()).unwrap_or(i64::MAX));
    for (name, value) in &record.headers {
        to.counted(name.as_bytes());
        to.counted(value.as_bytes());
    }
    to.0.into()
}

/// Which of so many partitions a key belongs to: the one that every other producer would choose too.
pub(super) fn partition(key: &[u8], count: usize) -> usize {
    let hash = murmur2(key) & 0x7fff_ffff;
    usize::try_from(hash).unwrap_or(0) % count.max(1)
}

fn murmur2(key: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(FACTOR);
        (word ^ word >> 24).wrapping_mul(FACTOR)
    };
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words
        .iter()
        .fold(0x9747_b28c ^ length, |hash, word| hash.wrapping_mul(FACTOR) ^ mix(u32::from_le_bytes(*word)));
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(FACTOR);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hashed_as_the_client_of_kafka_hashes_them() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(partition(b"foobar", 0), 0);
    }

    #[test]
    fn a_batch_says_how_long_it_is_and_what_is_in_it() {
        let record = Record {
            topic: "t".to_owned(),
            key: Some("k".to_owned()),
            headers: vec![("a", "b".to_owned())],
            value: Bytes::from_static(b"{}"),
        };
        let batch = batch(&[&record, &record], Timestamp::from_millis(1));
        let length = u32::from_be_bytes(batch[8..12].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), batch.len() - 12);
        assert_eq!(batch[16], MAGIC);
        assert_eq!(&batch[batch.len() - 14..], [26, 0, 0, 2, 2, b'k', 4, b'{', b'}', 2, 2, b'a', 2, b'b']);
    }
}
