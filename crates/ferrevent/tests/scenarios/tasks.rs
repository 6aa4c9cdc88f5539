//! What futures do, for the torture: each passes calls of its own, and ends with
//! the error that a fault is told by.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use ferrevent::asynch::{AsyncStream, Runtime};
use ferrevent::{Buffer, Readiness};
use futures_util::future::try_join;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::random_bytes;

pub(crate) type Scenario = fn(Runtime) -> Pin<Box<dyn Future<Output = io::Result<()>>>>;

macro_rules! list {
    ($($name:ident)*) => {
        pub(crate) const ALL: &[(&str, Scenario)] =
            &[$((stringify!($name), |runtime| Box::pin($name(runtime)))),*];
    };
}

list! {
    a_stream_is_echoed
    connections_come_and_go
    buffers_move
    datagrams_go
    datagrams_go_to_one_peer
    a_descriptor_is_awaited
    time_passes
    a_thread_works
    a_signal_comes
    tasks_are_spawned
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn echo(mut stream: AsyncStream) -> io::Result<()> {
    let mut bytes = [0; 3000];
    loop {
        let len = stream.read(&mut bytes).await?;
        if len == 0 {
            return stream.close().await;
        }
        stream.write_all(&bytes[..len]).await?;
        stream.flush().await?;
    }
}

async fn a_stream_is_echoed(runtime: Runtime) -> io::Result<()> {
    let listener = runtime.listen(&anywhere().into()).await?;
    let address = listener.local_addr().unwrap().into();
    let server = async { echo(listener.accept().await?).await };
    let client = async {
        let mut stream = runtime.connect(&address).await?;
        let bytes = random_bytes(10_000, 1);
        stream.write_all(&bytes).await?;
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).await?;
        assert!(back == bytes);
        stream.close().await?;
        assert_eq!(stream.read(&mut back).await?, 0);
        Ok(())
    };
    try_join(server, client).await.map(drop)
}

async fn connections_come_and_go(runtime: Runtime) -> io::Result<()> {
    let listener = runtime.listen(&anywhere().into()).await?;
    let address = listener.local_addr().unwrap().into();
    for _ in 0..3 {
        let (mut server, client) = try_join(listener.accept(), runtime.connect(&address)).await?;
        client.peer_addr().await?;
        drop(client);
        assert_eq!(server.read(&mut [0; 1]).await?, 0);
    }
    Ok(())
}

async fn buffers_move(runtime: Runtime) -> io::Result<()> {
    let (near, far) = std::os::unix::net::UnixStream::pair()?;
    let near = runtime.adopt(near.into()).await?;
    let mut far = runtime.adopt(far.into()).await?;
    let bytes = random_bytes(50_000, 2);
    let mut read = Buffer::new();
    let writes = async {
        let mut from = Buffer::from(bytes.clone());
        far.write_buffer(&mut from).await?;
        far.close().await
    };
    let reads = async {
        while near.read_buffer(&mut read).await? > 0 {}
        Ok(())
    };
    try_join(writes, reads).await?;
    assert!(read.take_vec(bytes.len()).unwrap() == bytes);
    assert!(read.is_empty());
    Ok(())
}

async fn datagrams_go(runtime: Runtime) -> io::Result<()> {
    let (one, other) = (runtime.udp(anywhere())?, runtime.udp(anywhere())?);
    let (from, to) = (one.local_addr()?, other.local_addr()?);
    let mut into = [0; 100];
    for number in 0..3 {
        one.send_to(&[number; 50], to).await?;
        assert_eq!(other.recv_from(&mut into).await?, (50, from));
        assert_eq!(into[..50], [number; 50]);
    }
    Ok(())
}

async fn datagrams_go_to_one_peer(runtime: Runtime) -> io::Result<()> {
    let taken = std::net::UdpSocket::bind(anywhere())?;
    let (one, other) = (runtime.udp(anywhere())?, runtime.adopt_udp(taken)?);
    one.connect(other.local_addr()?)?;
    other.connect(one.local_addr()?)?;
    let mut into = [0; 100];
    // The one waits before there is anything.
    let receives = async {
        let len = one.recv(&mut into).await?;
        io::Result::Ok(len)
    };
    let sends = async {
        runtime.sleep(Duration::from_micros(200)).await;
        other.send(b"hello").await
    };
    assert_eq!(try_join(receives, sends).await?, (5, 5));
    Ok(())
}

async fn a_descriptor_is_awaited(runtime: Runtime) -> io::Result<()> {
    let (near, far) = std::os::unix::net::UnixDatagram::pair()?;
    near.set_nonblocking(true)?;
    let near = runtime.watch(near);
    near.ready(Readiness::WRITE).await?;
    let mut into = [0; 10];
    let reads = near.io(Readiness::READ, |near| near.recv(&mut into));
    let writes = async {
        runtime.sleep(Duration::from_micros(200)).await;
        far.send(b"hello")
    };
    assert_eq!(try_join(reads, writes).await?, (5, 5));
    Ok(())
}

async fn time_passes(runtime: Runtime) -> io::Result<()> {
    let mut interval = runtime.interval(Duration::from_micros(200));
    interval.tick().await;
    interval.tick().await;
    let never = std::future::pending::<()>();
    let late = runtime.timeout(Duration::from_micros(200), never).await;
    assert!(late.is_err());
    Ok(())
}

async fn a_thread_works(runtime: Runtime) -> io::Result<()> {
    for number in 0..2 {
        let done = runtime.spawn_blocking(move || number).await?;
        assert_eq!(done, number);
    }
    Ok(())
}

async fn a_signal_comes(runtime: Runtime) -> io::Result<()> {
    const SIGUSR2: i32 = 12;
    let mut signals = runtime.signal(SIGUSR2).await?;
    crate::raise(SIGUSR2);
    assert_eq!(signals.recv().await?, 1);
    Ok(())
}

async fn tasks_are_spawned(runtime: Runtime) -> io::Result<()> {
    let sleeping = runtime.clone();
    let task = runtime.spawn(async move {
        sleeping.sleep(Duration::from_micros(100)).await;
        1
    });
    let canceled = runtime.spawn(std::future::pending::<()>());
    canceled.cancel();
    assert!(canceled.await.is_err());
    assert_eq!(task.await?, 1);
    Ok(())
}
