//! The configuration files under `examples/`.

use std::path::Path;

use crate::support::{DESTINATION_SECRET, Setup, argument, program, run};

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

/// Something that a setting of this name takes.
fn placeholder(name: &str) -> &'static str {
    if name.ends_with("URL") { "https://receiver.example.com/hooks" } else { DESTINATION_SECRET }
}

/// The names in `${…}`.
fn variables(text: &str) -> Vec<&str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}
