//! Senders that do not wait for their answer.
//!
//! A web framework drops the handler of a request whose client is gone. Whatever that interrupts must not be half done.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::requests::Requests;

/// Connections that are open at once.
const AT_ONCE: usize = 16;

/// How one sender leaves.
#[derive(Debug, Clone, Copy)]
pub struct HangUp {
    /// It sends no more than this many bytes of its request.
    pub bytes_max: usize,
    /// Before it leaves it lets others run this often.
    pub lingers: usize,
    /// It resets the connection instead of closing it.
    pub reset: bool,
}

/// Sends each request over a connection of its own and leaves without reading anything.
pub fn hang_up(address: SocketAddr, requests: &Arc<Requests>, how: impl Fn(usize) -> HangUp) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut leaving = JoinSet::new();
        for index in 0..requests.len() {
            if leaving.len() == AT_ONCE
                && let Some(left) = leaving.join_next().await
            {
                left??;
            }
            leaving.spawn(send_and_leave(address, requests.clone(), index, how(index)));
        }
        while let Some(left) = leaving.join_next().await {
            left??;
        }
        Ok(())
    })
}

async fn send_and_leave(address: SocketAddr, requests: Arc<Requests>, index: usize, how: HangUp) -> Result<()> {
    let request = requests.bytes(index);
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&request[..request.len().min(how.bytes_max)]).await?;
    for _ in 0..how.lingers {
        tokio::task::yield_now().await;
    }
    if how.reset {
        stream.set_zero_linger()?;
    }
    Ok(())
}
