//! `cargo xtask docs`: the reference pages of the connectors, written from their manifests and fixtures.
//!
//! A page says nothing that a test does not hold: settings come from the manifest, the request from the connector itself,
//! and what answers mean from judging the answers of its fixture.

mod answers;
mod exchange;
mod fixture;
mod page;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where the pages are.
const FOLDER: &str = "docs/reference/connectors";

/// Writes the pages, and takes away those of connectors that are gone.
pub(crate) fn write(root: &Path) -> Result<()> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let pages = pages(root)?;
    for path in existing(&folder)? {
        if !pages.iter().any(|(page, _)| *page == path) {
            std::fs::remove_file(&path)?;
            eprintln!("removed {}", path.display());
        }
    }
    for (path, text) in pages {
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            eprintln!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// Every page and what it should say.
fn pages(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let folder = root.join(FOLDER);
    let mut pages = vec![(folder.join("README.md"), page::index(connectors::ALL))];
    for connector in connectors::ALL {
        let name = connector.manifest().name;
        let fixture = fixture::read(root, name)?;
        pages.push((folder.join(format!("{name}.md")), page::of(*connector, &fixture)));
    }
    Ok(pages)
}

fn existing(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_say_what_the_manifests_say() {
        let root = crate::workspace_root().unwrap();
        let pages = pages(&root).unwrap();
        for (path, text) in &pages {
            let written = std::fs::read_to_string(path).unwrap_or_default();
            assert!(written == *text, "{} is stale; run `cargo xtask docs`", path.display());
        }
        for path in existing(&root.join(FOLDER)).unwrap() {
            let is_known = pages.iter().any(|(page, _)| *page == path);
            assert!(is_known, "{} belongs to no connector; run `cargo xtask docs`", path.display());
        }
    }
}
