use std::process::Command;

use peers::{Smtp, SmtpOptions, SmtpTls};

/// Sends one mail with Python's own client; `how` are the lines between connecting and sending. Gives what was printed.
fn send(server: &Smtp, class: &str, how: &str) -> String {
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), server.authority_pem()).unwrap();
    let program = format!(
        "import smtplib, ssl
context = ssl.create_default_context(cafile='{}')
try:
    client = {class}
    {how}
    client.sendmail('a@x.test', ['b@x.test', 'c@x.test'], b'Subject: hi\\r\\n\\r\\n.dot\\r\\nbare\\nfeed \\xe9\\r\\n')
    print('sent')
except smtplib.SMTPException as error:
    print(type(error).__name__, error)
",
        authority.path().display()
    );
    let port = server.port().to_string();
    let output = Command::new("python3").args(["-c", &program.replace("PORT", &port)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

const PLAIN: &str = "smtplib.SMTP('localhost', PORT)";
const LOGIN: &str = "client.login('mailer', 'a pass+word&more')";

#[test]
fn a_mail_goes_in_and_comes_out_byte_for_byte() {
    let Some(server) = Smtp::start() else { return };
    assert_eq!(send(&server, PLAIN, "pass"), "sent\n");
    let [mail] = &server.mails()[..] else { panic!("one mail") };
    assert_eq!((mail.from.as_str(), &mail.to[..]), ("a@x.test", &["b@x.test".to_owned(), "c@x.test".to_owned()][..]));
    assert_eq!((mail.login.as_deref(), mail.tls), (None, false));
    // A bare line feed too, so that a client that lets one through is found out.
    assert_eq!(mail.data, "Subject: hi\r\n\r\n.dot\r\nbare\nfeed \u{e9}\r\n");
}

#[test]
fn a_login_is_asked_for_and_checked() {
    let Some(server) = Smtp::start_with(SmtpOptions { login: true, ..SmtpOptions::default() }) else { return };
    assert!(send(&server, PLAIN, "pass").contains("530"));
    assert!(send(&server, PLAIN, "client.login('mailer', 'wrong')").starts_with("SMTPAuthenticationError"));
    assert_eq!(send(&server, PLAIN, LOGIN), "sent\n");
    assert_eq!(server.mails()[0].login.as_deref(), Some("mailer"));
}

#[test]
fn encryption_is_asked_for_on_the_way_or_from_the_start() {
    let options = SmtpOptions { login: true, tls: SmtpTls::Required, ..SmtpOptions::default() };
    let Some(server) = Smtp::start_with(options) else { return };
    assert!(send(&server, PLAIN, "pass").contains("Must issue a STARTTLS"));
    let encrypted = format!("client.starttls(context=context); {LOGIN}");
    assert_eq!(send(&server, PLAIN, &encrypted), "sent\n");
    assert!(server.mails()[0].tls);

    let server = Smtp::start_with(SmtpOptions { tls: SmtpTls::Implicit, ..options }).unwrap();
    assert_eq!(send(&server, "smtplib.SMTP_SSL('127.0.0.1', PORT, context=context)", LOGIN), "sent\n");
    assert!(server.mails()[0].tls);
}

#[test]
fn refusals_come_in_their_turn_and_an_address_is_refused_every_time() {
    let answers =
        [("DATA", "451 4.3.0 try later"), ("DATA", "late"), ("MAIL", "close"), ("c@x.test", "550 5.1.1 no such user")];
    let Some(server) = Smtp::start_with(SmtpOptions { answers: &answers, ..SmtpOptions::default() }) else { return };
    assert!(send(&server, PLAIN, "pass").starts_with("SMTPServerDisconnected"), "MAIL is dropped");
    assert!(send(&server, PLAIN, "pass").contains("451"), "the first DATA is put off");
    assert!(server.mails().is_empty());
    assert!(
        send(&server, PLAIN, "pass").starts_with("SMTPServerDisconnected"),
        "the second is kept, and the answer lost"
    );
    assert_eq!(server.mails().len(), 1);
    assert_eq!(send(&server, PLAIN, "pass"), "sent\n");
    assert_eq!(server.mails()[1].to, ["b@x.test"]);
}
