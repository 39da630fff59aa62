//! The threads that talk to the server, and how others wait for them.

use std::sync::mpsc;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::error::StoreError;

/// Threads that move bytes between the server and whoever asks.
const THREADS: usize = 2;

/// A runtime of the engine's own: connections live on it whatever the caller runs on, and callers may block.
#[derive(Debug)]
pub(super) struct EngineRuntime {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl EngineRuntime {
    pub(super) fn start() -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("postgres").enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Engine(error.to_string()))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs a future here and blocks the calling thread until it is done, also where that thread belongs to another
    /// runtime.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // A caller that is gone needs no answer.
            let _ = sender.send(future.await);
        });
        receiver.recv().unwrap_or_else(|_| Err(StoreError::Unreachable("the engine has stopped".to_owned())))
    }

    /// Runs a future here; the caller waits without blocking.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.handle.spawn(future).await;
        done.unwrap_or_else(|_| Err(StoreError::Unreachable("the engine has stopped".to_owned())))
    }

    /// Runs a future here that nobody waits for.
    pub(super) fn detach(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }
}

impl Drop for EngineRuntime {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which a thread of another runtime may not do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Drives one connection while somebody waits for it, on the thread that waits.
#[derive(Debug)]
pub(super) struct Driver(Option<Runtime>);

impl Driver {
    pub(super) fn new() -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|error| StoreError::Engine(error.to_string()))
    }

    /// Waits for a future, also where the thread belongs to another runtime.
    pub(super) fn wait<T: Send, F: Future<Output = Result<T, StoreError>>>(
        &self,
        future: impl FnOnce() -> F + Send,
    ) -> Result<T, StoreError> {
        let runtime = self.0.as_ref().ok_or_else(|| StoreError::Unreachable("the connection is closed".to_owned()))?;
        let wait = || runtime.block_on(future());
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Err(_) => wait(),
            Ok(RuntimeFlavor::CurrentThread) => {
                std::thread::scope(|scope| scope.spawn(wait).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            }
            Ok(_) => tokio::task::block_in_place(wait),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which a thread of another runtime may not do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
