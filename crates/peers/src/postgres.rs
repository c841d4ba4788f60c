//! PostgreSQL as Debian ships it, with a password that must be right.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::certificate::Certificate;
use crate::needs::{Needs, Package, find_program};
use crate::process::{Room, Server, free_port};

pub(crate) static NEEDS: Needs =
    Needs { name: "postgres", packages: &[Package::Debian { package: "postgresql", program: "initdb" }] };

/// The user of the machine that the server runs as where the tests run as root, as it refuses to be root.
const SYSTEM_USER: &str = "postgres";

/// A server with one user and one database.
pub struct Postgres {
    port: u16,
    authority_pem: String,
    _server: Server,
}

impl Postgres {
    pub const USER: &str = "afterclick";
    pub const PASSWORD: &str = "a pass+word&more";
    /// It exists and is empty.
    pub const DATABASE: &str = "events";

    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, Self::try_start)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that a client must trust to speak TLS with it, as PEM; without TLS it answers too.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Everything in one line, as most clients take it.
    pub fn url(&self) -> String {
        let password = crate::http::percent_encode(Self::PASSWORD);
        format!("postgres://{}:{password}@127.0.0.1:{}/{}", Self::USER, self.port, Self::DATABASE)
    }

    /// Runs statements as the user, through `psql`; rows come back as lines, columns parted by `|`.
    pub fn query(&self, sql: &str) -> Result<String> {
        psql(self.port, Self::DATABASE, sql)
    }

    fn try_start() -> Result<Self> {
        let room = Room::new("postgres")?;
        let port = free_port()?;
        let certificate = Certificate::write(room.path())?;
        // The server refuses a key that others may read.
        std::fs::set_permissions(&certificate.key, Permissions::from_mode(0o600))?;
        let user = unprivileged(&[room.path(), &certificate.key])?;
        initialise(&room, user.as_deref())?;

        let mut command = room.command(&first_program("postgres", user.as_deref()), "QUIT");
        command.args(after_first("postgres", user.as_deref()));
        command.arg("-D").arg(room.path().join("data")).arg("-k").arg(room.path());
        command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50"]);
        command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", certificate.chain.display())]);
        command.args(["-c", &format!("ssl_key_file={}", certificate.key.display())]);
        // Tests read their own writes; none of them pulls the plug.
        command.args(["-c", "fsync=off", "-c", "shared_buffers=32MB"]);
        let mut server = room.launch(command)?;
        server.wait_for(|| psql(port, "postgres", "SELECT 1").ok())?;
        psql(port, "postgres", &format!("CREATE DATABASE {}", Self::DATABASE))?;
        Ok(Self { port, authority_pem: certificate.authority_pem, _server: server })
    }
}

/// Makes the cluster: one user, passwords checked with SCRAM on every connection.
fn initialise(room: &Room, user: Option<&str>) -> Result<()> {
    let password_file = room.path().join("password");
    std::fs::write(&password_file, Postgres::PASSWORD)?;
    let made = Command::new(first_program("initdb", user))
        .args(after_first("initdb", user))
        .arg("-D")
        .arg(room.path().join("data"))
        .arg(format!("--pwfile={}", password_file.display()))
        .args(["-U", Postgres::USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        .current_dir(room.path())
        .output()?;
    if !made.status.success() {
        bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}

/// The user to become, if we are root; the paths are then theirs.
fn unprivileged(paths: &[&Path]) -> Result<Option<String>> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    let entry =
        passwd.lines().find(|line| line.split(':').next() == Some(SYSTEM_USER)).context("no user `postgres`")?;
    let mut ids = entry.split(':').skip(2).map(str::parse);
    let (uid, gid) = (ids.next().context("no uid")??, ids.next().context("no gid")??);
    paths.iter().try_for_each(|path| chown(path, Some(uid), Some(gid)))?;
    Ok(Some(SYSTEM_USER.to_owned()))
}

/// What is started: the program itself, or the one that becomes the user first.
fn first_program(program: &str, user: Option<&str>) -> PathBuf {
    find_program(if user.is_some() { "setpriv" } else { program }).unwrap_or_else(|| program.into())
}

fn after_first(program: &str, user: Option<&str>) -> Vec<String> {
    let Some(user) = user else { return Vec::new() };
    let program = find_program(program).expect("looked for before");
    vec![
        format!("--reuid={user}"),
        format!("--regid={user}"),
        "--init-groups".to_owned(),
        program.display().to_string(),
    ]
}

fn psql(port: u16, database: &str, sql: &str) -> Result<String> {
    let output = Command::new(find_program("psql").context("no `psql`; install `postgresql-client`")?)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", Postgres::USER, "-d", database])
        .args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .env("PGPASSWORD", Postgres::PASSWORD)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}
