//! Bodies: the bytes that came in, read as values.
//!
//! Intake takes any JSON, and JSON's grammar allows what hardly any reader can hold: half of a surrogate pair, which `JSON.stringify`
//! writes for a text that was cut through an emoji, and numbers beyond every float (RFC 8259, sections 6 and 8.2). One of them must
//! not hide everything else of an event, so where strict reading fails, each is read as the nearest thing there is.

use serde::de::DeserializeOwned;

/// A replacement character, as it is written in a JSON string.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// Reads a body: a lone surrogate becomes a replacement character, a number beyond every float a text of its digits.
///
/// # Errors
///
/// What was wrong with the bytes as they are, if they are no JSON.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body).or_else(|error| serde_json::from_slice(&mended(body)).map_err(|_| error))
}

/// The same JSON without what cannot be held. What is no JSON stays none.
fn mended(body: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, ..] = rest {
        let length = match first {
            b'"' => {
                let length = string_length(rest);
                mend_string(&rest[..length], &mut mended);
                length
            }
            b'-' | b'0'..=b'9' => {
                let length = rest.iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
                mend_number(&rest[..length], &mut mended);
                length
            }
            other => {
                mended.push(*other);
                1
            }
        };
        rest = &rest[length..];
    }
    mended
}

/// How many bytes the string takes that begins here, its quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text[1..].iter().position(|&byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

fn mend_string(string: &[u8], mended: &mut Vec<u8>) {
    let mut rest = string;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        mended.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let is_pair = matches!(unit(rest), Some(0xd800..=0xdbff))
            && matches!(rest.get(6..).and_then(unit), Some(0xdc00..=0xdfff));
        let (length, is_lone) = match unit(rest) {
            Some(_) if is_pair => (12, false),
            Some(unit) => (6, (0xd800..=0xdfff).contains(&unit)),
            None => (rest.len().min(2), false),
        };
        mended.extend_from_slice(if is_lone { REPLACEMENT } else { &rest[..length] });
        rest = &rest[length..];
    }
    mended.extend_from_slice(rest);
}

/// The UTF-16 unit of an escape such as `\u00e9` that begins here.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn mend_number(number: &[u8], mended: &mut Vec<u8>) {
    let value: Option<f64> = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    if value.is_some_and(f64::is_infinite) {
        mended.push(b'"');
        mended.extend_from_slice(number);
        mended.push(b'"');
    } else {
        mended.extend_from_slice(number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn one_odd_character_or_number_hides_nothing_else() {
        let long = "9".repeat(4_000);
        let body = format!(
            r#"{{"email":"ada@example.org","cut":"abc \ud83d","low":"\udc00x","twice":"\ud83d\ud83d\ude00","high":1e400,"less":-1e999,
               "long":{long},"path":"C:\\ud83d \"","whole":5,"part":0.25,"list":[1,"\uD83D"],"\ud800":null}}"#
        );
        assert!(serde_json::from_str::<Value>(&body).is_err());
        let read: Value = read(body.as_bytes()).unwrap();
        let expect = json!({
            "email": "ada@example.org", "cut": "abc \u{fffd}", "low": "\u{fffd}x", "twice": "\u{fffd}😀", "high": "1e400",
            "less": "-1e999", "long": long, "path": "C:\\ud83d \"", "whole": 5, "part": 0.25, "list": [1, "\u{fffd}"], "\u{fffd}": null,
        });
        assert_eq!(read, expect);
    }

    #[test]
    fn what_is_no_json_is_none_and_the_error_speaks_of_the_bytes_that_came() {
        for body in [&b"{\"a\":"[..], b"\"abc \\ud83", b"[1e400", b"{\"a\":\"\xff\"}", b"", b"\"", b"\"\\"] {
            let error = serde_json::from_slice::<Value>(body).unwrap_err().to_string();
            assert_eq!(read::<Value>(body).unwrap_err().to_string(), error, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_held_is_read_as_it_is(text in ".*", number in any::<f64>(), whole in any::<i64>()) {
            let body = serde_json::to_vec(&json!({ "text": text, "number": number, "whole": whole })).unwrap();
            prop_assert_eq!(mended(&body), body);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read::<Value>(&bytes);
        }
    }
}
