//! Faults that the driver reports whenever it pleases, kept until the next call can return them.

use crate::{Error, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a thread that panicked leaves nothing half-done under these mutexes.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What went wrong since the last call, and what the GPU is being asked to do now.
#[derive(Default)]
pub(super) struct Faults(Mutex<State>);

#[derive(Default)]
struct State {
    /// Label of the work under way, named by faults that arrive during it.
    doing: String,
    /// The first fault since the last check; those that follow from it are dropped.
    first: Option<Error>,
    /// Once the device is gone every call says so.
    lost: Option<Error>,
    closed: bool,
}

impl Faults {
    /// Names the work that begins now.
    pub(super) fn doing(&self, what: &str) {
        let mut state = lock(&self.0);
        state.doing.clear();
        state.doing.push_str(what);
    }

    /// Names the work that begins now, unless an earlier fault forbids it.
    pub(super) fn begin(&self, what: &str) -> Result<()> {
        self.doing(what);
        self.check()
    }

    /// wgpu reports an error.
    pub(super) fn report(&self, error: &wgpu::Error) {
        let mut state = lock(&self.0);
        if state.lost.is_none() && !state.closed && state.first.is_none() {
            state.first = Some(typed(error, &state.doing));
        }
    }

    /// The device went away by itself.
    pub(super) fn lose(&self, message: String) {
        let mut state = lock(&self.0);
        let context = state.doing.clone();
        state.lost.get_or_insert(Error::DeviceLost { context, message });
    }

    /// The device was handed back; not a fault until somebody uses it again.
    pub(super) fn close(&self) {
        lock(&self.0).closed = true;
    }

    /// An error of the work under way.
    pub(super) fn during(&self, message: String) -> Error {
        Error::Gpu { context: lock(&self.0).doing.clone(), message }
    }

    /// The first fault since the last check, once; the loss of the device, always.
    pub(super) fn check(&self) -> Result<()> {
        let mut state = lock(&self.0);
        if let Some(e) = state.first.take() {
            return Err(e);
        }
        if let Some(e) = &state.lost {
            return Err(e.clone());
        }
        if state.closed {
            let context = state.doing.clone();
            return Err(Error::DeviceLost { context, message: "it was closed".into() });
        }
        Ok(())
    }
}

/// wgpu's error as one of ours.
pub(super) fn typed(error: &wgpu::Error, context: &str) -> Error {
    let context = context.to_string();
    let message = error.to_string();
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { context, message },
        _ => Error::Gpu { context, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_and_a_loss_always() {
        let faults = Faults::default();
        faults.begin("conv2d.forward").unwrap();
        faults.lose("driver reset".into());
        for later in ["plan", "readback"] {
            let e = faults.begin(later).unwrap_err();
            assert_eq!(
                e.to_string(),
                "the GPU device was lost during conv2d.forward: driver reset"
            );
        }
        let faults = Faults::default();
        faults.close();
        let e = faults.begin("plan").unwrap_err();
        assert_eq!(e.to_string(), "the GPU device was lost during plan: it was closed");
    }
}
