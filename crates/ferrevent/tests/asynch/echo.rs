//! Streams and listeners as futures.

use std::io;

use ferrevent::Address;
use ferrevent::asynch::{AsyncStream, Listener, Runtime};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{local_pair, random_bytes};
use crate::everywhere::everywhere;

/// Serves one connection after another, each by a task, and says where.
pub(crate) async fn serve<F>(
    runtime: &Runtime,
    serve: impl Fn(AsyncStream) -> F + Send + 'static,
) -> io::Result<Address>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
    let address = address_of(&listener);
    let tasks = runtime.clone();
    let accepts = async move {
        while let Ok(stream) = listener.accept().await {
            tasks.spawn(serve(stream)).detach();
        }
    };
    runtime.spawn(accepts).detach();
    Ok(address)
}

fn address_of(listener: &Listener) -> Address {
    listener.local_addr().unwrap().into()
}

async fn echo(mut stream: AsyncStream) -> io::Result<()> {
    let mut bytes = [0; 10_000];
    loop {
        let len = stream.read(&mut bytes).await?;
        if len == 0 {
            return stream.close().await;
        }
        stream.write_all(&bytes[..len]).await?;
    }
}

#[test]
fn bytes_come_back() {
    everywhere(|runtime| async move {
        let address = serve(&runtime, echo).await?;
        let mut stream = runtime.connect(&address).await?;
        for len in [1, 1000, 20_000] {
            let bytes = random_bytes(len, len as u64);
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            let mut back = vec![0; len];
            stream.read_exact(&mut back).await?;
            assert_eq!(back, bytes);
        }
        stream.close().await?;
        assert_eq!(stream.read(&mut [0; 10]).await?, 0);
        Ok(())
    });
}

#[test]
fn many_connections_at_once() {
    everywhere(|runtime| async move {
        let address = serve(&runtime, echo).await?;
        let clients: Vec<_> = (0..20)
            .map(|number| {
                let (address, tasks) = (address.clone(), runtime.clone());
                runtime.spawn(async move {
                    let stream = tasks.connect(&address).await?;
                    let (mut from, mut to) = stream.split();
                    let bytes = random_bytes(50_000, number + 1);
                    let write = async {
                        to.write_all(&bytes).await?;
                        to.close().await
                    };
                    let mut back = Vec::new();
                    let read = from.read_to_end(&mut back);
                    let (read, written) = futures_util::future::join(read, write).await;
                    read?;
                    written?;
                    assert!(back == bytes, "connection {number}");
                    io::Result::Ok(())
                })
            })
            .collect();
        for client in clients {
            client.await??;
        }
        Ok(())
    });
}

/// Whoever does not read stops the one who writes, and goes on where it was.
#[test]
fn a_slow_reader_stops_the_writer() {
    everywhere(|runtime| async move {
        // More than the buffers of the kernel and of both streams.
        const MUCH: usize = if cfg!(windows) { 16 << 20 } else { 3 << 20 };
        let (near, far) = local_pair();
        let mut client = runtime.adopt(near.into()).await?;
        let mut server = runtime.adopt(far.into()).await?;
        let bytes = random_bytes(MUCH, 9);
        let mut written = 0;
        let stalled = runtime.timeout(std::time::Duration::from_millis(200), async {
            while written < MUCH {
                written += client.write(&bytes[written..]).await.unwrap();
            }
        });
        assert!(stalled.await.is_err(), "all of it went");
        let write = async {
            client.write_all(&bytes[written..]).await?;
            client.close().await
        };
        let mut read = Vec::new();
        let reads = async {
            let mut some = vec![0; 100_000];
            loop {
                match server.read(&mut some).await? {
                    0 => return io::Result::Ok(()),
                    len => read.extend_from_slice(&some[..len]),
                }
            }
        };
        let (reads, write) = futures_util::future::join(reads, write).await;
        write?;
        reads?;
        assert!(read == bytes);
        Ok(())
    });
}

#[test]
fn nobody_listens() {
    everywhere(|runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address = address_of(&listener);
        drop(listener);
        loop {
            // It may take the loop a moment to close it.
            match runtime.connect(&address).await {
                Ok(stream) => drop(stream),
                Err(error) => {
                    // One that waited in its backlog is reset.
                    let kinds = [
                        io::ErrorKind::ConnectionRefused,
                        io::ErrorKind::ConnectionReset,
                    ];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    return Ok(());
                }
            }
        }
    });
}

/// What a dropped stream had still to send arrives.
#[test]
fn a_dropped_stream_sends_the_rest() {
    everywhere(|runtime| async move {
        let bytes = random_bytes(200_000, 3);
        let sent = bytes.clone();
        let address = serve(&runtime, move |mut stream: AsyncStream| {
            let bytes = sent.clone();
            async move { stream.write_all(&bytes).await }
        })
        .await?;
        let mut stream = runtime.connect(&address).await?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await?;
        assert!(read == bytes);
        Ok(())
    });
}

/// A reset is an error for the one who reads and for the one who writes.
#[test]
fn a_reset_is_told() {
    everywhere(|runtime| async move {
        let address = serve(&runtime, |stream: AsyncStream| async move {
            stream.readable().await?;
            // Closed while something is unread: that resets.
            stream.with(|stream| stream.close()).await
        })
        .await?;
        let mut stream = runtime.connect(&address).await?;
        stream.write_all(b"hello").await?;
        let outcome = stream.read(&mut [0; 10]).await;
        // Some kernels tell an end where others tell the reset.
        if let Err(error) = outcome {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        loop {
            if let Err(error) = stream.write_all(b"more").await {
                let kind = error.kind();
                let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
                assert!(kinds.contains(&kind), "{error}");
                return Ok(());
            }
            stream.flush().await.ok();
            runtime.sleep(std::time::Duration::from_millis(1)).await;
        }
    });
}
