//! A loop goes on in the child of a fork, on every backend. The test lives

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
//! beside the backends because fork(2) is unsafe.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ferrevent::{BackendKind, Builder, Stream};

#[test]
fn a_loop_goes_on_in_the_child() {
    for kind in BackendKind::ALL {
        eprintln!("-- on {kind}");
        let mut events = Builder::new().backend(*kind).build().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = OwnedFd::from(near);
        events
            .context()
            .adopt(near, |stream: &mut Stream<'_>| {
                stream.echo();
            })
            .unwrap();
        events.poll().unwrap();
        // SAFETY: the child runs only this test's own code, takes no lock that
        // another thread may hold but the allocator's (which fork(2) in the C
        // library makes safe), and leaves by _exit(2).
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let outcome = events
                .after_fork()
                .and_then(|()| events.run_for(Duration::from_secs(30)));
            // SAFETY: ends the child without running the parent's exit code.
            unsafe { libc::_exit(i32::from(outcome.is_err())) };
        }
        // Only the child turns its loop, so only it can answer.
        far.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
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
        // The parent's own loop is as it was.
        events.poll().unwrap();
        far.write_all(b"again").unwrap();
        events.run_for(Duration::from_millis(50)).unwrap();
        far.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"again");
    }
}
