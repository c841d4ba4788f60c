//! The page of the guide: its tables, its files and the tests that it names are there.

use std::path::{Path, PathBuf};

use vendors::pipedrive::Entity;

use super::GUIDE;
use super::stage::{hubspot, pipedrive, salesforce};
use crate::destinations::guides::start;
use crate::support::{argument, program, run};

#[test]
fn the_first_step_of_the_guide_starts_the_server() {
    let (_, step) = GUIDE.split_once("## Start the server\n").expect("the step");
    let (step, _) = step.split_once("\n## ").expect("the next one");
    let commands: Vec<&str> = step.split("```").skip(1).step_by(2).flat_map(str::lines).collect();
    let exported: Vec<&str> =
        commands.iter().filter_map(|line| line.strip_prefix("export ")?.split('=').next()).collect();
    assert_eq!(exported, ["TOLINKU_WEBHOOK_SECRET", "HUBSPOT_ACCESS_TOKEN", "AFTERCLICK_ADMIN_KEY"]);
    for line in
        ["afterclick config check examples/crm-hubspot.toml", "afterclick serve --config examples/crm-hubspot.toml"]
    {
        assert!(commands.contains(&line), "{line}");
    }
    for name in ["hubspot", "salesforce", "pipedrive"] {
        let path = root().join(format!("examples/crm-{name}.toml"));
        let example = std::fs::read_to_string(&path).unwrap();
        let settings = example.lines().filter(|line| !line.starts_with('#'));
        let variables: Vec<&str> = settings.filter_map(|line| line.split_once("${")?.1.split('}').next()).collect();
        assert!(variables.iter().all(|variable| step.contains(variable)), "{name}: {variables:?}");
        let secrets: Vec<_> =
            variables.iter().map(|variable| (*variable, "whsec_0123456789abcdef0123456789abcdef")).collect();
        let mut check = program();
        run(check.envs(secrets.clone()), &["config", "check", &argument(&path)]).ended(0).prints("no problem found");
        let server = start(&format!("crm-{name}"), &secrets, &[]);
        assert!(server.key().starts_with("ack_"), "the first start prints a key");
        server.run(&["destinations", "show", name]).ended(0).prints(name);
    }
}

#[test]
fn what_the_guide_says_of_fields_is_what_is_there_after_provisioning() {
    let (hubspot, salesforce, pipedrive) = (hubspot(), salesforce(), pipedrive());
    for (server, name) in
        [(&hubspot.server, "hubspot"), (&salesforce.server, "salesforce"), (&pipedrive.server, "pipedrive")]
    {
        server.run(&["destinations", "provision", name, "--yes"]).ended(0);
    }
    let mut count = 0;
    for row in rows("## What arrives", "| --- | --- | --- | --- |") {
        for property in in_backticks(row[1]) {
            assert!(hubspot.vendor.vendor(|account| account.properties.contains_key(property)), "{property}");
        }
        for field in in_backticks(row[2]) {
            assert!(salesforce.vendor.vendor(|org| org.fields["Lead"].contains_key(field)), "{field}");
        }
        for field in in_backticks(row[3]) {
            assert!(pipedrive.vendor.vendor(|company| company.code(Entity::Person, field).is_some()), "{field}");
        }
        count += 1;
    }
    assert!(count > 10, "{count} rows");
}

#[test]
fn every_line_of_a_file_that_the_guide_shows_stands_in_that_file() {
    for name in ["hubspot", "salesforce", "pipedrive"] {
        let path = root().join(format!("examples/crm-{name}.toml"));
        let example = std::fs::read_to_string(path).unwrap();
        let (_, shown) = GUIDE.split_once(&format!("(../../examples/crm-{name}.toml)")).expect("a link to the file");
        let (_, shown) = shown.split_once("```toml\n").expect("a block");
        let (shown, _) = shown.split_once("```").expect("the end of the block");
        for line in shown.lines().map(str::trim) {
            assert!(example.lines().any(|there| there == line), "examples/crm-{name}.toml has no line `{line}`");
        }
    }
}

#[test]
fn every_test_that_the_guide_names_is_there() {
    let mut numbers = Vec::new();
    for row in rows("## What the document's code does", "| --- | --- | --- | --- |")
        .chain(rows("Where the documents contradict", "| --- | --- | --- | --- | --- |"))
    {
        let named = in_backticks(row[row.len() - 1]);
        assert!(!named.is_empty(), "{} is shown by nothing", row[0]);
        for test in named {
            let (file, test) = test.split_once("::").expect("a file and a test");
            let text =
                std::fs::read_to_string(root().join("crates").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(is_test(&text, test), "{file} has no test `{test}`");
        }
        numbers.push(row[0].to_owned());
    }
    let bugs = (1..=26).map(|number| format!("C{number}"));
    let contradictions = [3, 4, 13, 14, 16].map(|number| format!("T{number}"));
    assert_eq!(numbers, bugs.chain(contradictions).collect::<Vec<_>>());
}

/// Whether a function of this name is one that is run: a plain one, one that waits, or one of many cases.
fn is_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut is_marked = false;
    for line in text.lines().map(str::trim) {
        match line {
            "#[test]" | "#[tokio::test]" => is_marked = true,
            _ if line.starts_with("#[tokio::test(") => is_marked = true,
            _ if line.starts_with("#[") || line.starts_with("//") => {}
            _ if line.contains(&head) => return is_marked,
            _ => is_marked = false,
        }
    }
    false
}

/// The rows of the first table after this text, without its head.
fn rows(after: &str, rule: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let (_, text) = GUIDE.split_once(after).unwrap_or_else(|| panic!("the guide has no `{after}`"));
    let (_, text) = text.split_once(rule).expect("a table");
    let lines = text.trim_start().lines().take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
