//! A loop goes on in the child of a fork, on every backend. The test lives
//! beside the backends because fork(2) is unsafe.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ferrevent::{BackendKind, Builder, EventLoop, Stream};

#[test]
fn a_loop_goes_on_in_the_child_that_says_so() {
    for kind in BackendKind::ALL {
        eprintln!("-- on {kind}");
        let (mut events, mut far) = echo_on(*kind, true);
        in_a_child(&mut events, &mut far, EventLoop::after_fork);
        // The parent's own loop is as it was.
        events.poll().unwrap();
        far.write_all(b"again").unwrap();
        events.run_for(Duration::from_millis(50)).unwrap();
        let mut answer = [0; 5];
        far.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"again");
    }
}

/// As a daemon does: the parent made the loop, and has turned it or not; the
/// child says nothing and goes on with it.
#[test]
fn a_loop_goes_on_in_a_daemon() {
    for kind in BackendKind::ALL {
        for turned in [false, true] {
            eprintln!("-- on {kind}, {}", if turned { "turned" } else { "fresh" });
            let (mut events, mut far) = echo_on(*kind, turned);
            in_a_child(&mut events, &mut far, |_| Ok(()));
        }
    }
}

fn echo_on(kind: BackendKind, turned: bool) -> (EventLoop, UnixStream) {
    let mut events = Builder::new().backend(kind).build().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    events
        .context()
        .adopt(OwnedFd::from(near), |stream: &mut Stream<'_>| stream.echo())
        .unwrap();
    if turned {
        events.poll().unwrap();
    }
    far.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (events, far)
}

/// Turns the loop in a child, and only there: so only it can answer.
fn in_a_child(
    events: &mut EventLoop,
    far: &mut UnixStream,
    first: impl FnOnce(&mut EventLoop) -> std::io::Result<()>,
) {
    // SAFETY: the child runs only this test's own code, takes no lock that
    // another thread may hold but the allocator's (which fork(2) in the C
    // library makes safe), and leaves by _exit(2).
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let outcome = first(events).and_then(|()| events.run_for(Duration::from_secs(30)));
        // SAFETY: ends the child without running the parent's exit code.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    let mut answer = [0; 5];
    far.write_all(b"hello").unwrap();
    let outcome = far.read_exact(&mut answer);
    // SAFETY: the child is ours and was not waited for yet.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    outcome.unwrap();
    assert_eq!(&answer, b"hello");
}
