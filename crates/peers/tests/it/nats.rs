use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use peers::Nats;

/// Logs in and sends, as a client of its own would, and gives the first line that begins as one of the expected.
fn say(server: &Nats, password: &str, what: &str, expected: [&str; 2]) -> String {
    let address = server.url().strip_prefix("nats://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    let login = format!(r#"{{"user":"{}","pass":"{password}","headers":true,"verbose":false}}"#, Nats::USER);
    stream.write_all(format!("CONNECT {login}\r\n{what}").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| expected.iter().any(|start| line.starts_with(start))).unwrap()
}

/// Publishes one message with an id and gives the server's acknowledgement.
fn publish(server: &Nats) -> String {
    let headers = "NATS/1.0\r\nNats-Msg-Id: evt_1\r\nkind: a:b\r\n\r\n";
    let (before, all) = (headers.len(), headers.len() + 2);
    let what = format!("SUB answers 1\r\nHPUB clicks.eu answers {before} {all}\r\n{headers}hi\r\n");
    say(server, Nats::PASSWORD, &what, ["{", "-ERR"])
}

#[test]
fn a_message_goes_in_once_and_comes_out() {
    let Some(server) = Nats::start() else { return };
    server.create_stream("EVENTS", &["clicks.>"]).unwrap();
    let (first, second) = (publish(&server), publish(&server));
    assert!(first.contains(r#""seq":1"#) && !first.contains("duplicate"), "{first}");
    assert!(second.contains(r#""seq":1"#) && second.contains("duplicate"), "{second}");

    let [message] = &server.messages("EVENTS").unwrap()[..] else { panic!("one message") };
    assert_eq!((message.subject.as_str(), &message.data[..]), ("clicks.eu", &b"hi"[..]));
    let headers = [("Nats-Msg-Id", "evt_1"), ("kind", "a:b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(message.headers, headers);
}

#[test]
fn the_password_counts() {
    let Some(server) = Nats::start() else { return };
    assert_eq!(say(&server, Nats::PASSWORD, "PING\r\n", ["PONG", "-ERR"]), "PONG");
    assert_eq!(say(&server, "wrong", "", ["PONG", "-ERR"]), "-ERR 'Authorization Violation'");
}
