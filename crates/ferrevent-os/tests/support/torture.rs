//! Has every system call of something fail once, and looks at what the process
//! holds after that.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferrevent::sys::{Call, FaultPlan};

use crate::common;
use crate::common::matrix::{Column, Replay};
use crate::common::rig::struck;
use crate::heap;
use crate::watchdog::Watchdog;

/// Calls of a scenario that fail in a reduced run.
const SHARE: u64 = 9;
/// One run takes no longer unless it hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// Which calls fail.
pub(crate) enum Wanted {
    /// Every call, with every error that it may have.
    All,
    /// Some calls, evenly spread, with one error each.
    Share,
    /// This call, with this one of its errors.
    One(u64, usize),
}

impl Wanted {
    pub(crate) fn from_environment() -> Self {
        let Ok(text) = std::env::var("FERREVENT_TORTURE") else {
            return Wanted::Share;
        };
        if text == "all" {
            return Wanted::All;
        }
        let parts = text.split_once('.');
        let numbers = parts.and_then(|(n, choice)| Some((n.parse().ok()?, choice.parse().ok()?)));
        let (n, choice) = numbers.expect("FERREVENT_TORTURE is `all` or, say, 17.0");
        Wanted::One(n, choice)
    }
}

/// With every call to fail in every column, each column is a process of its
/// own beside the others: most of the time they wait. `false` if it is not so,
/// and the work is the caller's.
///
/// # Panics
/// When one of them fails; it has said why.
pub(crate) fn shared_out(test: &str) -> bool {
    let whole = matches!(Wanted::from_environment(), Wanted::All);
    if !whole || std::env::var_os(ONLY).is_some() {
        return false;
    }
    let begin = |column: Column| {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ONLY, format!(" on a {column}"))
            .spawn();
        (column.to_string(), child.unwrap())
    };
    let children: Vec<(String, Child)> = columns().map(begin).collect();
    let ended = children
        .into_iter()
        .map(|(column, mut child)| (column, child.wait().unwrap()));
    let failed: Vec<_> = ended.filter(|(_, status)| !status.success()).collect();
    assert!(failed.is_empty(), "they failed: {failed:?}");
    true
}

/// What is tortured: on every backend, a loop and a pool.
pub(crate) fn columns() -> impl Iterator<Item = Column> {
    common::kinds().flat_map(|kind| {
        [None, Some(2)].map(|workers| Column {
            kind,
            workers,
            storm: None,
        })
    })
}

/// Names the places that are wanted, by a part of their name.
const ONLY: &str = "FERREVENT_ONLY";

/// What a whole run comes to.
pub(crate) struct Sum {
    wanted: Wanted,
    only: String,
    began: Instant,
    watchdog: Watchdog,
    runs: usize,
    /// How often each call was struck, and how often an error told of it.
    struck: BTreeMap<String, (usize, usize)>,
}

impl Sum {
    pub(crate) fn new() -> Self {
        Self {
            wanted: Wanted::from_environment(),
            only: std::env::var(ONLY).unwrap_or_default(),
            began: Instant::now(),
            watchdog: Watchdog::new(),
            runs: 0,
            struck: BTreeMap::new(),
        }
    }

