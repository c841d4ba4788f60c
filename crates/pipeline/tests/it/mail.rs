//! The mail transport against a server that keeps every byte, and against a real one.

use std::sync::Arc;
use std::time::Duration;

use domain::connector::{MailCall, MailLogin, MailServer, MailTls, Reply};
use domain::verdict::FailureReason;
use domain::{DestinationId, Secret, Timestamp};
use peers::{Smtp, SmtpOptions, SmtpTls};
use pipeline::Clock;
use pipeline::transport::mail::{NO_LOGIN, NO_STARTTLS, NO_UTF8};
use pipeline::transport::{Guard, MailTransport, TransportError};
use rustls_pki_types::CertificateDer;

use crate::post_office::{CLOSE, FLOOD, Habit, PostOffice, SILENCE, Script};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn lane() -> DestinationId {
    DestinationId::mint(Timestamp::from_secs(1), 1)
}

fn transport(roots: &[CertificateDer<'static>]) -> MailTransport {
    MailTransport::start(Guard::new(true, Vec::new()), Arc::new(Clock::system()), roots).unwrap()
}

fn mail(port: u16, tls: MailTls) -> MailCall {
    let host = "127.0.0.1".to_owned();
    MailCall {
        server: MailServer { host, port, tls, authority: None, login: None },
        from: "hello@acme.example".to_owned(),
        to: vec!["ada@example.org".to_owned()],
        message: "Subject: Hi\r\n\r\nHello\r\n".into(),
    }
}

fn password(password: &str) -> MailLogin {
    MailLogin::Password { user: Smtp::USER.to_owned(), password: Secret::from(password) }
}

async fn send(office: &PostOffice, call: MailCall, deadline: Duration) -> Result<Reply, TransportError> {
    transport(std::slice::from_ref(&office.certificate)).exchange(lane(), call, deadline).await
}

/// What comes of one mail in the open to a server that follows a script.
async fn check(script: Script, deadline: Duration) -> Result<Reply, TransportError> {
    let office = PostOffice::new(script).await;
    send(&office, mail(office.address.port(), MailTls::None), deadline).await
}

#[tokio::test]
async fn a_mail_is_handed_over_and_the_servers_last_word_is_the_reply() {
    let office = PostOffice::new(&[("MESSAGE", "250 2.0.0 queued as 7F3A")]).await;
    let reply = send(&office, mail(office.address.port(), MailTls::None), LONG).await.unwrap();
    assert_eq!((reply.status, &*reply.text(), reply.code.as_deref()), (250, "2.0.0 queued as 7F3A", None));
    assert_eq!(reply.header("command"), Some("MESSAGE"));
    let expect = [
        "EHLO acme.example\r\n",
        "MAIL FROM:<hello@acme.example>\r\n",
        "RCPT TO:<ada@example.org>\r\n",
        "DATA\r\n",
        "Subject: Hi\r\n\r\nHello\r\n.\r\n",
    ];
    assert_eq!(office.lines(), expect);
}

#[tokio::test]
async fn no_message_ends_early_or_smuggles_a_command_whatever_its_lines_end_in() {
    for (message, expect) in [
        ("a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
        ("a\n.\nMAIL FROM:<x@example.org>\n", "a\r\n..\r\nMAIL FROM:<x@example.org>\r\n.\r\n"),
        ("a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"),
        ("a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
        ("a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"),
        ("a\r\0\n.\0\r\nb", "a\r\n\r\n..\r\nb\r\n.\r\n"),
        (".", "..\r\n.\r\n"),
        (".a\r\n..b\r\n", "..a\r\n...b\r\n.\r\n"),
        ("", "\r\n.\r\n"),
    ] {
        let office = PostOffice::new(&[]).await;
        let call = MailCall { message: message.into(), ..mail(office.address.port(), MailTls::None) };
        assert_eq!(send(&office, call, LONG).await.unwrap().status, 250, "{message:?}");
        assert_eq!(office.lines()[4..], [expect], "{message:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_reply_that_names_what_was_refused() {
    for (script, status, text) in [
        (&[("CONNECT", "554 5.7.1 go away")] as Script, 554, "5.7.1 go away"),
        (&[("EHLO", "421-4.3.2 closing\r\n421 for today")], 421, "4.3.2 closing for today"),
        (&[("MAIL", "553 5.7.1 not your domain")], 553, "5.7.1 not your domain"),
        (&[("RCPT", "550 5.1.1 no such user")], 550, "5.1.1 no such user"),
        (&[("DATA", "451 4.3.0 later")], 451, "4.3.0 later"),
        (&[("MESSAGE", "552 5.3.4 too big")], 552, "5.3.4 too big"),
    ] {
        let reply = check(script, LONG).await.unwrap();
        let command = if script[0].0 == "EHLO" { "CONNECT" } else { script[0].0 };
        assert_eq!((reply.status, &*reply.text(), reply.header("command")), (status, text, Some(command)));
        assert!(!reply.is_success());
    }
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_not_listened_to() {
    let endless: &'static str = Box::leak(("250-and so on\r\n".repeat(3_000) + "250 on").into_boxed_str());
    let error = check(Box::leak(Box::new([("EHLO", endless)])), LONG).await.unwrap_err();
    assert_eq!((error.reason, error.may_have_arrived), (FailureReason::Broken, false));
}

#[tokio::test]
async fn only_a_mail_whose_dot_was_sent_may_have_arrived() {
    for (script, may_have_arrived) in [
        (&[("CONNECT", CLOSE)] as Script, false),
        (&[("MAIL", CLOSE)], false),
        (&[("DATA", CLOSE)], false),
        (&[("DATA", "HTTP/1.1 400 what")], false),
        (&[("MESSAGE", CLOSE)], true),
        (&[("MESSAGE", "queued, I think")], true),
    ] {
        let error = check(script, LONG).await.unwrap_err();
        assert_eq!((error.reason, error.may_have_arrived), (FailureReason::Broken, may_have_arrived), "{script:?}");
    }
    for (script, may_have_arrived) in [(&[("RCPT", SILENCE)] as Script, false), (&[("MESSAGE", SILENCE)], true)] {
        let error = check(script, SHORT).await.unwrap_err();
        assert_eq!((error.reason, error.may_have_arrived), (FailureReason::Timeout, may_have_arrived), "{script:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_stops_talking_is_left() {
    for script in [&[("CONNECT", FLOOD)] as Script, &[("RCPT", FLOOD)]] {
        assert_eq!(check(script, LONG).await.unwrap_err().reason, FailureReason::Broken, "{script:?}");
    }
    let office = PostOffice::new(&[("EHLO", FLOOD)]).await;
    let error = send(&office, mail(office.address.port(), MailTls::StartTls), LONG).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::Broken);
}

#[tokio::test]
async fn with_encryption_nothing_but_the_hello_goes_in_the_open() {
    let login = || Some(password("secret"));
    for tls in [MailTls::StartTls, MailTls::Implicit] {
        let office = match tls {
            MailTls::Implicit => PostOffice::encrypted(&[]).await,
            _ => PostOffice::new(&[]).await,
        };
        let mut call = mail(office.address.port(), tls);
        call.server.login = login();
        assert_eq!(send(&office, call, LONG).await.unwrap().status, 250, "{tls:?}");
        let open: Vec<_> =
            office.heard().into_iter().filter(|heard| !heard.was_encrypted).map(|heard| heard.text).collect();
        let expect: &[&str] = if tls == MailTls::StartTls { &["EHLO acme.example\r\n", "STARTTLS\r\n"] } else { &[] };
        assert_eq!(open, expect);
        assert!(office.lines().iter().any(|line| line.starts_with("AUTH PLAIN ")), "{:?}", office.lines());
    }
}

#[tokio::test]
async fn a_port_for_the_other_way_of_encryption_says_which_setting_that_is() {
    let greeting = PostOffice::new(&[]).await;
    let error = send(&greeting, mail(greeting.address.port(), MailTls::Implicit), LONG).await.unwrap_err();
    let expect = "what answers at this port does not speak TLS; set `tls` to `starttls`, or `port` to the one for encryption \
                  from the start, 465 as a rule, then resume the destination";
    assert_eq!((&*error.message, error.is_misconfigured), (expect, true));

    let silent = PostOffice::encrypted(&[]).await;
    let expect = "the mail server expects encryption from the start at this port; set `tls` to `implicit`, or `port` to the \
                  one for STARTTLS, 587 as a rule, then resume the destination";
    for tls in [MailTls::StartTls, MailTls::None] {
        let error = send(&silent, mail(silent.address.port(), tls), LONG).await.unwrap_err();
        assert_eq!((&*error.message, error.is_misconfigured), (expect, true));
    }
}

#[tokio::test]
async fn encryption_that_fails_is_no_reason_to_go_on_without_it() {
    let office = PostOffice::new(&[]).await;
    let stranger =
        transport(&[]).exchange(lane(), mail(office.address.port(), MailTls::StartTls), LONG).await.unwrap_err();
    assert_eq!((stranger.reason, stranger.may_have_arrived), (FailureReason::Tls, false));

    let office = PostOffice::new(&[("EHLO", "250-office.test\r\n250 AUTH PLAIN")]).await;
    let reply = send(&office, mail(office.address.port(), MailTls::StartTls), LONG).await.unwrap();
    assert_eq!((reply.status, reply.code.as_deref(), reply.is_success()), (0, Some(NO_STARTTLS), false));

    let office = PostOffice::new(&[("STARTTLS", "454 4.7.0 not now")]).await;
    let reply = send(&office, mail(office.address.port(), MailTls::StartTls), LONG).await.unwrap();
    assert_eq!((reply.status, reply.header("command")), (454, Some("STARTTLS")));

    let office = PostOffice::new(&[("STARTTLS", "220 go ahead\r\n250-evil\r\n250 AUTH LOGIN")]).await;
    let error = send(&office, mail(office.address.port(), MailTls::StartTls), LONG).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::Broken);
    assert_eq!(office.lines(), ["EHLO acme.example\r\n", "STARTTLS\r\n"]);
}

#[tokio::test]
async fn what_a_server_lacks_is_told_before_the_mail_is_begun() {
    let office = PostOffice::new(&[("EHLO", "250 office.test")]).await;
    let port = office.address.port();
    let mut with_login = mail(port, MailTls::None);
    with_login.server.login = Some(password("secret"));
    let with_umlaut = MailCall { to: vec!["jürgen@example.org".to_owned()], ..mail(port, MailTls::None) };
    let with_eight_bits = MailCall { message: "Grüße".into(), ..mail(port, MailTls::None) };
    for (call, code) in [(with_login, NO_LOGIN), (with_umlaut, NO_UTF8), (with_eight_bits, NO_UTF8)] {
        let reply = send(&office, call, LONG).await.unwrap();
        assert_eq!((reply.code.as_deref(), reply.is_success()), (Some(code), false));
    }
    assert!(office.lines().iter().all(|line| line.starts_with("EHLO")), "{:?}", office.lines());
}

#[tokio::test]
async fn what_is_no_address_is_never_said_to_a_server() {
    let office = PostOffice::new(&[]).await;
    for to in ["", "ada", "a b@example.org", "a@example.org\r\nRCPT TO:<b@example.org>", "\"a\r\nb\"@example.org"] {
        let call = MailCall { to: vec![to.to_owned()], ..mail(office.address.port(), MailTls::None) };
        assert_eq!(send(&office, call, LONG).await.unwrap_err().reason, FailureReason::Unprocessable, "{to:?}");
    }
    let nobody = MailCall { to: Vec::new(), ..mail(office.address.port(), MailTls::None) };
    assert_eq!(send(&office, nobody, LONG).await.unwrap_err().reason, FailureReason::Unprocessable);
    assert_eq!(office.heard(), []);
}

#[tokio::test]
async fn the_guard_judges_mail_servers_too() {
    let strict = MailTransport::start(Guard::new(false, Vec::new()), Arc::new(Clock::system()), &[]).unwrap();
    for (host, port, tls) in [
        ("127.0.0.1", 587, MailTls::StartTls),
        ("localhost", 25, MailTls::None),
        ("169.254.169.254", 465, MailTls::Implicit),
        ("mail.example.com", 22, MailTls::StartTls),
    ] {
        let mut call = mail(port, tls);
        host.clone_into(&mut call.server.host);
        assert_eq!(
            strict.exchange(lane(), call, LONG).await.unwrap_err().reason,
            FailureReason::AddressRefused,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_real_server_takes_mail_with_login_and_encryption() {
    for (tls, ours) in [(SmtpTls::Required, MailTls::StartTls), (SmtpTls::Implicit, MailTls::Implicit)] {
        let Some(server) = Smtp::start_with(SmtpOptions { login: true, tls, answers: &[] }) else { return };
        let transport = transport(&[]);
        let mut call = mail(server.port(), ours);
        assert_eq!(transport.exchange(lane(), call.clone(), LONG).await.unwrap_err().reason, FailureReason::Tls);
        call.server.authority = Some(server.authority_pem().to_owned());
        call.server.login = Some(password("wrong"));
        let reply = transport.exchange(lane(), call.clone(), LONG).await.unwrap();
        assert_eq!((reply.status, reply.header("command")), (535, Some("AUTH")));

        call.server.login = Some(password(Smtp::PASSWORD));
        call.message = "Subject: Hi\r\n\r\n.one\n..two\n.\nthree\r\n".into();
        assert_eq!(transport.exchange(lane(), call, LONG).await.unwrap().status, 250);
        let mails = server.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].data, "Subject: Hi\r\n\r\n.one\r\n..two\r\n.\r\nthree\r\n");
        assert_eq!((mails[0].to.as_slice(), mails[0].tls), (&["ada@example.org".to_owned()][..], true));
    }
}

#[tokio::test]
async fn a_token_is_shown_in_place_of_a_password_and_its_refusal_is_heard_to_the_end() {
    let hello = ("EHLO", "250-office.test\r\n250 AUTH XOAUTH2");
    let token = || MailLogin::Token { user: "a@acme.example".to_owned(), token: Secret::from("t0ken") };
    for (script, status) in [
        (&[("EHLO", "250-office.test\r\n250 AUTH XOAUTH2")] as Script, 250),
        (
            &[
                ("EHLO", "250-office.test\r\n250 AUTH XOAUTH2"),
                ("AUTH", "334 eyJzdGF0dXMiOiI0MDAifQ=="),
                ("", "535 5.7.3 no"),
            ],
            535,
        ),
        (&[("EHLO", "250-office.test\r\n250 AUTH XOAUTH2"), ("AUTH", "454 4.7.0 later")], 454),
    ] {
        assert_eq!(script[0], hello);
        let office = PostOffice::new(script).await;
        let mut call = mail(office.address.port(), MailTls::None);
        call.server.login = Some(token());
        let reply = send(&office, call, LONG).await.unwrap();
        assert_eq!(reply.status, status);
        // user=a@acme.example^Aauth=Bearer t0ken^A^A
        assert_eq!(office.lines()[1], "AUTH XOAUTH2 dXNlcj1hQGFjbWUuZXhhbXBsZQFhdXRoPUJlYXJlciB0MGtlbgEB\r\n");
    }
    let office = PostOffice::new(&[]).await;
    let mut call = mail(office.address.port(), MailTls::None);
    call.server.login = Some(token());
    let reply = send(&office, call, LONG).await.unwrap();
    assert_eq!((reply.code.as_deref(), office.lines().len()), (Some(NO_LOGIN), 1));
}

#[tokio::test]
async fn a_connection_over_which_mail_was_taken_is_kept_for_its_lane() {
    let office = PostOffice::new(&[]).await;
    let transport = transport(&[]);
    let send = async |lane, login: Option<MailLogin>| {
        let mut call = mail(office.address.port(), MailTls::None);
        call.server.login = login;
        assert_eq!(transport.exchange(lane, call, LONG).await.unwrap().status, 250);
        office.lines().iter().filter(|line| line.starts_with("EHLO")).count()
    };
    assert_eq!(send(lane(), None).await, 1);
    assert_eq!(send(lane(), None).await, 1);
    assert_eq!(send(DestinationId::mint(Timestamp::from_secs(1), 2), None).await, 2, "another lane has its own");
    assert_eq!(send(lane(), Some(password("x"))).await, 3, "so has another login");
    let messages = office.lines().iter().filter(|line| line.ends_with("\r\n.\r\n")).count();
    assert_eq!(messages, 4);
}

#[tokio::test]
async fn a_kept_connection_that_has_gone_is_no_failed_mail() {
    for habit in [Habit::HangsUpAfterAMail, Habit::SaysGoodbyeAfterAMail] {
        let office = PostOffice::with_habit(habit).await;
        let transport = transport(&[]);
        for _ in 0..3 {
            let call = mail(office.address.port(), MailTls::None);
            assert_eq!(transport.exchange(lane(), call, LONG).await.unwrap().status, 250, "{habit:?}");
        }
        assert_eq!(office.lines().iter().filter(|line| line.starts_with("EHLO")).count(), 3);
        assert_eq!(office.lines().iter().filter(|line| line.starts_with("Subject")).count(), 3, "none twice");
    }
}

#[tokio::test]
async fn over_a_kept_connection_too_only_a_mail_whose_dot_was_sent_may_have_arrived() {
    for (script, may_have_arrived) in [(&[("RCPT", SILENCE)] as Script, false), (&[("MESSAGE", SILENCE)], true)] {
        let office = PostOffice::after_one_mail(script).await;
        let transport = transport(&[]);
        let call = || mail(office.address.port(), MailTls::None);
        assert_eq!(transport.exchange(lane(), call(), LONG).await.unwrap().status, 250);
        let error = transport.exchange(lane(), call(), SHORT).await.unwrap_err();
        assert_eq!((error.reason, error.may_have_arrived), (FailureReason::Timeout, may_have_arrived), "{script:?}");
    }
}
