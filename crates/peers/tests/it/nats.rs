use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use peers::Nats;

/// Publishes one message with an id, as a client of its own would, and gives the server's acknowledgement.
fn publish(server: &Nats, password: &str) -> String {
    let address = server.url().strip_prefix("nats://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    let headers = "NATS/1.0\r\nNats-Msg-Id: evt_1\r\nkind: a:b\r\n\r\n";
    let connect = format!(r#"CONNECT {{"user":"{}","pass":"{password}","headers":true,"verbose":false}}"#, Nats::USER);
    let (before, all) = (headers.len(), headers.len() + 2);
    write!(stream, "{connect}\r\nSUB answers 1\r\nHPUB clicks.eu answers {before} {all}\r\n{headers}hi\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.into_iter().find(|line| line.contains("\"seq\"") || line.starts_with("-ERR")).unwrap()
}

#[test]
fn a_message_goes_in_once_and_comes_out() {
    let Some(server) = Nats::start() else { return };
    server.create_stream("EVENTS", &["clicks.>"]).unwrap();
    assert!(!publish(&server, Nats::PASSWORD).contains("duplicate"));
    assert!(publish(&server, Nats::PASSWORD).contains(r#""duplicate": true"#));

    let [message] = &server.messages("EVENTS").unwrap()[..] else { panic!("one message") };
    assert_eq!((message.subject.as_str(), &message.data[..]), ("clicks.eu", &b"hi"[..]));
    let headers = [("Nats-Msg-Id", "evt_1"), ("kind", "a:b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(message.headers, headers);
}

#[test]
fn the_password_counts() {
    let Some(server) = Nats::start() else { return };
    assert!(publish(&server, "wrong").starts_with("-ERR 'Authorization Violation'"));
}
