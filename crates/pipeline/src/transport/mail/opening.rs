//! The plain-text part of a connection that is to be encrypted: greeting, hello, `STARTTLS`, and not a byte more.
//!
//! It is not left to the library because whatever a server, or somebody on the way to it, says after its `220` and
//! before the handshake must not count as said under encryption; here such a connection is given up.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most bytes of one reply.
const REPLY_BYTES_MAX: usize = 16 * 1024;

/// Why there is no encryption.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The server's answer to a command.
    Refused { command: &'static str, status: u16, text: String },
    /// The server does not know `STARTTLS`.
    NotOffered,
    /// No answer, or none that is one.
    Failed(&'static str),
}

/// Comes to the point where the handshake begins.
pub(super) async fn ask_for_tls(tcp: &mut TcpStream, name: &str) -> Result<(), NotOpened> {
    converse(tcp, "CONNECT", None).await?;
    let offers = converse(tcp, "EHLO", Some(format!("EHLO {name}\r\n"))).await?;
    if !offers.iter().any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(NotOpened::NotOffered);
    }
    converse(tcp, "STARTTLS", Some("STARTTLS\r\n".to_owned())).await.map(drop)
}

async fn converse(tcp: &mut TcpStream, command: &'static str, line: Option<String>) -> Result<Vec<String>, NotOpened> {
    let broke = |_| NotOpened::Failed("the connection to the mail server broke");
    if let Some(line) = line {
        tcp.write_all(line.as_bytes()).await.map_err(broke)?;
    }
    let mut said = Vec::new();
    loop {
        let mut part = [0; 1024];
        let count = tcp.read(&mut part).await.map_err(broke)?;
        if count == 0 {
            return Err(NotOpened::Failed("the mail server closed the connection"));
        }
        said.extend_from_slice(&part[..count]);
        match read(&said) {
            Ok(None) if said.len() > REPLY_BYTES_MAX => return Err(NotOpened::Failed("the mail server says too much")),
            Ok(None) => {}
            Ok(Some((status, texts))) if (200..300).contains(&status) => return Ok(texts),
            Ok(Some((status, texts))) => {
                return Err(NotOpened::Refused { command, status, text: texts.join(" ") });
            }
            Err(message) => return Err(NotOpened::Failed(message)),
        }
    }
}

/// The reply that bytes make: nothing if they are only its beginning, an error if they are none, or more than one.
fn read(said: &[u8]) -> Result<Option<(u16, Vec<String>)>, &'static str> {
    let mut texts = Vec::new();
    let mut lines = said.split_inclusive(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next().filter(|line| line.ends_with(b"\n")) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        let status = line.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let status: u16 = status.and_then(|code| code.parse().ok()).ok_or("the answer is not SMTP")?;
        texts.push(line.get(4..).unwrap_or_default().to_owned());
        match line.as_bytes().get(3) {
            Some(b'-') => {}
            None | Some(b' ') if lines.peek().is_none() => return Ok(Some((status, texts))),
            None | Some(b' ') => return Err("the mail server said more than it was asked before encryption began"),
            Some(_) => return Err("the answer is not SMTP"),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_to_its_last_line() {
        let reply = |status, texts: &[&str]| Ok(Some((status, texts.iter().map(|&text| text.to_owned()).collect())));
        assert_eq!(read(b"220 mx.example.com\r\n"), reply(220, &["mx.example.com"]));
        assert_eq!(read(b"250-mx\r\n250-SIZE 100\r\n250 STARTTLS\r\n"), reply(250, &["mx", "SIZE 100", "STARTTLS"]));
        assert_eq!(read(b"554\r\n"), reply(554, &[""]));
        assert_eq!(read(b"250-mx\r\n250-SIZE"), Ok(None));
        assert_eq!(read(b"22"), Ok(None));
    }

    #[test]
    fn what_is_no_reply_or_more_than_one_is_refused() {
        for said in [&b"HTTP/1.1 200 OK\r\n"[..], b"2\xc3\xa40 x\r\n", b"250_x\r\n", b"\r\n", b"+50 x\r\n"] {
            assert_eq!(read(said), Err("the answer is not SMTP"), "{said:?}");
        }
        for said in [&b"220 go\r\n250 AUTH PLAIN\r\n"[..], b"220 go\r\n2"] {
            assert!(read(said).unwrap_err().contains("before encryption began"), "{said:?}");
        }
    }
}
