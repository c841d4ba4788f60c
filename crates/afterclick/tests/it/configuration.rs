//! What a wrong configuration is told, and what a right one shows.

use domain::signature::Scheme;

use crate::support::{Setup, destination, one_destination, program, run};

const URL: &str = "https://backend.example.com/hooks";

fn served(config: &str) -> crate::support::Output {
    run(&mut Setup::with(config).command(), &[])
}

#[test]
fn an_unknown_key_stops_the_start_with_the_nearest_one() {
    served(&one_destination(URL).replace("connector", "conector"))
        .ended(2)
        .says("afterclick.toml:9: unknown key `destination.backend.conector`; did you mean `connector`?");
}

#[test]
fn a_missing_variable_stops_the_start_with_its_name_and_key() {
    served(&one_destination(URL).replace(URL, "${BACKEND_URL}"))
        .ended(2)
        .says("the environment variable `BACKEND_URL` is not set; `destination.backend.settings.url` needs it");
}

#[test]
fn a_filter_that_does_not_compile_stops_the_start() {
    let config =
        one_destination(URL).replace("connector = \"webhook\"", "connector = \"webhook\"\nwhen = \"data.x ==\"");
    served(&config).ended(2).says("backend").says("filter");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    run(program().args(["serve", "--config", "nowhere.toml"]), &[]).ended(2).says("nowhere.toml: cannot be read");
}

#[test]
fn a_wrong_command_line_ends_with_2_and_help_with_0() {
    run(&mut program(), &["serve", "--no-such-flag"]).ended(2).says("--no-such-flag");
    run(&mut program(), &["frobnicate"]).ended(2);
    let help = run(&mut program(), &["--help"]).ended(0);
    for noun in
        ["demo", "serve", "apply", "trigger", "verify", "events", "deliveries", "dead-letters", "replays", "doctor"]
    {
        assert!(help.stdout.contains(noun), "{noun} is not in the help");
    }
}

#[test]
fn show_prints_every_value_with_its_origin_and_no_secret() {
    let setup = Setup::with(&one_destination(URL));
    let shown =
        run(program().env("AFTERCLICK_RETENTION", "7d"), &["config", "show", "--config", &setup.config()]).ended(0);
    for expected in ["environment AFTERCLICK_RETENTION", "destination.backend.retry", "afterclick.toml:11", "default"] {
        assert!(shown.stdout.contains(expected), "{expected} is not in\n{}", shown.stdout);
    }
    assert!(
        !shown.stdout.contains(crate::support::DESTINATION_SECRET)
            && !shown.stdout.contains(crate::support::SOURCE_SECRET)
    );
    let json = run(&mut program(), &["config", "show", "--json", "--config", &setup.config()]).ended(0);
    let lines: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(lines["data"].as_array().is_some_and(|lines| lines.len() > 15));
}

#[test]
fn check_says_yes_or_why_not() {
    let setup = Setup::with(&one_destination(URL));
    run(&mut program(), &["config", "check", &setup.config()])
        .ended(0)
        .prints("1 source, 1 destination, no problem found");
    let setup = Setup::with(&one_destination("http://10.0.0.1/"));
    run(&mut program(), &["config", "check", &setup.config()]).ended(1).says("backend").says("`allow_private = true`");
    let unusual = one_destination(URL).replace("[\"*\", \"test\"]", "[\"link.clickd\"]");
    run(&mut program(), &["config", "check", &Setup::with(&unusual).config()])
        .ended(0)
        .says("destination `backend` wants `link.clickd`, which is in no catalogue; did you mean `link.clicked`?");
}

#[test]
fn all_that_a_connector_refuses_is_told_at_once_with_its_line() {
    let first = one_destination("http://backend.example.com/");
    let second = destination("second", "https://second.example.com/", Scheme::BodyHex);
    let third = second.replace("second", "third").replace("events", "concurrency = 1000\nevents");
    let second = second.replace("events", "when = \"data.x ==\"\nevents");
    let setup = Setup::with(&[first, second, third].concat());
    let text = std::fs::read_to_string(setup.config()).unwrap();
    let line = |of: &str| text.lines().position(|line| line.contains(of)).unwrap() + 1;
    run(&mut program(), &["config", "check", &setup.config()])
        .ended(1)
        .says(&format!("afterclick.toml:{}: destination `backend`: setting `url`", line("http://backend")))
        .says(&format!("afterclick.toml:{}: destination `second`: the filter does not compile", line("data.x ==")))
        .says(&format!("afterclick.toml:{}: destination `third`: concurrency must be 1 to 256\n", line("1000")));
}
