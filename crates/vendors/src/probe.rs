//! The smallest HTTP client that can hold a simulator against its reference.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::request::Request;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends a request on a connection of its own; `None` if there is no answer.
pub(crate) fn send(address: SocketAddr, request: &Request) -> Option<Reply> {
    let mut stream = open(address, request)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, body: body.to_owned() })
}

/// Sends a request and hangs up, without reading, as soon as `done`.
pub(crate) fn give_up(address: SocketAddr, request: &Request, done: impl Fn() -> bool) -> Result<(), &'static str> {
    let stream = open(address, request).ok_or("nobody listens")?;
    while !done() {
        std::thread::yield_now();
    }
    drop(stream);
    Ok(())
}

fn open(address: SocketAddr, request: &Request) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", request.method, request.target)
        .ok()?;
    for (name, value) in &request.headers {
        write!(stream, "{name}: {value}\r\n").ok()?;
    }
    write!(stream, "content-length: {}\r\n\r\n", request.body.len()).ok()?;
    stream.write_all(&request.body).ok()?;
    Some(stream)
}
