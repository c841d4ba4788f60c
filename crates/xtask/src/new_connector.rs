//! `cargo xtask new-connector NAME`: the beginning of a connector, from one that is compiled and held by the kit like
//! every other.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// What is copied: a connector and its fixture.
const TEMPLATE: &str = include_str!("../../connectors/src/template.rs");
const FIXTURE: &str = include_str!("../../connectors/fixtures/acme.json");

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 32;

/// Writes the files of a new connector and says what to do next.
pub(crate) fn make(root: &Path, name: &str) -> Result<()> {
    let names = Names::of(name)?;
    let crate_dir = root.join("crates/connectors");
    let source = crate_dir.join(format!("src/{}.rs", names.module));
    let fixture = crate_dir.join(format!("fixtures/{name}.json"));
    let list = crate_dir.join("src/lib.rs");
    for path in [&source, &fixture] {
        if path.exists() {
            bail!("`{}` is there already; choose another name", path.display());
        }
    }
    let listed = names.listed(&std::fs::read_to_string(&list).context("crates/connectors/src/lib.rs")?)?;
    std::fs::write(&source, names.filled(TEMPLATE))?;
    std::fs::write(&fixture, names.filled(FIXTURE))?;
    std::fs::write(&list, listed)?;
    eprintln!("made crates/connectors/src/{}.rs, fixtures/{name}.json and a line in ALL; now", names.module);
    eprintln!("  INSTA_UPDATE=always cargo test -p connectors kit   # writes what is sent to snapshots/; read it");
    eprintln!("  cargo xtask docs                                   # writes docs/reference/connectors/{name}.md");
    eprintln!("docs/guides/add-a-connector.md goes on from there");
    Ok(())
}

/// A connector's name in all its spellings.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    /// `acme-ads`
    name: String,
    /// `acme_ads`
    module: String,
    /// `AcmeAds`
    type_name: String,
    /// `Acme Ads`
    title: String,
}

impl Names {
    fn of(name: &str) -> Result<Self> {
        let words: Vec<&str> = name.split('-').collect();
        let is_word = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if !words.iter().all(is_word) || name.len() > NAME_CHARS_MAX {
            bail!("`{name}` is no name for a connector; write small letters, digits and `-`, for example `acme-ads`");
        }
        if TAKEN.contains(&name) || connectors::by_name(name).is_some() {
            bail!("`{name}` is taken; choose another name");
        }
        let capital = |word: &&str| word[..1].to_uppercase() + &word[1..];
        let capitals: Vec<String> = words.iter().map(capital).collect();
        Ok(Self {
            name: name.to_owned(),
            module: words.join("_"),
            type_name: capitals.concat(),
            title: capitals.join(" "),
        })
    }

    /// The template with this name in the place of its own.
    fn filled(&self, template: &str) -> String {
        // Between the titles, which hold the type's name; the new title may hold it too.
        let parts = template.split("Acme Inc.").map(|part| part.replace("Acme", &self.type_name));
        let text = parts.collect::<Vec<_>>().join(&self.title);
        text.replace("\"acme\"", &format!("\"{}\"", self.name))
    }

    /// The list of connectors with this one in it: the module in its place by the alphabet, the connector at the end.
    fn listed(&self, list: &str) -> Result<String> {
        let module = format!("mod {};", self.module);
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        let first = lines.iter().position(|line| line.starts_with("mod ")).context("no `mod` in the list")?;
        let length = lines[first..].iter().take_while(|line| line.starts_with("mod ")).count();
        let at = first + lines[first..first + length].partition_point(|line| *line < module);
        lines.insert(at, module);
        let text = lines.join("\n") + "\n";

        let start = text.find("pub static ALL").context("no `ALL` in the list")?;
        let end = start + text[start..].find("];").context("no end of `ALL`")?;
        let (before, after) = (text[..end].trim_end().trim_end_matches(','), &text[end..]);
        let path = format!("&{}::{}", self.module, self.type_name);
        // One that is spread over lines stays so.
        let separator = if text[..end].ends_with('\n') { ",\n    " } else { ", " };
        let close = if text[..end].ends_with('\n') { ",\n" } else { "" };
        Ok(format!("{before}{separator}{path}{close}{after}"))
    }
}

