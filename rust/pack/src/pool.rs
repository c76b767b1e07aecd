//! The threads that batches are gathered on.

use std::sync::{Arc, Mutex, TryLockError};

use rayon::ThreadPool;

static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// The pool of this process, or None where none can be had; then the caller does the work alone.
///
/// A batch takes less time than starting threads does, so they are kept. A forked child inherits the pool but none of
/// its threads, so it makes its own. It may also inherit the lock in the hands of a thread that it does not have, so
/// the lock is tried, never waited for.
pub(crate) fn pool() -> Option<Arc<ThreadPool>> {
    let mut held = match POOL.try_lock() {
        Ok(held) => held,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let process = std::process::id();
    if let Some((owner, pool)) = held.as_ref() {
        if *owner == process {
            return Some(pool.clone());
        }
    }
    let made = rayon::ThreadPoolBuilder::new()
        .thread_name(|i| format!("gantools-read-{i}"))
        .build()
        .ok()?;
    let made = Arc::new(made);
    // The inherited pool is leaked: dropping it would signal threads that do not exist here.
    if let Some(inherited) = held.replace((process, made.clone())) {
        std::mem::forget(inherited);
    }
    Some(made)
}
