//! What tor-rtcompat asks of a runtime, on every backend: all but TLS.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{ANY, everywhere, work_dir};
use ferrevent_tor::TorRuntime;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::stream::StreamExt;
use futures::task::Spawn;
use tor_general_addr::unix;
use tor_rtcompat::{
    Blocking, CoarseDuration, CoarseTimeProvider, CommonConnectOptions, CommonListenOptions,
    NetStreamListener, NetStreamProvider, Runtime, SleepProvider, SleepProviderExt, SpawnExt,
    StreamOps, TcpConnectOptions, TcpListenOptions, ToplevelRuntime, UdpProvider, UdpSocket,
};

fn is_whole<R: Runtime>(_: &R) {}
fn can_begin<R: ToplevelRuntime>(_: &R) {}

#[test]
fn it_is_all_that_arti_asks_for() {
    let runtime = TorRuntime::new().unwrap();
    is_whole(&runtime);
    can_begin(&runtime);
    assert!(tor_rtcompat::TlsProvider::supports_keying_material_export(
        &runtime
    ));
}

#[test]
fn tcp_brings_bytes_and_ends() {
    everywhere(|runtime| async move {
        let options = [None, Some(30_000)].map(|size| {
            let mut connect = CommonConnectOptions::builder();
            connect.send_buffer_size(size).recv_buffer_size(size);
            let mut listen = CommonListenOptions::builder();
            listen.send_buffer_size(size).recv_buffer_size(size);
            let (mut tcp, mut listener) =
                (TcpConnectOptions::builder(), TcpListenOptions::builder());
            *tcp.common() = connect;
            *listener.common() = listen;
            (tcp.build().unwrap(), listener.build().unwrap())
        });
        for (connect, listen) in options {
            let listener = NetStreamProvider::<SocketAddr>::listen(&runtime, &ANY, &listen).await?;
            let address = NetStreamListener::<SocketAddr>::local_addr(&listener)?;
            assert_ne!(address.port(), 0);
            let mut incoming = NetStreamListener::<SocketAddr>::incoming(listener);
            let mut near = runtime.connect(&address, &connect).await?;
            let (mut far, peer) = incoming.next().await.unwrap()?;
            assert_eq!(peer.ip(), address.ip());
            near.write_all(b"hello").await?;
            near.flush().await?;
            let mut bytes = [0; 5];
            far.read_exact(&mut bytes).await?;
            assert_eq!(&bytes, b"hello");
            // A half that is closed leaves the other.
            near.close().await?;
            assert_eq!(far.read(&mut bytes).await?, 0);
            far.write_all(b"there").await?;
            far.close().await?;
            near.read_exact(&mut bytes).await?;
            assert_eq!(&bytes, b"there");
            assert_eq!(near.read(&mut bytes).await?, 0);
        }
        Ok(())
    });
}

/// Cells are small, and must not wait for an acknowledgement.
#[test]
fn small_writes_go_at_once() {
    everywhere(|runtime| async move {
        let listener = runtime.listen(&ANY, &TcpListenOptions::default()).await?;
        let address = NetStreamListener::<SocketAddr>::local_addr(&listener)?;
        let mut incoming = NetStreamListener::<SocketAddr>::incoming(listener);
        let mut near = runtime.connect(&address, &Default::default()).await?;
        let (mut far, _) = incoming.next().await.unwrap()?;
        let mut least = Duration::MAX;
        for _ in 0..20 {
            let (began, mut byte) = (Instant::now(), [7]);
            // Two small ones after each other are where Nagle would wait.
            near.write_all(&byte).await?;
            near.flush().await?;
            near.write_all(&byte).await?;
            near.flush().await?;
            far.read_exact(&mut byte).await?;
            far.read_exact(&mut byte).await?;
            least = least.min(began.elapsed());
        }
        // An acknowledgement is delayed by 40 ms, each time.
        assert!(least < Duration::from_millis(30), "{least:?}");
        near.set_tcp_notsent_lowat(u32::MAX)?;
        let options = near.new_handle();
        options.set_tcp_notsent_lowat(16_384)?;
        near.write_all(b"x").await?;
        Ok(())
    });
}

#[test]
fn nobody_listens_there() {
    everywhere(|runtime| async move {
        let listener = std::net::TcpListener::bind(ANY)?;
        let address = listener.local_addr()?;
        drop(listener);
        let mut sized = TcpConnectOptions::builder();
        sized.common().send_buffer_size(Some(30_000));
        for options in [TcpConnectOptions::default(), sized.build().unwrap()] {
            let refused = runtime.connect(&address, &options).await.unwrap_err();
            assert_eq!(
                refused.kind(),
                io::ErrorKind::ConnectionRefused,
                "{refused}"
            );
        }
        let elsewhere: SocketAddr = ([192, 0, 2, 1], 80).into();
        let refused = runtime
            .listen(&elsewhere, &TcpListenOptions::default())
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("192.0.2.1:80"), "{refused}");
        Ok(())
    });
}

