//! Memory and descriptors, watched from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::procfs;

/// One look at every program under test, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Since the load began.
    pub(crate) at: Duration,
    pub(crate) subjects: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: usize,
}

/// Programs that listen already may still have a signal to register.
const BEGUN: Duration = Duration::from_millis(500);
/// How often to look under load.
const PERIOD: Duration = Duration::from_millis(500);
/// Connections that are over are given so long to be seen gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// With nothing to do for a second the engine gives memory back; until then
/// there is nothing to compare.
const SETTLED: Duration = Duration::from_millis(2500);
/// So often it is looked at from then on, and the least counts: on a busy
/// machine a program comes to its giving back late.
const LOOKS: u32 = 4;

pub(crate) fn look(pids: &[u32], since: Instant) -> Result<Look, String> {
    let subjects = pids
        .iter()
        .map(|pid| {
            Ok(Seen {
                memory_kib: procfs::anonymous_kib(*pid)?,
                descriptors: procfs::descriptors(*pid)?,
            })
        })
        .collect::<Result<_, String>>()?;
    Ok(Look {
        at: since.elapsed(),
        subjects,
    })
}

/// Looks before the load begins, once the programs have settled.
pub(crate) fn look_first(pids: &[u32], since: Instant) -> Result<Look, String> {
    thread::sleep(BEGUN);
    look(pids, since)
}

/// Looks while no connection is open: waits until the descriptors are those of
/// the beginning, and the memory has settled.
pub(crate) fn look_at_rest(pids: &[u32], base: &Look, since: Instant) -> Result<Look, String> {
    let begin = Instant::now();
    loop {
        let now = look(pids, since)?;
        let gone = |(now, base): (&Seen, &Seen)| now.descriptors <= base.descriptors;
        if now.subjects.iter().zip(&base.subjects).all(gone) || begin.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(SETTLED);
    let mut least = look(pids, since)?;
    for _ in 0..LOOKS {
        thread::sleep(PERIOD);
        let now = look(pids, since)?;
        for (least, now) in least.subjects.iter_mut().zip(now.subjects) {
            least.descriptors = now.descriptors;
            least.memory_kib = least.memory_kib.min(now.memory_kib);
        }
    }
    Ok(least)
}

/// Looks until it is told to stop.
pub(crate) fn keep_looking(pids: &[u32], since: Instant, stop: &AtomicBool) -> Vec<Look> {
    let mut looks = Vec::new();
    while !stop.load(Ordering::Acquire) {
        // Only a program that has ended has nothing to show, which is found elsewhere.
        looks.extend(look(pids, since));
        thread::sleep(PERIOD);
    }
    looks
}
