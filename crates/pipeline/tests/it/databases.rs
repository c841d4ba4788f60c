//! Real databases, one of each kind for all tests: starting them takes longer than most tests, and each test keeps to tables of
//! its own.

use std::sync::LazyLock;

use peers::{ClickHouse, Postgres};

static POSTGRES: LazyLock<Option<Postgres>> = LazyLock::new(Postgres::start);
static OLD_CLICKHOUSE: LazyLock<Option<ClickHouse>> = LazyLock::new(ClickHouse::start);
static CURRENT_CLICKHOUSE: LazyLock<Option<ClickHouse>> = LazyLock::new(ClickHouse::start_current);

/// `PostgreSQL`, if this machine has it.
pub(crate) async fn postgres() -> Option<&'static Postgres> {
    tokio::task::spawn_blocking(|| POSTGRES.as_ref()).await.unwrap()
}

/// Whichever `ClickHouse` this machine has, and whether it is the old one.
pub(crate) async fn clickhouses() -> Vec<(&'static ClickHouse, bool)> {
    let servers = || [(&*OLD_CLICKHOUSE, true), (&*CURRENT_CLICKHOUSE, false)];
    let servers = tokio::task::spawn_blocking(servers).await.unwrap();
    servers.into_iter().filter_map(|(server, is_old)| Some((server.as_ref()?, is_old))).collect()
}
