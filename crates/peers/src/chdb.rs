//! ClickHouse of today: the engine that Python's `chdb` carries, behind a small script that speaks the HTTP interface.

use anyhow::Result;

use crate::clickhouse::ClickHouse;
use crate::needs::{Needs, Package, python, script};
use crate::process::Room;

pub(crate) static NEEDS: Needs = Needs { name: "chdb", packages: &[Package::Python("chdb-core==26.9.0")] };

impl ClickHouse {
    /// The same user, database and interface as the old server's, with the types, settings and codes of the current one.
    pub fn start_current() -> Option<Self> {
        crate::start(&NEEDS, try_start)
    }
}

fn try_start() -> Result<ClickHouse> {
    let room = Room::new("chdb")?;
    let mut command = room.command(&python(), "KILL");
    command.arg(script("chdb_http.py")).arg(room.path().join("data")).args([ClickHouse::USER, ClickHouse::PASSWORD]);
    let mut server = room.launch(command)?;
    let port = server.announced_port()?;
    ClickHouse::ready(port, server)
}
