//! The threads that batches are gathered and matrices multiplied on.
//!
//! They are kept, since starting them takes longer than a batch. A forked child inherits the pool but none of its
//! threads and would wait for them for ever, so it makes a pool of its own.

use std::sync::atomic::{AtomicPtr, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

struct Held {
    /// The process whose threads these are.
    process: u32,
    pool: ThreadPool,
}

/// Never freed: threads may use it at any time, and a child must not drop a pool whose threads it does not have.
/// No lock guards it, since a fork can copy a lock in the hands of a thread that the child does not have.
static HELD: AtomicPtr<Held> = AtomicPtr::new(std::ptr::null_mut());

/// The pool of this process, one thread a core; None where no threads can be started (a limit on them).
pub fn pool() -> Option<&'static ThreadPool> {
    let process = std::process::id();
    let seen = HELD.load(Ordering::Acquire);
    if let Some(held) = held(seen) {
        if held.process == process {
            return Some(&held.pool);
        }
    }
    let pool = ThreadPoolBuilder::new()
        .thread_name(|i| format!("gantools-{i}"))
        .build()
        .ok()?;
    let made = Box::into_raw(Box::new(Held { process, pool }));
    match HELD.compare_exchange(seen, made, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => held(made).map(|held| &held.pool),
        Err(other) => {
            // SAFETY: `made` was never shared. Another thread of this process was first: after a fork only the child's
            // own threads can have changed what it holds.
            drop(unsafe { Box::from_raw(made) });
            held(other).map(|held| &held.pool)
        }
    }
}

fn held(pointer: *mut Held) -> Option<&'static Held> {
    // SAFETY: null, or made by `Box::into_raw` in `pool`, and never freed once it is shared.
    unsafe { pointer.as_ref() }
}

/// Runs `f` with its parallel parts on the pool of this process, or on the calling thread alone where there is none.
pub fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if let Some(pool) = pool() {
        return pool.install(f);
    }
    // Not rayon's own global pool: that one would have to be started too, and does not survive a fork.
    let alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    match alone.build() {
        Ok(pool) => {
            let result = pool.install(f);
            // The thread stays its worker for good.
            std::mem::forget(pool);
            result
        }
        // It belongs to a pool already, which is then the one that `f` works on.
        Err(_) => f(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use rayon::prelude::*;

    use super::*;

    fn sum() -> u64 {
        in_pool(|| (0..10_000_u64).into_par_iter().sum())
    }

    #[test]
    fn the_pool_is_made_once() {
        let pools: Vec<usize> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| std::ptr::from_ref(pool().unwrap()).addr()))
                .collect();
            made.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(pools.iter().all(|p| *p == pools[0]));
    }

    #[test]
    fn a_child_works_even_when_it_is_forked_while_the_pool_is_in_use() {
        let expected = sum();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    sum();
                }
            });
            for _ in 0..20 {
                // SAFETY: the child uses memory and threads, which glibc makes usable after a fork, and ends by _exit.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    let right = sum() == expected && sum() == expected;
                    // SAFETY: it ends the child at once.
                    unsafe { libc::_exit(i32::from(!right)) };
                }
                let (mut status, begun) = (0, Instant::now());
                // SAFETY: `child` is a child of this process that nothing else waits for.
                while unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == 0 {
                    if begun.elapsed() > Duration::from_secs(60) {
                        // SAFETY: as above.
                        unsafe { libc::kill(child, libc::SIGKILL) };
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                assert_eq!(status, 0, "the child hung or was wrong");
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
