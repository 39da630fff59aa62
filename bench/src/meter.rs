//! A load with the CPU time that it costs the load generator, the server and its database.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Failure;
use crate::findings::Load;
use crate::load::{RequestMaker, Shape, drive};
use crate::process::TicksPerSecond;
use crate::statistics::CpuTimes;

/// Which processes are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// The kernel's unit of CPU time.
    pub ticks: TicksPerSecond,
    /// The servers; a second one only where two share a database.
    pub server_pids: [Option<u32>; 2],
    /// The database's first process; `None` where the database is in the server.
    pub database_pid: Option<u32>,
}

impl Meter {
    /// Puts a load on a server, or on two that share a database.
    pub async fn measure(&self, addresses: &[SocketAddr], shape: Shape, make: RequestMaker) -> Result<Load, Failure> {
        let before = self.cpu()?;
        let measured = drive(addresses, shape, make).await?;
        Ok(measured.load(shape.connections, self.cpu()?.since(before)))
    }

    fn cpu(&self) -> Result<CpuTimes, Failure> {
        let database = self.database_pid.map(|pid| self.ticks.cpu_with_children(pid)).transpose()?;
        let mut server = Duration::ZERO;
        for pid in self.server_pids.into_iter().flatten() {
            server += self.ticks.cpu(pid)?;
        }
        Ok(CpuTimes { generator: self.ticks.cpu(std::process::id())?, server, database })
    }
}
