//! The threads that matrix products run on.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;

static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `f` with its parallel parts on this crate's own pool.
///
/// A forked child inherits the pool but none of its threads and would wait for them forever, so the pool is made again
/// whenever the process is another one than it was made in. Where no pool can be made (a limit on threads), `f` runs
/// on rayon's global one.
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(f),
        None => f(),
    }
}

fn pool() -> Option<Arc<ThreadPool>> {
    let mut held = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = held.as_ref() {
        if *owner == process {
            return Some(pool.clone());
        }
    }
    let made = rayon::ThreadPoolBuilder::new()
        .thread_name(|i| format!("gantools-stats-{i}"))
        .build()
        .ok()?;
    let made = Arc::new(made);
    // The inherited pool is leaked: dropping it would signal threads that do not exist here.
    if let Some(inherited) = held.replace((process, made.clone())) {
        std::mem::forget(inherited);
    }
    Some(made)
}
