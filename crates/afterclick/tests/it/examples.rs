//! The configuration files under `examples/`.

use std::path::Path;

use crate::support::{DESTINATION_SECRET, Server, Setup, argument, program, run};

#[test]
fn every_example_is_accepted() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut command = program();
        for name in variables(&text) {
            command.env(name, placeholder(name));
        }
        run(&mut command, &["config", "check", &argument(&path)]).ended(0).prints("no problem found");
        count += 1;
    }
    assert!(count >= 3, "there are {count} examples");
}

#[test]
fn the_example_of_every_connector_is_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut config = String::new();
    let mut command = program();
    for connector in connectors::ALL {
        let name = connector.manifest().name;
        let page = std::fs::read_to_string(root.join(format!("docs/reference/connectors/{name}.md"))).unwrap();
        let (_, example) = page.split_once("```toml\n").expect("an example");
        config.push_str(example.split_once("```").expect("the end of the example").0);
        // The secrets are those of the fixture, whose other settings the example shows.
        let fixture = std::fs::read(root.join(format!("crates/connectors/fixtures/{name}.json"))).unwrap();
        let fixture: serde_json::Value = serde_json::from_slice(&fixture).unwrap();
        for (key, value) in fixture["default"].as_object().unwrap() {
            let variable = format!("{name}_{key}").to_uppercase().replace('-', "_");
            command.env(variable, value.as_str().unwrap_or_default());
        }
    }
    let setup = Setup::with(&config);
    let count = connectors::ALL.len();
    run(&mut command, &["config", "check", &setup.config()]).ended(0).prints(&format!("{count} destinations"));
}

/// The guides that walk through an example of the same name.
const GUIDES: [&str; 4] = ["segment", "slack-alerts", "clickhouse", "welcome-mail"];

#[test]
fn a_guide_shows_its_example_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in GUIDES {
        let guide = std::fs::read_to_string(root.join(format!("docs/guides/{name}.md"))).unwrap();
        let example = std::fs::read_to_string(root.join(format!("examples/{name}.toml"))).unwrap();
        assert!(guide.contains(&example), "docs/guides/{name}.md does not show examples/{name}.toml as it is");
    }
}

#[test]
fn the_file_of_a_guide_starts_and_every_destination_of_it_can_be_previewed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in GUIDES {
        let text = std::fs::read_to_string(root.join(format!("examples/{name}.toml"))).unwrap();
        let setup = Setup::with(&text);
        let mut command = setup.command();
        for variable in variables(&text) {
            command.env(variable, placeholder(variable));
        }
        let server = Server::start(&mut command);
        let destinations = server.get("/v1/destinations");
        for destination in destinations["data"].as_array().unwrap() {
            let of = destination["name"].as_str().unwrap();
            // A mail needs an address, which no sample has; the others have something to send.
            let preview = server.run(&["destinations", "preview", of]).ended(0);
            let told = if name == "welcome-mail" { &preview.stderr } else { &preview.stdout };
            let expect = if name == "welcome-mail" { "no address to mail to" } else { "POST https://" };
            assert!(told.contains(expect), "{name}, {of}: {told}");
        }
    }
}

/// Something that a setting of this name takes.
fn placeholder(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("SLACK_") => "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX",
        _ if name.ends_with("URL") => "https://receiver.example.com/hooks",
        _ => DESTINATION_SECRET,
    }
}

/// The names in `${…}`.
fn variables(text: &str) -> Vec<&str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}
