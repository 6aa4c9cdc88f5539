//! Listeners: allowances, and sockets that somebody else opened.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferrevent::{Address, Allowance, CloseReason, Handle, Handler, Stream};

use crate::common::{Outcome, Recorder, Rig, Shared, Works};

const CAP: usize = 3;
const CLIENTS: usize = 8;

#[derive(Clone)]
struct Counted {
    live: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    allowance: Allowance,
}

impl Handler for Counted {
    fn opened(&mut self, _: &mut Stream<'_>) {
        let live = self.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(live, Ordering::SeqCst);
    }

    fn readable(&mut self, stream: &mut Stream<'_>) {
        stream.echo();
    }

    fn closed(&mut self, stream: &mut Stream<'_>, _: CloseReason) {
        self.live.fetch_sub(1, Ordering::SeqCst);
        stream.context().give_back(&self.allowance, 1);
    }
}

fn served(clients: &[(Handle, Shared)]) -> usize {
    let has_bytes = |(_, record): &&(Handle, Shared)| !record.see().bytes.is_empty();
    clients.iter().filter(has_bytes).count()
}

pub(crate) fn listeners_share_an_allowance_and_the_others_wait(rig: &mut Rig) -> Outcome {
    let server = Counted {
        live: Arc::default(),
        most: Arc::default(),
        allowance: Allowance::new(CAP as u32),
    };
    let mut addresses: Vec<Address> = Vec::new();
    for _ in 0..2 {
        // Sockets that listen already, as a service manager passes them.
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        addresses.push(socket.local_addr().unwrap().into());
        let (handler, watcher) = (server.clone(), rig.watcher());
        let made = rig.context().listen_on(socket.into(), None, move || {
            Box::new(watcher.watch("accepted", handler.clone()))
        });
        let listener = rig.met("listen on a socket", made)?;
        assert!(rig.context().limit(listener, &server.allowance));
    }
    let mut clients: Vec<(Handle, Shared)> = Vec::new();
    for index in 0..CLIENTS {
        let (recorder, record) = Recorder::new();
        let handle = rig.connect(addresses[index % addresses.len()].clone(), recorder)?;
        let _ = handle.write(&b"x"[..]);
        clients.push((handle, record));
    }
    rig.until("the first ones", || served(&clients) >= CAP)?;
    rig.run_for(Duration::from_millis(5))?;
    assert!(served(&clients) <= CAP);
    let mut left: Vec<_> = clients.iter().collect();
    while !left.is_empty() {
        left.retain(|(handle, record)| {
            let done = !record.see().bytes.is_empty();
            if done {
                handle.finish();
            }
            !done
        });
        let finished = CLIENTS - left.len();
        rig.until("the next one", || {
            left.is_empty() || served(&clients) > finished
        })?;
    }
    rig.until("the end", || server.live.load(Ordering::SeqCst) == 0)?;
    let most = server.most.load(Ordering::SeqCst);
    assert!(most <= CAP, "{most} at once");
    rig.until("the allowance", || server.allowance.left() == CAP as u32)
}

/// They connect and reset, with bytes on the way or without, before the
/// listener has looked; and one of ours thinks better of it.
pub(crate) fn peers_that_leave_before_they_are_taken_harm_nobody(rig: &mut Rig) -> Outcome {
    let to = rig.listen(&super::any(), || |stream: &mut Stream<'_>| stream.echo())?;
    for number in 0..10 {
        let mut peer = super::tcp(&to);
        if number % 2 == 0 {
            let _ = peer.write_all(b"never mind");
        }
        super::reset(peer);
    }
    let (recorder, given_up) = Recorder::new();
    rig.connect(to.clone(), recorder)?.close();
    let (recorder, record) = Recorder::new();
    let patient = rig.connect(to, recorder)?;
    let _ = patient.write(&b"still here"[..]);
    rig.until("the echo", || record.see().bytes == b"still here")?;
    patient.finish();
    rig.until("the end", || record.see().reason.is_some())?;
    rig.until("that one's end", || given_up.see().reason.is_some())
}

pub(crate) fn what_does_not_listen_is_no_listener(rig: &mut Rig) -> Outcome {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let none = vec![
        udp.into(),
        #[cfg(unix)]
        std::fs::File::open("/dev/null").unwrap().into(),
    ];
    for fd in none {
        let error = rig
            .context()
            .listen_on(fd, None, || Box::new(|_: &mut Stream<'_>| ()))
            .unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    Ok(())
}
