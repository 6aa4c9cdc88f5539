//! Loses the only pointer to some memory: LeakSanitizer and valgrind must say so.

fn main() {
    lose();
    println!("{}", overwritten(100));
}

#[inline(never)]
fn lose() {
    let lost = std::hint::black_box(Box::new([7_u8; 1000]));
    std::mem::forget(lost);
}

/// What `lose` has left on the stack does not count as a pointer.
#[inline(never)]
fn overwritten(n: u64) -> u64 {
    let room = std::hint::black_box([n; 1000]);
    if n == 0 { room[0] } else { overwritten(n - 1) + room[999] }
}