#[test]
fn unix_sockets_bring_bytes() {
    let folder = work_dir("unix");
    let path = folder.path().join("socket");
    everywhere(|runtime| {
        let address = unix::SocketAddr::from_pathname(&path).unwrap();
        async move {
            let listener = runtime.listen(&address, &Default::default()).await?;
            let local = NetStreamListener::<unix::SocketAddr>::local_addr(&listener)?;
            assert_eq!(local.as_pathname(), address.as_pathname());
            let mut incoming = NetStreamListener::<unix::SocketAddr>::incoming(listener);
            let mut near = runtime.connect(&address, &Default::default()).await?;
            let (mut far, peer) = incoming.next().await.unwrap()?;
            assert!(peer.is_unnamed());
            near.write_all(b"hello").await?;
            near.close().await?;
            let mut read = Vec::new();
            far.read_to_end(&mut read).await?;
            assert_eq!(read, b"hello");
            assert!(near.set_tcp_notsent_lowat(1).is_err());
            let nameless = unix::SocketAddr::from_pathname("").unwrap();
            let refused = runtime.connect(&nameless, &Default::default()).await;
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Unsupported);
            drop(incoming);
            Ok(())
        }
    });
}

#[test]
fn datagrams_come() {
    everywhere(|runtime| async move {
        let (one, other) = (runtime.bind(&ANY).await?, runtime.bind(&ANY).await?);
        one.send(b"hello", &other.local_addr()?).await?;
        let mut bytes = [0; 100];
        let (len, from) = other.recv(&mut bytes).await?;
        assert_eq!((&bytes[..len], from), (&b"hello"[..], one.local_addr()?));
        Ok(())
    });
}

#[test]
fn time_passes() {
    everywhere(|runtime| async move {
        let (began, coarse) = (Instant::now(), runtime.now_coarse());
        runtime.sleep(Duration::from_millis(30)).await;
        assert!(began.elapsed() >= Duration::from_millis(30));
        let least = CoarseDuration::from(Duration::from_millis(10));
        assert!(runtime.now_coarse() >= coarse + least);
        let never = runtime.timeout(Duration::from_millis(1), futures::future::pending::<()>());
        assert!(never.await.is_err());
        let soon = runtime.timeout(Duration::from_secs(60), futures::future::ready(7));
        assert_eq!(soon.await, Ok(7));
        Ok(())
    });
}

#[test]
fn tasks_go_on_by_themselves() {
    everywhere(|runtime| async move {
        let own = runtime.clone();
        let outcome = runtime.spawn_with_handle(async move {
            own.sleep(Duration::from_millis(1)).await;
            6 * 7
        });
        assert_eq!(outcome.unwrap().await, 42);
        let (tell, heard) = futures::channel::oneshot::channel();
        runtime.spawn(async move { tell.send(7).unwrap() }).unwrap();
        assert_eq!(heard.await, Ok(7));
        Ok(())
    });
}

#[test]
fn work_that_blocks_holds_up_nobody() {
    everywhere(|runtime| async move {
        // Begun whether or not it is waited for.
        let (done, wait) = mpsc::channel();
        drop(runtime.spawn_blocking(move || done.send(())));
        let own = runtime.clone();
        let blocked = runtime.spawn_blocking(move || {
            wait.recv().unwrap();
            // A thread of its own may wait for futures.
            own.reenter_block_on(own.sleep(Duration::from_millis(1)));
            "done"
        });
        assert_eq!(blocked.await, "done");
        assert_eq!(runtime.blocking_io(|| 7).await, 7);
        let panics = runtime.spawn_blocking(|| panic!("in a thread"));
        let caught = futures::FutureExt::catch_unwind(AssertUnwindSafe(panics)).await;
        assert_eq!(
            caught.unwrap_err().downcast_ref(),
            Some(&"in a thread".to_owned())
        );
        Ok(())
    });
}

/// Tasks hold clones of the runtime; that does not keep it for ever.
#[test]
fn a_clone_outlives_the_runtime_and_refuses() {
    let runtime = TorRuntime::new().unwrap();
    let clone = runtime.clone();
    let held = runtime.clone();
    let (gone, wait) = mpsc::channel::<()>();
    runtime
        .spawn(async move {
            let _both = (held, gone);
            futures::future::pending::<()>().await;
        })
        .unwrap();
    assert_eq!(clone.run(async { 7 }).unwrap(), 7);
    drop(runtime);
    assert!(wait.recv().is_err(), "its task was dropped with it");
    assert!(clone.spawn(async {}).unwrap_err().is_shutdown());
    assert!(clone.status().is_err());
    let refused = clone.run(async {}).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::NotConnected);
    let blocked = catch_unwind(AssertUnwindSafe(|| {
        tor_rtcompat::ToplevelBlockOn::block_on(&clone, async {});
    }));
    assert!(blocked.is_err());
}
