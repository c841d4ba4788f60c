//! The master key: what seals the secrets in the store.
//!
//! It comes from `AFTERCLICK_MASTER_KEY`, or from a file beside the store that is made on the first start. The file is
//! the convenient way; whoever copies the whole data directory then has both.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::random;

/// The variable that holds one key, or several for rotation: the first seals, all open.
pub(crate) const VARIABLE: &str = "AFTERCLICK_MASTER_KEY";
/// The file beside the store.
pub(crate) const FILE: &str = "master.key";

const KEY_BYTES: usize = 32;

/// A master key.
pub(crate) type MasterKey = [u8; KEY_BYTES];

/// Where the keys came from, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Environment,
    File(PathBuf),
    /// The file was made just now.
    Made(PathBuf),
}

/// The keys from the environment, else from the file, which is made if `store_is_new`.
pub(crate) fn load(data_dir: &Path, variable: Option<&str>, store_is_new: bool) -> Result<(Vec<MasterKey>, Origin)> {
    if let Some(text) = variable {
        return Ok((parse_list(text)?, Origin::Environment));
    }
    let path = data_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key = parse(text.trim())
                .with_context(|| format!("`{}` does not hold a master key; restore it from a copy", path.display()))?;
            warn_if_readable(&path);
            Ok((vec![key], Origin::File(path)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && store_is_new => {
            let key = make(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
            Ok((vec![key], Origin::Made(path)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "the secrets in `{}` are sealed and `{FILE}` is not there; restore the file or set `{VARIABLE}`",
            data_dir.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Reads one key or several, separated by commas.
pub(crate) fn parse_list(text: &str) -> Result<Vec<MasterKey>> {
    text.split(',').map(|part| parse(part.trim())).collect::<Result<_>>().with_context(|| format!("`{VARIABLE}`"))
}

/// Reads 64 hex digits or the base64 of 32 bytes. The error never repeats the text.
fn parse(text: &str) -> Result<MasterKey> {
    let bytes = match text.len() {
        64 => hex::decode(text).ok(),
        _ => BASE64.decode(text).ok(),
    };
    match bytes.and_then(|bytes| MasterKey::try_from(bytes).ok()) {
        Some(key) => Ok(key),
        None => bail!("a master key is 64 hex digits or the base64 of 32 bytes; make one with `openssl rand -hex 32`"),
    }
}

/// Makes a key and its file, durably: a sealed secret must not outlive it.
fn make(path: &Path) -> Result<MasterKey> {
    let key: MasterKey = random::bytes();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", hex::encode(key))?;
    file.sync_all()?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(key)
}

fn warn_if_readable(path: &Path) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "others can read the master key; run `chmod 600` on it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hex_or_base64_and_a_list_keeps_its_order() {
        let hex = "00".repeat(31) + "01";
        let base64 = BASE64.encode([2; 32]);
        let keys = parse_list(&format!("{hex}, {base64}")).unwrap();
        assert_eq!((keys[0][31], keys[1]), (1, [2; 32]));
    }

    #[test]
    fn a_bad_key_is_refused_without_being_repeated() {
        for bad in ["", "abc", &"g".repeat(64), &"00".repeat(33)] {
            let error = format!("{:#}", parse_list(bad).unwrap_err());
            assert!(error.contains("64 hex digits") && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
    }

    #[test]
    fn the_file_is_made_once_for_its_owner_alone_and_never_for_an_old_store() {
        let directory = tempfile::tempdir().unwrap();
        let (made, origin) = load(directory.path(), None, true).unwrap();
        let path = directory.path().join(FILE);
        assert_eq!(origin, Origin::Made(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(directory.path(), None, false).unwrap(), (made, Origin::File(path.clone())));
        fs::remove_file(path).unwrap();
        assert!(load(directory.path(), None, false).unwrap_err().to_string().contains("restore the file"));
    }
}
