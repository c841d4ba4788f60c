//! `afterclick verify`: the signature doctor on the command line.

use domain::signature::Scheme;

use crate::support::{Headers, SOURCE_SECRET, Setup, argument, body, program, run, signed};

fn verify(setup: &Setup, headers: &Headers, secret: &str) -> crate::support::Output {
    let mut command = program();
    command.args(["verify", "--body", &argument(&setup.path("body.json"))]).env("AFTERCLICK_VERIFY_SECRET", secret);
    for (name, value) in headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    run(&mut command, &[])
}

fn setup() -> (Setup, Vec<u8>) {
    let (setup, body) = (Setup::new(), body("link.clicked", 1));
    std::fs::write(setup.path("body.json"), &body).unwrap();
    (setup, body)
}

#[test]
fn a_genuine_signature_is_named_by_its_scheme() {
    let (setup, body) = setup();
    for scheme in Scheme::ALL {
        verify(&setup, &signed(scheme, SOURCE_SECRET, "msg_1", &body), SOURCE_SECRET).ended(0).prints(scheme.name());
    }
}

#[test]
fn a_wrong_one_is_explained_and_ends_with_1() {
    let (setup, body) = setup();
    let headers = signed(Scheme::BodyHex, SOURCE_SECRET, "", &body);
    verify(&setup, &headers, "whsec_of-another-webhook-altogether").ended(1).prints("✗");
    verify(&setup, &Vec::new(), SOURCE_SECRET).ended(1).prints("webhook-signature");
    let ended = verify(&setup, &headers, "whsec_of-another-webhook-altogether");
    assert!(!ended.stdout.contains("whsec_of-another"), "{}", ended.stdout);
}

#[test]
fn headers_can_come_from_a_file_and_the_body_from_standard_input() {
    let (setup, body) = setup();
    let lines: Vec<_> =
        signed(Scheme::Timestamped, SOURCE_SECRET, "", &body).iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let headers = setup.write("headers.txt", &format!("POST /hooks HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n")));
    let stdin = std::fs::File::open(setup.path("body.json")).unwrap();
    let mut command = program();
    command.stdin(stdin).args(["verify", "--body", "-", "--secret", SOURCE_SECRET, "--headers", &argument(&headers)]);
    run(&mut command, &[]).ended(0).prints("timestamped");
}

#[test]
fn a_misuse_ends_with_2() {
    run(&mut program(), &["verify", "--body", "nowhere.json", "--secret", SOURCE_SECRET]).ended(2).says("nowhere.json");
    run(&mut program(), &["verify", "--body", "-", "--secret", SOURCE_SECRET, "--header", "no colon"])
        .ended(2)
        .says("no colon");
}
