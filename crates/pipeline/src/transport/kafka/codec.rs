//! The primitives of the protocol, read with a limit on everything: a broker is whatever a tenant has named.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// A reply that is not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a reply.
pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        self.0.try_get_u8().map(|byte| byte != 0).map_err(|_| Malformed)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.0.try_get_i16().map_err(|_| Malformed)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.0.try_get_i32().map_err(|_| Malformed)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.0.try_get_i64().map_err(|_| Malformed)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        self.text_or_nothing()?.ok_or(Malformed)
    }

    pub(super) fn text_or_nothing(&mut self) -> Result<Option<String>, Malformed> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        let bytes = self.take(length)?;
        String::from_utf8(bytes.into()).map(Some).map_err(|_| Malformed)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.i32()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// A list. It grows as its members are read, so that a count that is a lie costs nothing.
    pub(super) fn list<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = u32::try_from(self.i32()?).map_err(|_| Malformed)?;
        (0..count).map(|_| read(self)).collect()
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() { Err(Malformed) } else { Ok(self.0.split_to(length)) }
    }
}

/// Writes a request. What is written is ours, and no longer than the protocol can say.
#[derive(Default)]
pub(super) struct Writer(pub(super) BytesMut);

impl Writer {
    pub(super) fn flag(&mut self, flag: bool) {
        self.0.put_u8(flag.into());
    }

    pub(super) fn i16(&mut self, number: i16) {
        self.0.put_i16(number);
    }

    pub(super) fn i32(&mut self, number: i32) {
        self.0.put_i32(number);
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.0.put_i64(number);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.0.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.put_slice(&text.as_bytes()[..text.len().min(i16::MAX.unsigned_abs().into())]);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.put_slice(bytes);
    }

    /// Zigzag and seven bits a byte, as records are written.
    pub(super) fn varint(&mut self, number: i64) {
        let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
        while rest > 0x7f {
            self.0.put_u8(low_byte(rest) | 0x80);
            rest >>= 7;
        }
        self.0.put_u8(low_byte(rest));
    }

    /// The same with bytes behind it, whose count it is.
    pub(super) fn counted(&mut self, bytes: &[u8]) {
        self.varint(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.0.put_slice(bytes);
    }
}

const fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_records_are_written_as_the_protocol_has_them() {
        for (number, expect) in
            [(0, &[0][..]), (-1, &[1]), (1, &[2]), (-64, &[127]), (64, &[0x80, 1]), (300, &[0xd8, 4])]
        {
            let mut writer = Writer::default();
            writer.varint(number);
            assert_eq!(&writer.0[..], expect, "{number}");
        }
    }

    #[test]
    fn a_count_that_is_a_lie_is_found_out() {
        let lie = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 1]);
        assert_eq!(Reader(lie.clone()).list(Reader::i16), Err(Malformed));
        assert_eq!(Reader(lie.clone()).bytes(), Err(Malformed));
        assert_eq!(Reader(lie).text(), Err(Malformed));
        assert_eq!(Reader(Bytes::from_static(&[0xff; 4])).list(Reader::i16), Err(Malformed));
        assert_eq!(Reader(Bytes::from_static(&[0; 4])).list(Reader::i16), Ok(Vec::new()));
    }
}
