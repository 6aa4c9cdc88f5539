//! Reads memory after it was freed: AddressSanitizer must say so.

fn main() {
    let gone = Box::new(7);
    let pointer: *const i32 = &*gone;
    drop(gone);
    // SAFETY: there is none: this is the fault that must be found.
    println!("{}", unsafe { std::hint::black_box(pointer).read_volatile() });
}
