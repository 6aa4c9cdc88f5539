//! Datagrams, descriptors and signals as futures.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferrevent::Readiness;
#[cfg(unix)]
use ferrevent::sys::{Call, Fault, FaultPlan, Rule};

use crate::common::{local_pair, random_bytes};
use crate::everywhere::everywhere;
#[cfg(unix)]
use crate::everywhere::with_faults;

#[allow(dead_code, reason = "it has a main of its own")]
#[path = "../../examples/udp_echo.rs"]
mod udp_echo;

#[test]
fn datagrams_come_back() {
    everywhere(|runtime| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let server = runtime.udp(any)?;
        let address = server.local_addr()?;
        let echo = runtime.spawn(async move { udp_echo::echo(&server).await });
        let client = runtime.udp(any)?;
        let mut into = vec![0; 2000];
        for len in [0, 1, 1000] {
            let bytes = random_bytes(len, 5);
            client.send_to(&bytes, address).await?;
            let (came, from) = client.recv_from(&mut into).await?;
            assert_eq!((&into[..came], from), (&bytes[..], address));
        }
        let connected = runtime.udp(any)?;
        connected.connect(address)?;
        connected.send(b"to whom I am connected").await?;
        let len = connected.recv(&mut into).await?;
        assert_eq!(&into[..len], b"to whom I am connected");
        // One that was given up has taken nothing.
        let given_up = runtime
            .timeout(Duration::from_millis(1), client.recv_from(&mut into))
            .await;
        assert!(given_up.is_err());
        client.send_to(b"again", address).await?;
        assert_eq!(client.recv_from(&mut into).await?.0, 5);
        drop(echo);
        Ok(())
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    everywhere(|runtime| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (near, peer, other) = (runtime.udp(any)?, runtime.udp(any)?, runtime.udp(any)?);
        let address = near.local_addr()?;
        near.connect(peer.local_addr()?)?;
        for _ in 0..3 {
            other.send_to(b"not for you", address).await?;
        }
        peer.send_to(b"for you", address).await?;
        let mut into = [0; 100];
        let (len, from) = near.recv_from(&mut into).await?;
        assert_eq!((&into[..len], from), (&b"for you"[..], peer.local_addr()?));
        Ok(())
    });
}

/// Each datagram is received once, by whichever task is ready.
#[test]
fn several_tasks_share_a_socket() {
    everywhere(|runtime| async move {
        const EACH: usize = 5;
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = Arc::new(runtime.udp(any)?);
        let address = socket.local_addr()?;
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let socket = Arc::clone(&socket);
                runtime.spawn(async move {
                    let (mut into, mut came) = ([0; 8], Vec::new());
                    while came.len() < EACH {
                        let len = socket.recv(&mut into).await?;
                        assert_eq!(len, 1);
                        came.push(into[0]);
                    }
                    io::Result::Ok(came)
                })
            })
            .collect();
        let sender = runtime.udp(any)?;
        for number in 0..receivers.len() * EACH {
            sender.send_to(&[number as u8], address).await?;
        }
        let mut came = Vec::new();
        for receiver in receivers {
            came.extend(receiver.await??);
        }
        came.sort_unstable();
        assert!(came.iter().copied().eq(0..15), "{came:?}");
        Ok(())
    });
}

/// What does not fit is lost, and the next datagram is the next.
#[cfg(unix)]
#[test]
fn a_long_datagram_is_cut() {
    everywhere(|runtime| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (one, other) = (runtime.udp(any)?, runtime.udp(any)?);
        let too_long = one.send_to(&[0; 70_000], other.local_addr()?).await;
        assert!(too_long.is_err(), "no datagram is so long");
        one.send_to(b"0123456789", other.local_addr()?).await?;
        one.send_to(b"next", other.local_addr()?).await?;
        let mut into = [0; 4];
        for text in [b"0123", b"next"] {
            assert_eq!(other.recv(&mut into).await?, 4);
            assert_eq!(&into, text);
        }
        Ok(())
    });
}

/// Nobody is there: one learns of it with the next call.
#[test]
fn nobody_hears_a_datagram() {
    everywhere(|runtime| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let gone = runtime.udp(any)?.local_addr()?;
        // It may take the loop a moment to close that one.
        let near = runtime.udp(any)?;
        near.connect(gone)?;
        let told = loop {
            if let Err(error) = near.send(b"hello?").await {
                break error;
            }
            let wait = Duration::from_millis(5);
            if let Ok(Err(error)) = runtime.timeout(wait, near.recv(&mut [0; 10])).await {
                break error;
            }
        };
        let kinds = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
        ];
        assert!(kinds.contains(&told.kind()), "{told}");
        Ok(())
    });
}

