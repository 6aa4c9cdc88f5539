//! Functions of libevent that are not written yet: every program loads, and
//! one that calls such a function is told which.

include!(concat!(env!("OUT_DIR"), "/missing.rs"));

fn missing(name: &str) -> ! {
    eprintln!(
        "ferrevent: this program has called {name}, which this library does not have yet; \
         run it on the system's own libevent"
    );
    std::process::abort();
}
