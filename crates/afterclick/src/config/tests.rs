//! What a file says, and what is told of one that is wrong.

use super::*;

const SECRETS: [(&str, &str); 2] = [
    ("SOURCE_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("BACKEND_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
];

fn load_text(text: &str) -> Result<Config, String> {
    let environment =
        |name: &str| SECRETS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let layers = Layers { environment: &environment, flags: Flags::default(), plugins: crate::wire::plugins() };
    read(text, "f.toml", &layers).map_err(|problems| problems.to_string())
}

fn check(text: &str, expected: &str) {
    let problems = load_text(text).map(|_| ()).expect_err("the file is wrong");
    assert!(problems.contains(expected), "{problems}\n  should say\n{expected}");
}

const GOOD: &str = r#"
[[source]]
name = "tolinku"
kind = "tolinku"
secrets = ["${SOURCE_SECRET}"]

[[destination]]
name = "backend"
connector = "webhook"
retry = ["1s", "10s"]
rate = 2.5
settings.url = "https://user:hidden@backend.example.com/hooks?token=hidden"
settings.secret = "${BACKEND_SECRET}"
settings.headers = { Authorization = "Bearer hidden" }
"#;

#[test]
fn a_file_is_read_with_the_defaults_of_the_design() {
    let config = load_text(GOOD).unwrap();
    let source = &config.sources[0];
    assert_eq!((source.name.as_str(), source.scheme.name()), ("tolinku", "body-hex"));
    assert_eq!(source.secrets[0].expose(), SECRETS[0].1);
    let destination = &config.destinations[0];
    assert_eq!(serde_json::to_string(&destination.events).unwrap(), r#"["*"]"#);
    assert_eq!(destination.retry.tries(), 3);
    assert_eq!((destination.concurrency, destination.breaker), (8, true));
    assert_eq!(destination.rate.unwrap().per_second.to_string(), "2.5");
    assert_eq!(destination.settings.text("secret"), Some(SECRETS[1].1));
}

#[test]
fn batch_and_volume_are_read_checked_and_shown() {
    let with = |lines: &str| GOOD.replace("rate = 2.5", &format!("rate = 2.5\n{lines}"));
    let text =
        with("batch.wait = \"2s\"\nvolume = { sample = 0.1, threshold = 100, first_per_subject_per_day = true }");
    let config = load_text(&text).unwrap();
    let destination = &config.destinations[0];
    assert_eq!(destination.batch.linger_ms, Some(2_000));
    assert_eq!((destination.volume.sample, destination.volume.threshold), (Some(0.1), Some(100.0)));
    assert!(destination.volume.first_per_subject_per_day);
    let line = |key: &str| {
        let line = config.shown.iter().find(|line| line.key == key).unwrap_or_else(|| panic!("{key} is not shown"));
        format!("{} from {}", line.value, line.origin)
    };
    assert_eq!(line("destination.backend.batch.wait"), "2s from f.toml:12");
    assert_eq!(line("destination.backend.batch.items"), "1 from default");
    assert_eq!(line("destination.backend.volume.sample"), "0.1 from f.toml:13");

    for (lines, expected) in [
        ("batch.items = 50", "f.toml:12: `destination.backend.batch` cannot have `items`"),
        ("batch.wait = 2", "f.toml:12: `destination.backend.batch.wait` must be a text, not a number"),
        ("batch.wait = \"2 s\"", "f.toml:12: `destination.backend.batch.wait`: `2 s` is not a wait"),
        ("concurrency = \"eight\"", "f.toml:12: `destination.backend.concurrency` must be a whole number, not a text"),
        ("concurrency = -1", "f.toml:12: `destination.backend.concurrency` is `-1`, which it cannot be"),
        ("breaker = \"no\"", "f.toml:12: `destination.backend.breaker` must be `true` or `false`, not a text"),
        ("batch.itmes = 1", "f.toml:12: unknown key `destination.backend.batch.itmes`; did you mean `items`?"),
        ("batch = 50", "f.toml:12: `destination.backend.batch` must be a table, not a number"),
        ("volume.sample = 0", "f.toml:12: `destination.backend.volume` has a `sample`"),
        ("volume.digest = \"30s\"", "f.toml:12: `destination.backend.volume` has a `digest`, but"),
        ("volume.treshold = 1", "did you mean `threshold`?"),
    ] {
        check(&with(lines), expected);
    }
}

#[test]
fn privacy_is_read_checked_and_shown() {
    let with = |lines: &str| GOOD.replace("rate = 2.5", &format!("rate = 2.5\n{lines}"));
    let config = load_text(&with("privacy.drop = [\"user_agent\"]\nprivacy.truncate = { ip = 24 }")).unwrap();
    let privacy = serde_json::to_value(&config.destinations[0].privacy).unwrap();
    assert_eq!(privacy, serde_json::json!({ "drop": ["user_agent"], "truncate": { "ip": 24 } }));
    let line = |key: &str| {
        let line = config.shown.iter().find(|line| line.key == key).unwrap_or_else(|| panic!("{key} is not shown"));
        format!("{} from {}", line.value, line.origin)
    };
    assert_eq!(line("destination.backend.privacy.drop"), "[\"user_agent\"] from f.toml:12");
    assert_eq!(line("destination.backend.privacy.hash"), "none from default");
    assert!(load_text(GOOD).unwrap().destinations[0].privacy.is_open());

    for (lines, expected) in [
        ("privacy.dorp = []", "f.toml:12: unknown key `destination.backend.privacy.dorp`; did you mean `drop`?"),
        (
            "privacy.drop = \"ip\"",
            "f.toml:12: `destination.backend.privacy.drop` must be a list, not a text; put it into brackets",
        ),
        ("privacy.truncate = { ip = 300 }", "f.toml:12: `destination.backend.privacy.truncate`"),
        (
            "privacy = { drop = [\"ip\"], hash = [\"ip\"] }",
            "f.toml:12: `destination.backend.privacy` says two things of `ip`",
        ),
        ("privacy = [\"ip\"]", "f.toml:12: `destination.backend.privacy` must be a table"),
    ] {
        check(&with(lines), expected);
    }
}

#[test]
fn a_batch_for_a_chat_is_refused_like_one_for_any_other_that_sends_each_event_by_itself() {
    for (connector, url) in [
        ("slack", "https://hooks.slack.com/services/T0/B0/x"),
        ("discord", "https://discord.com/api/webhooks/1/x"),
        ("teams", "https://prod-1.westus.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=x"),
    ] {
        let text = format!(
            "[[destination]]\nname = \"chat\"\nconnector = \"{connector}\"\nbatch.items = 3\nsettings.url = \"{url}\"\n"
        );
        check(
            &text,
            "f.toml:4: `destination.chat.batch` cannot have `items`; this connector sends every event by itself",
        );
    }
}

#[test]
fn a_limit_that_is_no_finite_number_is_refused() {
    for (line, expected) in [
        ("rate = nan", "f.toml:12: `destination.backend.rate` is `nan`; write a finite number"),
        ("rate = inf", "f.toml:12: `destination.backend.rate` is `inf`; write a finite number"),
        ("rate = -inf", "`-inf`; write a finite number"),
        ("rate = 1e999", "`1e999`; write a finite number"),
        ("volume.threshold = nan", "f.toml:12: `destination.backend.volume.threshold` is `nan`; write a finite number"),
        ("volume = { sample = nan }", "volume.sample` is `nan`; write a finite number"),
    ] {
        check(&GOOD.replace("rate = 2.5", &format!("\n{line}")), expected);
    }
}

const KINDS: &str = r#"
[[destination]]
name = "cdp"
connector = "segment"
settings.write_key = "${BACKEND_SECRET}"
settings.identify = true
settings.properties = { team = "${SOURCE_SECRET}", tags = ["a", 1], nested = { ratio = 0.5 }, day = "{{ timestamp }}" }

[[destination]]
name = "mail"
connector = "email"
settings.provider = "smtp"
settings.from = "Acme <hello@acme.example>"
settings.host = "smtp.acme.example"
settings.recipients = ["a@acme.example", "b@acme.example"]
settings.subject = "{{ type }}"
settings.text = "{{ data.campaign or 'none' }}"
"#;

#[test]
fn settings_of_every_kind_are_read_and_the_environment_reaches_into_tables() {
    let config = load_text(KINDS).unwrap();
    let settings = &config.destinations[0].settings.0;
    assert_eq!(settings["identify"], true);
    let expect = serde_json::json!({
        "team": SECRETS[0].1, "tags": ["a", 1], "nested": { "ratio": 0.5 }, "day": "{{ timestamp }}",
    });
    assert_eq!(settings["properties"], expect);
    assert_eq!(config.destinations[1].settings.0["recipients"][1], "b@acme.example");
    let events = serde_json::to_string(&config.destinations[1].events).unwrap();
    assert!(events.contains("install.tracked") && !events.contains("clicked"), "{events}");
    let shown = format!("{:?}", config.shown);
    assert!(shown.contains("${SOURCE_SECRET}") && !shown.contains("MfKQ9r8G"), "{shown}");

    for (from, to, expected) in [
        ("= true", "= \"yes\"", "f.toml:6: `destination.cdp.settings.identify` must be `true` or `false`"),
        ("{ team", "[1] # { team", "f.toml:7: `destination.cdp.settings.properties` must be an object"),
        ("[\"a@acme.example\", ", "[5, ", "f.toml:15: `destination.mail.settings.recipients` must be a list of texts"),
        ("settings.text =", "settings.txet =", "did you mean `text`?"),
        ("{{ timestamp }}", "${NOBODY}", "`destination.cdp.settings.properties.day` needs it"),
    ] {
        check(&KINDS.replace(from, to), expected);
    }
}

#[test]
fn every_value_is_shown_with_its_origin_and_no_secret() {
    let shown = load_text(GOOD).unwrap().shown;
    let line = |key: &str| {
        let line = shown.iter().find(|line| line.key == key).unwrap_or_else(|| panic!("{key} is not shown"));
        format!("{} from {}", line.value, line.origin)
    };
    assert_eq!(line("source.tolinku.scheme"), "body-hex from default");
    assert_eq!(line("source.tolinku.secrets"), "••••LaSw from ${SOURCE_SECRET} from f.toml:5");
    assert_eq!(line("destination.backend.rate"), "2.5 from f.toml:11");
    assert_eq!(line("destination.backend.settings.url"), "https://••••@backend.example.com/hooks from f.toml:12");
    assert_eq!(line("destination.backend.settings.headers"), "Authorization: •••• from f.toml:14");
    assert_eq!(line("server.listen"), "127.0.0.1:8400 from default");
    let all = format!("{shown:?}");
    assert!(!all.contains("hidden") && !all.contains("MfKQ9r8G") && !all.contains("C2FVsBQI"), "{all}");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one_and_its_line() {
    check(
        &GOOD.replace("connector =", "conector ="),
        "f.toml:9: unknown key `destination.backend.conector`; did you mean `connector`?",
    );
    check(
        &GOOD.replace("settings.url", "settings.ulr"),
        "f.toml:12: unknown key `destination.backend.settings.ulr`; `webhook` has no such setting, did you mean `url`?",
    );
    check("[sever]\n", "f.toml:1: unknown key `sever`; did you mean `server`?");
    check("[server]\nlisten_on = 1\n", "f.toml:2: unknown key `server.listen_on`");
}

#[test]
fn a_missing_variable_is_told_with_its_name_and_key() {
    check(
        &GOOD.replace("${BACKEND_SECRET}", "${BACKEND_SECERT}"),
        "f.toml:13: the environment variable `BACKEND_SECERT` is not set; `destination.backend.settings.secret` needs it",
    );
}

#[test]
fn what_is_missing_is_told_with_what_to_write() {
    check(&GOOD.replace("kind = \"tolinku\"\n", ""), "`source.tolinku.kind` is missing; write `tolinku`, or `generic`");
    check(&GOOD.replace("secrets = [\"${SOURCE_SECRET}\"]\n", ""), "`source.tolinku.secrets` is missing");
    check(&GOOD.replace("connector = \"webhook\"\n", ""), "`destination.backend.connector` is missing");
}

#[test]
fn values_of_the_wrong_kind_are_told_with_their_line() {
    check(
        &GOOD.replace("[\"1s\", \"10s\"]", "\"quickly\""),
        "f.toml:10: `destination.backend.retry`: `quickly` is not a retry policy",
    );
    check(&GOOD.replace("rate = 2.5", "rate = \"much\""), "f.toml:11: `destination.backend.rate`");
    check(&GOOD.replace("\"webhook\"", "\"webhok\""), "f.toml:9: `webhok` is not a connector; did you mean `webhook`?");
    check(
        &GOOD.replace("kind = \"tolinku\"", "kind = \"tolinko\""),
        "f.toml:4: `tolinko` is not a kind of source; did you mean `tolinku`?",
    );
    check("source = 1\n", "f.toml:1: `source` is a list; write `[[source]]`");
    check(&GOOD.replace("name = \"backend\"", "name = \"Back End\""), "`Back End` is not a name");
}

#[test]
fn two_objects_of_one_name_are_refused() {
    let twice =
        format!("{GOOD}\n[[source]]\nname = \"tolinku\"\nkind = \"tolinku\"\nsecrets = [\"${{SOURCE_SECRET}}\"]\n");
    check(&twice, "there is another source named `tolinku`");
}

#[test]
fn every_problem_is_told_at_once() {
    let problems = load_text("[[source]]\nnmae = \"x\"\n[[destination]]\nevents = []\n").unwrap_err();
    assert!(problems.lines().count() >= 5, "{problems}");
}