#[cfg(unix)]
#[test]
fn datagrams_pass_the_seam() {
    const ENOBUFS: i32 = ferrevent::sys::errno::ENOBUFS;
    let plan = || {
        let rules = [Call::SendDatagram, Call::ReceiveDatagram];
        let rules = rules.map(|call| Rule::nth(call, 1, Fault::Errno(ENOBUFS)));
        FaultPlan::new(1, rules.to_vec())
    };
    with_faults(plan, |runtime| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let (one, other) = (runtime.udp(any)?, runtime.udp(any)?);
        let address = other.local_addr()?;
        let mut into = [0; 10];
        one.send_to(b"first", address).await?;
        let sent = one.send_to(b"lost", address).await.unwrap_err();
        assert_eq!(sent.raw_os_error(), Some(ENOBUFS));
        one.send_to(b"second", address).await?;
        // The first receive may wait for readiness, and pass the seam again.
        let first = other.recv(&mut into).await;
        let mut came = vec![first];
        came.push(other.recv(&mut into).await);
        if came.iter().any(|one| one.is_err()) {
            came.push(other.recv(&mut into).await);
        }
        let failed = came.iter().filter_map(|one| one.as_ref().err());
        assert!(failed.map(io::Error::raw_os_error).eq([Some(ENOBUFS)]));
        let lens = came.iter().filter_map(|one| one.as_ref().ok());
        assert!(lens.eq([&5, &6]));
        Ok(())
    });
}

/// A listener that is at its end says so to whoever accepts.
#[cfg(unix)]
#[test]
fn a_listener_that_fails_is_told_of() {
    use futures_util::io::AsyncReadExt;
    let plan = || {
        let invalid = Fault::Errno(ferrevent::sys::errno::EINVAL);
        FaultPlan::new(1, vec![Rule::nth(Call::Accept, 0, invalid)])
    };
    with_faults(plan, |runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address = listener.local_addr().unwrap().into();
        let mut clients = Vec::new();
        let error = loop {
            clients.push(runtime.connect(&address).await?);
            match listener.accept().await {
                Ok(stream) => drop(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let again = listener.accept().await.unwrap_err();
        assert_eq!(again.kind(), error.kind());
        drop(listener);
        // What waited in its backlog is ended with it.
        for client in &mut clients {
            let _ = client.read(&mut [0; 1]).await;
        }
        Ok(())
    });
}

#[test]
fn a_descriptor_becomes_ready() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        near.set_nonblocking(true)?;
        let watched = runtime.watch(near);
        let ready = watched.ready(Readiness::WRITE).await?;
        assert!(ready.any(Readiness::WRITE));
        let wait = runtime.timeout(Duration::from_millis(1), watched.ready(Readiness::READ));
        assert!(wait.await.is_err(), "nothing has come");
        let writer = runtime.clone();
        let writes = runtime.spawn(async move {
            writer.sleep(Duration::from_millis(1)).await;
            io::Write::write_all(&mut &far, b"hello")?;
            io::Result::Ok(far)
        });
        let mut bytes = [0; 10];
        let len = watched
            .io(Readiness::READ, |mut near| {
                io::Read::read(&mut near, &mut bytes)
            })
            .await?;
        assert_eq!(&bytes[..len], b"hello");
        drop(writes.await??);
        // The end is readable too.
        let read = watched.io(Readiness::READ, |mut near| {
            io::Read::read(&mut near, &mut bytes)
        });
        assert_eq!(read.await?, 0);
        let nothing = watched.ready(Readiness::NONE).await.unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::InvalidInput);
        Ok(())
    });
}

#[cfg(unix)]
#[test]
fn a_signal_comes() {
    const SIGUSR2: i32 = 12;
    everywhere(|runtime| async move {
        let mut signals = runtime.signal(SIGUSR2).await?;
        for _ in 0..2 {
            let sent = runtime.spawn_blocking(|| {
                let me = std::process::id().to_string();
                std::process::Command::new("kill")
                    .args(["-USR2", &me])
                    .status()
            });
            let (sent, times) = futures_util::future::join(sent, signals.recv()).await;
            assert!(sent??.success());
            assert!(times? >= 1);
        }
        Ok(())
    });
}
