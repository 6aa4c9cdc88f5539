//! Datagrams, descriptors and signals as futures.

use std::io;
use std::time::Duration;

use ferrevent::Readiness;

use crate::common::{local_pair, random_bytes};
use crate::everywhere::everywhere;

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
