//! ClickHouse 18.16 as Debian ships it: the oldest server that the connector must please, over its real HTTP interface.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use crate::http::{self, percent_encode};
use crate::needs::{Needs, Package, find_program};
use crate::process::{Room, Server, free_port};

pub(crate) static NEEDS: Needs = Needs {
    name: "clickhouse",
    packages: &[Package::Debian { package: "clickhouse-server", program: "clickhouse-server" }],
};

/// A server with one user, who needs a password, and `confined`, who has the same and sees no database but `default`.
pub struct ClickHouse {
    port: u16,
    native_port: Option<u16>,
    _server: Server,
}

impl ClickHouse {
    pub const USER: &str = "afterclick";
    pub const PASSWORD: &str = "a pass+word&more";
    /// It exists and is empty; `default` exists too.
    pub const DATABASE: &str = "events";

    pub fn start() -> Option<Self> {
        crate::start(&NEEDS, Self::try_start)
    }

    /// The HTTP interface: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of another protocol, as if it were the HTTP interface; the engine behind a bridge has none.
    pub fn native_url(&self) -> Option<String> {
        self.native_port.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Runs a statement in [`Self::DATABASE`] as the user; an error is the server's own text (`Code: N, …`).
    pub fn query(&self, sql: &str) -> Result<String> {
        let target = format!("/?database={}", percent_encode(Self::DATABASE));
        statement(self.port, &target, sql.as_bytes())
    }

    /// Sends rows as the body and the statement beside the settings in the query string, as clients that insert do.
    pub fn insert(&self, sql: &str, settings: &[(&str, &str)], rows: &[u8]) -> Result<String> {
        let mut target = format!("/?database={}&query={}", percent_encode(Self::DATABASE), percent_encode(sql));
        for (name, value) in settings {
            write!(target, "&{name}={}", percent_encode(value))?;
        }
        statement(self.port, &target, rows)
    }

    /// A server that has been launched, once it answers.
    pub(crate) fn ready(port: u16, mut server: Server) -> Result<Self> {
        server.wait_for(|| statement(port, "/", b"SELECT 1").ok())?;
        statement(port, "/", format!("CREATE DATABASE {}", Self::DATABASE).as_bytes())?;
        Ok(Self { port, native_port: None, _server: server })
    }

    fn try_start() -> Result<Self> {
        let room = Room::new("clickhouse")?;
        let (port, native_port, replica_port) = (free_port()?, free_port()?, free_port()?);
        let home = room.path().display().to_string();
        std::fs::write(room.path().join("config.xml"), config(&home, port, native_port, replica_port))?;
        std::fs::write(room.path().join("users.xml"), users())?;

        let program = find_program("clickhouse-server").expect("looked for before");
        let mut command = room.command(&program, "KILL");
        command.arg("--config-file=config.xml");
        Ok(Self { native_port: Some(native_port), ..Self::ready(port, room.launch(command)?)? })
    }
}

fn statement(port: u16, target: &str, body: &[u8]) -> Result<String> {
    let login = [("X-ClickHouse-User", ClickHouse::USER), ("X-ClickHouse-Key", ClickHouse::PASSWORD)];
    let answer = http::request("POST", port, target, &login, body)?;
    if answer.status != 200 {
        bail!("{}", answer.text());
    }
    Ok(answer.text())
}

fn config(home: &str, port: u16, native_port: u16, replica_port: u16) -> String {
    format!(
        "<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{port}</http_port>
  <tcp_port>{native_port}</tcp_port>
  <interserver_http_port>{replica_port}</interserver_http_port>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <path>{home}/data/</path>
  <tmp_path>{home}/tmp/</tmp_path>
  <user_files_path>{home}/files/</user_files_path>
  <format_schema_path>{home}/schemas/</format_schema_path>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <max_concurrent_queries>64</max_concurrent_queries>
  <umask>022</umask>
</yandex>
"
    )
}

fn users() -> String {
    let (user, password) = (ClickHouse::USER, ClickHouse::PASSWORD.replace('&', "&amp;"));
    format!(
        "<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
  <quotas><default/></quotas>
  <users><{user}>
    <password>{password}</password>
    <networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
  </{user}><confined>
    <password>{password}</password>
    <networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
    <allow_databases><database>default</database></allow_databases>
  </confined></users>
</yandex>
"
    )
}
