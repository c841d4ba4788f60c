//! Lines as SMTP wants them: each ends in CR LF, and neither of the two stands alone.
//!
//! A lone line feed that reaches a careless server can end the message and begin a command of its own ("SMTP
//! smuggling"), so none is let through, whoever made the message and whichever version of the library doubles the dots.

/// The message with every line ending made CR LF, without NUL, and without the ending of the last line, which comes
/// with the final dot.
pub(super) fn normalised(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 64);
    let mut bytes = message.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            0 => {}
            byte => out.push(byte),
        }
    }
    if out.ends_with(b"\r\n") {
        out.truncate(out.len() - 2);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(message: &str, expect: &str) {
        assert_eq!(String::from_utf8(normalised(message.as_bytes())).unwrap(), expect, "{message:?}");
    }

    #[test]
    fn every_ending_becomes_cr_lf_and_the_last_one_goes() {
        check("a\r\nb\r\n", "a\r\nb");
        check("a\nb\n", "a\r\nb");
        check("a\rb\r", "a\r\nb");
        check("a\n\rb", "a\r\n\r\nb");
        check("a\r\r\nb", "a\r\n\r\nb");
        check("a\n.\nRCPT TO:<x@example.org>\n", "a\r\n.\r\nRCPT TO:<x@example.org>");
        check("a\0b", "ab");
        check("", "");
        check("\n", "");
    }

    fn any_byte() -> impl Strategy<Value = u8> {
        prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()]
    }

    proptest! {
        #[test]
        fn no_cr_or_lf_stands_alone(message in prop::collection::vec(any_byte(), 0..64)) {
            let out = normalised(&message);
            let text: String = out.iter().map(|&byte| char::from(byte)).collect();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        }
    }
}
