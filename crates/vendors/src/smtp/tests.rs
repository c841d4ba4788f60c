use std::io::{BufRead as _, BufReader as StdBufReader, Write as _};
use std::net::TcpStream as StdTcpStream;

use super::*;
use crate::book::Book;
use crate::faults::Fault;

/// Says each line, bytes and all, and notes the code that comes back; 0 where the connection closes.
fn converse(simulator: &Simulator<Smtp>, lines: &[&str]) -> Vec<u16> {
    let mut stream = StdBufReader::new(StdTcpStream::connect(simulator.address()).unwrap());
    let mut codes = vec![read(&mut stream)];
    for line in lines {
        stream.get_mut().write_all(line.as_bytes()).unwrap();
        codes.push(read(&mut stream));
    }
    codes
}

/// The code of the last line of an answer.
fn read(stream: &mut StdBufReader<StdTcpStream>) -> u16 {
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        if line.as_bytes().get(3) != Some(&b'-') {
            return line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(1);
        }
        line.clear();
    }
    0
}

const MAIL: &[&str] = &["EHLO me\r\n", "MAIL FROM:<hi@acme.example>\r\n", "RCPT TO:<Ada@x.org>\r\n", "DATA\r\n"];

/// Sends one mail to a server with a plan and gives the code after the dot and the mails it has.
fn send(faults: Faults, data: &str) -> (u16, Simulator<Smtp>) {
    let simulator = Smtp::new().start(faults);
    let data = format!("{data}.\r\n");
    let lines: Vec<&str> = MAIL.iter().copied().chain([data.as_str()]).collect();
    let code = converse(&simulator, &lines).pop().unwrap();
    (code, simulator)
}

#[test]
fn a_mail_is_kept_byte_for_byte_with_its_dots_unstuffed() {
    let (code, simulator) = send(Faults::none(), "Subject: Hi\r\nMessage-ID: <evt_1@acme>\r\n\r\n..dot\r\n");
    assert_eq!(code, 250);
    let mails = simulator.mails();
    assert_eq!((mails[0].from.as_str(), mails[0].to.as_slice()), ("hi@acme.example", &["ada@x.org".to_owned()][..]));
    assert_eq!(&mails[0].bytes[..], b"Subject: Hi\r\nMessage-ID: <evt_1@acme>\r\n\r\n.dot\r\n");
    simulator.book(|book| {
        assert_eq!((book.stored_keys(), book.flagged.len()), (vec!["ada@x.org"], 0));
        assert_eq!(book.stored[0].item["message_id"], "<evt_1@acme>");
    });
}

#[test]
fn bare_line_ends_are_flagged_and_end_nothing() {
    let (code, simulator) = send(Faults::none(), "Subject: Hi\r\n\r\na\n.\nMAIL FROM:<x@y.z>\rb\r\n");
    assert_eq!((code, simulator.mails().len()), (250, 1));
    let flags: Vec<_> = simulator.book(|book| book.flagged.iter().map(|entry| entry.reason.clone()).collect());
    assert_eq!(flags, ["a bare line feed", "a bare carriage return"]);
}

#[test]
fn a_login_is_asked_for_and_taken_in_both_ways() {
    let simulator = Smtp::new().with_login("me", "pw").start(Faults::none());
    let mail = "MAIL FROM:<hi@acme.example>\r\n";
    assert_eq!(converse(&simulator, &[mail, "EHLO me\r\n", mail]), [220, 503, 250, 530]);
    assert_eq!(converse(&simulator, &["EHLO me\r\n", "AUTH PLAIN AG1lAHB3\r\n", mail]), [220, 250, 235, 250]);
    assert_eq!(converse(&simulator, &["EHLO me\r\n", "AUTH PLAIN AG1lAHB4\r\n", mail]), [220, 250, 535, 530]);
    let login = ["EHLO me\r\n", "AUTH LOGIN\r\n", "bWU=\r\n", "cHc=\r\n", mail];
    assert_eq!(converse(&simulator, &login), [220, 250, 334, 334, 235, 250]);
}

#[test]
fn a_refused_recipient_and_a_command_out_of_order_are_told_so() {
    let refused = vec![("gone@x.org".to_owned(), "550 5.1.1 no such user".to_owned())];
    let simulator = Smtp { refused, ..Smtp::new() }.start(Faults::none());
    let lines =
        ["EHLO me\r\n", "DATA\r\n", "MAIL FROM:<a@x.org>\r\n", "RCPT TO:<gone@x.org>\r\n", "DATA\r\n", "QUIT\r\n"];
    assert_eq!(converse(&simulator, &lines), [220, 250, 503, 250, 550, 503, 221]);
}

#[test]
fn each_fault_has_its_code_and_keeps_the_mail_or_not() {
    let hold = Duration::from_millis(1);
    let cases = [
        (Fault::ServerError(503), 451, 0),
        (Fault::ServerError(552), 552, 0),
        (Fault::DropBefore, 0, 0),
        (Fault::DropAfter, 0, 1),
        (Fault::LateSuccess { hold }, 0, 1),
        (Fault::Slow { hold }, 250, 1),
        (Fault::Garbage, 1, 0),
    ];
    for (fault, code, mails) in cases {
        let (answered, simulator) = send(Faults::script([Some(fault)]), "Subject: Hi\r\n\r\nHi\r\n");
        assert_eq!((answered, simulator.mails().len()), (code, mails), "{fault:?}");
        assert_eq!(simulator.book(Book::faults_met), 1);
    }
    let simulator = Smtp::new().start(Faults::script([Some(Fault::RateLimit { retry_after_s: 1 })]));
    assert_eq!(converse(&simulator, &MAIL[..2]), [220, 250, 451]);
    simulator.set_faults(Faults::script([Some(Fault::PartialFailure)]));
    let two = [MAIL[0], MAIL[1], MAIL[2], "RCPT TO:<bob@x.org>\r\n"];
    assert_eq!(converse(&simulator, &two), [220, 250, 250, 250, 452]);
}
