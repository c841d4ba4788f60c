//! The configuration files under `examples/`.

use std::path::Path;

use crate::support::{DESTINATION_SECRET, argument, program, run};

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
            let value = if name.ends_with("_URL") { "https://receiver.example.com/hooks" } else { DESTINATION_SECRET };
            command.env(name, value);
        }
        run(&mut command, &["config", "check", &argument(&path)]).ended(0).prints("no problem found");
        count += 1;
    }
    assert!(count >= 3, "there are {count} examples");
}

/// The names in `${…}`.
fn variables(text: &str) -> Vec<&str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}
