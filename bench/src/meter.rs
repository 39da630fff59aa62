//! A load with the CPU time that it costs the server and its database.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Failure;
use crate::findings::Load;
use crate::load::{RequestMaker, Shape, drive};
use crate::process::TicksPerSecond;

/// Which processes are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// The kernel's unit of CPU time.
    pub ticks: TicksPerSecond,
    /// The server.
    pub server_pid: u32,
    /// The database's first process; `None` where the database is in the server.
    pub database_pid: Option<u32>,
}

impl Meter {
    /// Puts a load on a server.
    pub async fn measure(&self, address: SocketAddr, shape: Shape, make: RequestMaker) -> Result<Load, Failure> {
        let (server_before, database_before) = self.cpu()?;
        let measured = drive(address, shape, make).await?;
        let (server_after, database_after) = self.cpu()?;
        let database = database_after.zip(database_before).map(|(after, before)| after.saturating_sub(before));
        Ok(measured.load(shape.connections, server_after.saturating_sub(server_before), database))
    }

    fn cpu(&self) -> Result<(Duration, Option<Duration>), Failure> {
        let database = self.database_pid.map(|pid| self.ticks.cpu_with_children(pid)).transpose()?;
        Ok((self.ticks.cpu(self.server_pid)?, database))
    }
}
