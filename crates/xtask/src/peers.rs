//! `cargo xtask peers`: installs what the real servers of the tests are made of, and nothing twice.
//!
//! Debian's package manager, pip and npm do it, as they are set up on the machine. What is not Debian's goes below
//! `target/peers`; nothing is started, and no service that a package brings is either.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use peers::{Needs, Package, home};

use crate::stage::Stages;

/// Installs packages of Debian; while it does, no service of theirs is started.
const INSTALL_DEBIAN: &str = r#"
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
apt-get update -qq
apt-get install -qq -y --no-install-recommends "$@"
"#;

/// Makes the named peers possible, or all.
pub(crate) fn install(root: &Path, names: &[String]) -> Result<()> {
    let chosen = choose(names)?;
    let wanted = |package: &&Package| !package.is_here();
    let lacking: Vec<&Package> = chosen.iter().flat_map(|needs| needs.packages).filter(wanted).collect();

    let mut stages = Stages::new(root);
    debian(&mut stages, &lacking)?;
    python(&mut stages, root, &lacking)?;
    node(&mut stages, root, &lacking)?;

    let missing: Vec<String> = chosen.iter().flat_map(|needs| needs.missing()).collect();
    if !missing.is_empty() {
        bail!("still missing: {}", missing.join(", "));
    }
    let names: Vec<&str> = chosen.iter().map(|needs| needs.name).collect();
    eprintln!("peers that tests can start: {}", names.join(", "));
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Needs>> {
    let known = || peers::ALL.iter().copied();
    if names.is_empty() {
        return Ok(known().collect());
    }
    let find = |name: &String| {
        let all = || known().map(|needs| needs.name).collect::<Vec<_>>().join(", ");
        known().find(|needs| needs.name == name).with_context(|| format!("no peer `{name}`; there are {}", all()))
    };
    names.iter().map(find).collect()
}

fn debian(stages: &mut Stages, lacking: &[&Package]) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    for package in lacking {
        match package {
            Package::Debian { package, .. } => packages.push(package),
            // Debian's Python comes without what makes an environment.
            Package::Python(_) if !succeeds("python3", &["-c", "import ensurepip, venv"]) => {
                packages.push("python3-venv");
            }
            Package::Python(_) | Package::Node(_) => {}
        }
    }
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !succeeds("apt-get", &["--version"]) {
        bail!("no `apt-get` here; install what Debian calls {list} by other means");
    }
    let mut command =
        as_root().with_context(|| format!("not root and no `sudo`; run `apt-get install {list}` as root"))?;
    command.args(["sh", "-euc", INSTALL_DEBIAN, "install"]).args(packages);
    stages.run(&format!("packages of Debian: {list}"), command)
}

fn python(stages: &mut Stages, root: &Path, lacking: &[&Package]) -> Result<()> {
    let requirement = |package: &&Package| if let Package::Python(text) = package { Some(*text) } else { None };
    let requirements: Vec<&str> = lacking.iter().filter_map(requirement).collect();
    if requirements.is_empty() {
        return Ok(());
    }
    let environment = home().join("venv");
    if !environment.join("bin/pip").is_file() {
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]).arg(&environment);
        stages.run("an environment for Python", command)?;
    }
    let mut command = Command::new(environment.join("bin/python"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"]);
    command.arg(root.join("crates/peers/python-constraints.txt")).args(&requirements);
    stages.run(&format!("packages of Python: {}", requirements.join(" ")), command)
}

fn node(stages: &mut Stages, root: &Path, lacking: &[&Package]) -> Result<()> {
    if !lacking.iter().any(|package| matches!(package, Package::Node(_))) {
        return Ok(());
    }
    let folder = home().join("node");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(root.join("crates/peers/node").join(file), folder.join(file)).context(file)?;
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder);
    stages.run("packages of Node", command)
}

/// The beginning of a command that root runs.
fn as_root() -> Option<Command> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let (program, arguments): (&str, &[&str]) = if root { ("env", &[]) } else { ("sudo", &["-n"]) };
    let mut command = Command::new(program);
    command.args(arguments);
    (root || succeeds("sudo", &["-n", "true"])).then_some(command)
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_every_peer_is_meant_and_a_wrong_name_gets_the_right_ones() {
        assert_eq!(choose(&[]).unwrap().len(), peers::ALL.len());
        assert_eq!(choose(&["smtp".to_owned()]).unwrap()[0].name, "smtp");
        let error = choose(&["smpt".to_owned()]).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("no peer `smpt`; there are ") && error.contains("smtp"), "{error}");
    }
}
