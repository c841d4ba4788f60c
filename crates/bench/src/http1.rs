//! Just enough HTTP/1.1 for the generator and the sink: heads with a `Content-Length` on kept-alive connections.
//!
//! A library would cost more per message than what is being measured. Chunked messages are refused, not misread.

/// Longest head that is waited for, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of the head, its empty line included.
    pub head: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported;

/// Where the first message of `bytes` ends, or `None` while its head is not complete.
pub fn extent(bytes: &[u8]) -> Result<Option<Extent>, Unsupported> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(Unsupported) } else { Ok(None) };
    };
    let mut body = 0;
    for line in bytes[..head].split(|byte| *byte == b'\n').skip(1) {
        if let Some(value) = header(line, b"content-length:") {
            body = decimal(value).ok_or(Unsupported)?;
        } else if header(line, b"transfer-encoding:").is_some() {
            return Err(Unsupported);
        }
    }
    Ok(Some(Extent { head, body }))
}

/// The status of a response whose head is complete.
pub fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    decimal(digits).and_then(|number| u16::try_from(number).ok())
}

fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_after_its_announced_body() {
        let response = b"HTTP/1.1 202 Accepted\r\nX: y\r\ncontent-LENGTH: 12\r\n\r\nhello world!";
        assert_eq!(extent(response), Ok(Some(Extent { head: 51, body: 12 })));
        assert_eq!(status(response), Some(202));
    }

    #[test]
    fn half_a_head_is_waited_for() {
        assert_eq!(extent(b"HTTP/1.1 200 OK\r\ncontent-le"), Ok(None));
    }

    #[test]
    fn a_chunked_or_endless_message_is_refused() {
        assert_eq!(extent(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Err(Unsupported));
        assert_eq!(extent(&vec![b'x'; HEAD_BYTES_MAX + 1]), Err(Unsupported));
    }
}
