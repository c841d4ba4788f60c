//! What a peer is made of, and whether this machine has it.

use std::path::{Path, PathBuf};

/// A peer's name and everything that must be installed for it.
pub struct Needs {
    pub name: &'static str,
    pub packages: &'static [Package],
}

/// One thing to install.
pub enum Package {
    /// A package of Debian, present when its program is.
    Debian { package: &'static str, program: &'static str },
    /// A pinned requirement (`name[extra]==version`) in the virtual environment of the peers.
    Python(&'static str),
    /// A package of `crates/peers/node/package-lock.json`.
    Node(&'static str),
}

/// What npm installs; a copy of it lies beside what was installed.
const NODE_LOCK: &[u8] = include_bytes!("../node/package-lock.json");

impl Needs {
    /// What is not here, in words.
    pub fn missing(&self) -> Vec<String> {
        self.packages.iter().filter(|package| !package.is_here()).map(Package::in_words).collect()
    }
}

impl Package {
    pub fn is_here(&self) -> bool {
        match self {
            Self::Debian { program, .. } => find_program(program).is_some(),
            Self::Python(requirement) => site_packages().is_some_and(|path| path.join(dist_info(requirement)).is_dir()),
            Self::Node(name) => {
                let folder = home().join("node");
                let lock = std::fs::read(folder.join("package-lock.json"));
                folder.join("node_modules").join(name).is_dir() && lock.is_ok_and(|lock| lock == NODE_LOCK)
            }
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Debian { package, program } => format!("`{program}` (Debian package `{package}`)"),
            Self::Python(requirement) => format!("Python's `{requirement}`"),
            Self::Node(name) => format!("Node's `{name}`"),
        }
    }
}

/// Where `cargo xtask peers` puts what is not Debian's.
pub fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers")
}

/// The path of a program that [`Package::Debian`] named.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are not on every user's path, and Debian keeps those of PostgreSQL in a folder per version.
    let elsewhere = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .chain(elsewhere.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A file of `crates/peers/scripts`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// The Python that has the packages.
pub(crate) fn python() -> PathBuf {
    home().join("venv/bin/python")
}

/// Where the packages of that Python are.
pub(crate) fn site_packages() -> Option<PathBuf> {
    let versions = std::fs::read_dir(home().join("venv/lib")).ok()?;
    versions.flatten().map(|version| version.path().join("site-packages")).find(|path| path.is_dir())
}

/// The folder that pip leaves behind for a requirement once it and all it needs are installed.
fn dist_info(requirement: &str) -> String {
    let (name, version) = requirement.split_once("==").expect("requirements are pinned");
    let name = name.split('[').next().unwrap_or(name).replace('-', "_").to_lowercase();
    format!("{name}-{version}.dist-info")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_a_requirement_has_no_extras_and_no_dashes() {
        assert_eq!(dist_info("moto[s3]==5.2.5"), "moto-5.2.5.dist-info");
        assert_eq!(dist_info("kafka-python==3.0.12"), "kafka_python-3.0.12.dist-info");
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let packages =
            &[Package::Debian { package: "none", program: "no-such-program" }, Package::Python("no-such==1")];
        let needs = Needs { name: "nothing", packages };
        assert_eq!(needs.missing(), ["`no-such-program` (Debian package `none`)", "Python's `no-such==1`"]);
    }
}
