//! Listeners: allowances, and sockets that somebody else opened.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Recorder, Shared, Works, on_every_backend, until};
use ferrevent::{Address, Allowance, CloseReason, Handle, Handler, Stream};

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

#[test]
fn listeners_share_an_allowance_and_the_others_wait() {
    on_every_backend(|rig| {
        let server = Counted {
            live: Arc::default(),
            most: Arc::default(),
            allowance: Allowance::new(CAP as u32),
        };
        let addresses: Vec<Address> = (0..2)
            .map(|_| {
                // Sockets that listen already, as a service manager passes them.
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = socket.local_addr().unwrap().into();
                let handler = server.clone();
                let listener = rig
                    .context()
                    .listen_on(socket.into(), None, move || Box::new(handler.clone()))
                    .unwrap();
                assert!(rig.context().limit(listener, &server.allowance));
                address
            })
            .collect();
        let clients: Vec<(Handle, Shared)> = (0..CLIENTS)
            .map(|index| {
                let (recorder, record) = Recorder::new();
                let to = addresses[index % addresses.len()].clone();
                let handle = rig.connect(to, recorder).unwrap();
                handle.write(&b"x"[..]).unwrap();
                (handle, record)
            })
            .collect();
        until(rig, "the first ones", || served(&clients) >= CAP);
        rig.run_for(Duration::from_millis(5)).unwrap();
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
            until(rig, "the next one", || {
                left.is_empty() || served(&clients) > finished
            });
        }
        until(rig, "the end", || server.live.load(Ordering::SeqCst) == 0);
        let most = server.most.load(Ordering::SeqCst);
        assert!(most <= CAP, "{most} at once");
        until(rig, "the allowance", || {
            server.allowance.left() == CAP as u32
        });
    });
}

#[test]
fn what_does_not_listen_is_no_listener() {
    on_every_backend(|rig| {
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
    });
}