/// Modules of the crate that are no connectors.
const TAKEN: [&str; 4] = ["acme", "common", "kit", "template"];

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "//! Doc.\n\nmod beta;\nmod common;\nmod zeta;\n\nuse domain::Connector;\n\n\
                        pub static ALL: &[&dyn Connector] = &[&beta::Beta, &zeta::Zeta];\n\nmod kit;\n";

    #[test]
    fn a_name_is_spelt_as_each_place_wants_it() {
        let names = Names::of("acme-ads2").unwrap();
        assert_eq!((names.module.as_str(), names.type_name.as_str()), ("acme_ads2", "AcmeAds2"));
        assert_eq!(names.title, "Acme Ads2");
        for wrong in ["", "Acme", "acme_ads", "-acme", "acme-", "2acme", "webhook", "common", "a/b"] {
            assert!(Names::of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_made_speaks_of_the_new_vendor_only() {
        let names = Names::of("better-ads").unwrap();
        let (source, fixture) = (names.filled(TEMPLATE), names.filled(FIXTURE));
        assert!(source.contains("struct BetterAds;") && source.contains("name: \"better-ads\""), "{source}");
        assert!(source.contains("title: \"Better Ads\"") && source.contains("Better Ads refused the key"), "{source}");
        assert!(fixture.contains("Better Ads refused the key"), "{fixture}");
        assert!(!source.to_lowercase().contains("acme") && !fixture.to_lowercase().contains("acme"));
        serde_json::from_str::<serde_json::Value>(&fixture).unwrap();
        let source = Names::of("acme-ads").unwrap().filled(TEMPLATE);
        assert!(source.contains("title: \"Acme Ads\"") && source.contains("struct AcmeAds;"), "{source}");
    }

    #[test]
    fn the_list_gets_one_module_and_one_connector() {
        let listed = Names::of("delta").unwrap().listed(LIST).unwrap();
        assert!(listed.contains("mod common;\nmod delta;\nmod zeta;\n\nuse"), "{listed}");
        assert!(listed.contains("&[&beta::Beta, &zeta::Zeta, &delta::Delta];"), "{listed}");
        let spread = LIST.replace("&[&beta::Beta, &zeta::Zeta]", "&[\n    &beta::Beta,\n    &zeta::Zeta,\n]");
        let listed = Names::of("zz-top").unwrap().listed(&spread).unwrap();
        assert!(listed.contains("mod zeta;\nmod zz_top;\n\nuse"), "{listed}");
        assert!(listed.contains("    &zeta::Zeta,\n    &zz_top::ZzTop,\n];"), "{listed}");
    }

    #[test]
    fn what_it_makes_fits_the_workspace_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let crate_dir = root.path().join("crates/connectors");
        for folder in ["src", "fixtures"] {
            std::fs::create_dir_all(crate_dir.join(folder)).unwrap();
        }
        let list = crate::workspace_root().unwrap().join("crates/connectors/src/lib.rs");
        std::fs::copy(list, crate_dir.join("src/lib.rs")).unwrap();
        make(root.path(), "delta-force").unwrap();
        let list = std::fs::read_to_string(crate_dir.join("src/lib.rs")).unwrap();
        assert!(list.contains("\nmod delta_force;\n") && list.contains("&delta_force::DeltaForce"), "{list}");
        assert!(crate_dir.join("src/delta_force.rs").exists() && crate_dir.join("fixtures/delta-force.json").exists());
        assert!(make(root.path(), "delta-force").unwrap_err().to_string().contains("is there already"));
    }
}
