//! Two threads write the same number without a lock: ThreadSanitizer must say so.

static mut COUNT: u64 = 0;

fn main() {
    let write = || {
        for n in 0..1000 {
            // SAFETY: there is none: this is the fault that must be found.
            unsafe { (&raw mut COUNT).write_volatile(n) };
        }
    };
    let other = std::thread::spawn(write);
    write();
    let _ = other.join();
}
