//! Work over an index range on scoped threads, with a watcher on the calling thread.
//!
//! Threads live only as long as the call, so a fork cannot break them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Mutex};
use std::time::Duration;

/// How often the watcher is called.
const TICK: Duration = Duration::from_millis(100);

/// Threads to use for `requested` (0: as many as the machine has cores).
pub fn threads(requested: usize) -> usize {
    match requested {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    }
}

/// Calls `work(&mut state, i)` once for each `i < n` on `threads` threads, each with its own `state()`.
///
/// `watch(done)` runs on the calling thread about ten times a second; when it returns false no further item is begun.
/// Returns whether all items were done. A panic in `work` is passed on after all threads have ended.
pub fn for_each<S>(
    n: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
    mut watch: impl FnMut(usize) -> bool,
) -> bool {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (alive, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, n.max(1)) {
            let alive = alive.clone();
            let (next, done, stop, state, work) = (&next, &done, &stop, &state, &work);
            scope.spawn(move || {
                let _alive = alive; // dropped when the thread ends, by return or by panic
                let mut own = state();
                while !stop.load(Ordering::Relaxed) {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        break;
                    }
                    work(&mut own, i);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        drop(alive);
        // Nothing is ever sent: the wait ends with a timeout, or when the last thread has dropped its sender.
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
            if !stop.load(Ordering::Relaxed) && !watch(done.load(Ordering::Relaxed)) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    done.load(Ordering::Relaxed) == n
}

/// Runs `f(&stop)` on a thread of its own; when `watch` (called as by `for_each`) returns false, `stop` is set, which `f`
/// is to look at. A panic in `f` is passed on.
pub fn watched<R: Send>(
    f: impl FnOnce(&AtomicBool) -> R + Send,
    mut watch: impl FnMut() -> bool,
) -> R {
    let stop = AtomicBool::new(false);
    let (alive, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let stop = &stop;
        let worker = scope.spawn(move || {
            let _alive = alive; // dropped when the thread ends, by return or by panic
            f(stop)
        });
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
            if !stop.load(Ordering::Relaxed) && !watch() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// As `for_each`, where item `i` fills the `i`-th `length` elements of `out`.
pub fn fill_each<T: Send, S>(
    out: &mut [T],
    length: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &mut [T]) + Sync,
    watch: impl FnMut(usize) -> bool,
) -> bool {
    let slots: Vec<_> = out.chunks_exact_mut(length).map(Mutex::new).collect();
    for_each(
        slots.len(),
        threads,
        state,
        |own, i| {
            work(
                own,
                i,
                &mut slots[i].lock().expect("each slot is used once"),
            )
        },
        watch,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_done_once() {
        for threads in [1, 2, 7] {
            let seen = Mutex::new(vec![0; 1000]);
            let all = for_each(
                1000,
                threads,
                || (),
                |(), i| seen.lock().unwrap()[i] += 1,
                |_| true,
            );
            assert!(all);
            assert!(seen.into_inner().unwrap().iter().all(|&n| n == 1));
        }
        assert!(for_each(0, 4, || (), |(), _| unreachable!(), |_| true));
    }

    #[test]
    fn the_watcher_can_stop_it() {
        let count = AtomicUsize::new(0);
        let all = for_each(
            1_000_000,
            2,
            || (),
            |(), _| {
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            },
            |_| false,
        );
        assert!(!all);
        assert!(count.into_inner() < 1_000_000);
    }

    #[test]
    fn what_is_watched_gives_its_result_or_is_told_to_stop() {
        assert_eq!(watched(|_| 7, || true), 7);
        let turns = watched(
            |stop| {
                let mut turns = 0;
                while !stop.load(Ordering::Relaxed) {
                    turns += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                turns
            },
            || false,
        );
        assert!(turns > 0);
    }
}