    /// Runs something again and again, each time with another call that fails.
    /// It answers whether an error told of that.
    pub(crate) fn torture(
        &mut self,
        place: &str,
        seed: u64,
        mut work: impl FnMut(&Arc<FaultPlan>) -> bool,
    ) {
        if !place.contains(&self.only) {
            return;
        }
        // Once to warm up, and to count.
        let calls = self.run(place, None, &mut work);
        match self.wanted {
            Wanted::One(n, choice) => {
                self.run(place, Some((n, choice)), &mut work);
            }
            Wanted::Share => {
                let step = calls.div_ceil(SHARE).max(1);
                let mut n = seed % step;
                while n < calls {
                    let choice = ((seed / step + n) % 8) as usize;
                    self.run(place, Some((n, choice)), &mut work);
                    n += step;
                }
            }
            Wanted::All => {
                for n in 0..calls {
                    let mut choice = 0;
                    loop {
                        let errors = self.run(place, Some((n, choice)), &mut work);
                        choice += 1;
                        if choice as u64 >= errors {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Runs it with one call that fails. Returns how many errors that call may
    /// have; with none to fail, how many calls there are.
    fn run(
        &mut self,
        place: &str,
        fails: Option<(u64, usize)>,
        work: &mut impl FnMut(&Arc<FaultPlan>) -> bool,
    ) -> u64 {
        let again = match fails {
            None => "FERREVENT_TORTURE=0.0".to_owned(),
            Some((n, choice)) => format!("FERREVENT_TORTURE={n}.{choice}"),
        };
        let replay = Replay::new(place.to_owned(), format!("{ONLY}='{place}' {again}"));
        self.watchdog.watch(LONGEST, format!("{place}, {again}"));
        let before = Held::settled();
        let plan = match fails {
            None => FaultPlan::new(1, Vec::new()),
            Some((n, choice)) => FaultPlan::failing(n, choice),
        };
        let plan = Arc::new(plan);
        let told = work(&plan);
        let (last, calls) = (plan.last(), plan.calls());
        drop(plan);
        if fails.is_some() {
            before.is_back(|| last.map_or_else(String::new, |(call, fault)| struck(call, fault)));
        }
        drop(replay);
        self.runs += 1;
        match (fails, last) {
            (None, _) => calls,
            (_, None) => 0,
            (_, Some((call, _))) => {
                self.note(call, told);
                call.errnos().len() as u64
            }
        }
    }

    fn note(&mut self, call: Call, told: bool) {
        let one = self.struck.entry(format!("{call:?}")).or_default();
        one.0 += 1;
        one.1 += usize::from(told);
    }

    /// Says what came of it.
    pub(crate) fn close(self) {
        let each = self.struck.iter();
        let each = each.map(|(call, (all, told))| format!("{call} {all} (told {told})"));
        say(&format!(
            "torture{}: {} runs in {:.1} s, {} calls struck: {}",
            self.only,
            self.runs,
            self.began.elapsed().as_secs_f64(),
            self.struck.values().map(|one| one.0).sum::<usize>(),
            each.collect::<Vec<_>>().join(", "),
        ));
        assert!(self.runs > 0, "no scenario has {ONLY} in its name");
    }
}

/// What the process holds.
struct Held {
    heap: usize,
    descriptors: Vec<String>,
}

impl Held {
    fn now() -> Self {
        ferrevent::buffer::trim_pool();
        let heap = heap::in_use();
        let mut descriptors: Vec<String> = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let target = std::fs::read_link(&path).ok()?;
                // The directory that is being read is among them.
                let own = target.starts_with("/proc") && target.ends_with("fd");
                (!own).then(|| format!("{} {}", path.display(), target.display()))
            })
            .collect();
        descriptors.sort();
        Self { heap, descriptors }
    }

    /// What is held once the threads of earlier runs have ended, too.
    fn settled() -> Self {
        let mut last = (0, 0);
        loop {
            let now = Self::now();
            let sums = (now.heap, now.descriptors.len());
            drop(now);
            if sums == last {
                return Self::now();
            }
            last = sums;
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The memory that the list itself takes: it came after the heap was
    /// counted.
    fn list(&self) -> usize {
        self.descriptors.iter().map(String::capacity).sum::<usize>()
            + self.descriptors.capacity() * size_of::<String>()
    }

    /// Everything was given back: at once, but for threads that end later
    /// than whoever waited for them learnt of it.
    fn is_back(&self, struck: impl Fn() -> String) {
        let list = self.list();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let now = Self::now();
            let grown = now.heap as i64 - (self.heap + list) as i64;
            let left: Vec<&String> = now
                .descriptors
                .iter()
                .filter(|one| !self.descriptors.contains(one))
                .collect();
            if left.is_empty() && grown <= 0 {
                return;
            }
            assert!(
                Instant::now() < end,
                "left: {left:?}, {grown} bytes of heap; {}",
                struck()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Says something whatever the harness captures.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
