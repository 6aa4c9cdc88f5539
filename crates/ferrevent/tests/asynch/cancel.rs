//! Futures that are dropped before they are ready have taken and lost nothing.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ferrevent::Address;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{local_pair, random_bytes};
use crate::everywhere::everywhere;

/// Polls a future once, and drops it if it is not ready.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|polling| match future.as_mut().poll(polling) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

const SOON: Duration = Duration::from_micros(50);

#[test]
fn a_read_that_is_given_up_takes_nothing() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let mut reader = runtime.adopt(near.into()).await?;
        let mut writer = runtime.adopt(far.into()).await?;
        let bytes = random_bytes(100_000, 11);
        let sent = bytes.clone();
        let sleeper = runtime.clone();
        let write = runtime.spawn(async move {
            for piece in sent.chunks(7_000) {
                writer.write_all(piece).await?;
                writer.flush().await?;
                sleeper.sleep(SOON).await;
            }
            writer.close().await
        });
        let mut read = Vec::new();
        let mut some = [0; 3000];
        loop {
            let Some(len) = once(reader.read(&mut some)).await else {
                // Given up; and then waited for, a moment, and given up again.
                let _ = runtime.timeout(SOON, reader.readable()).await;
                continue;
            };
            match len? {
                0 => break,
                len => read.extend_from_slice(&some[..len]),
            }
        }
        write.await??;
        assert!(read == bytes);
        Ok(())
    });
}

#[test]
fn a_write_that_is_given_up_gives_nothing() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let mut reader = runtime.adopt(near.into()).await?;
        let mut writer = runtime.adopt(far.into()).await?;
        let bytes = random_bytes(1_000_000, 12);
        let read = runtime.spawn(async move {
            let (mut read, mut some) = (Vec::new(), vec![0; 50_000]);
            loop {
                match reader.read(&mut some).await? {
                    0 => return io::Result::Ok(read),
                    len => read.extend_from_slice(&some[..len]),
                }
            }
        });
        let mut written = 0;
        while written < bytes.len() {
            let end = bytes.len().min(written + 40_000);
            match once(writer.write(&bytes[written..end])).await {
                Some(len) => written += len?,
                None => runtime.sleep(SOON).await,
            }
            // Nor does a flush that nobody waits for.
            if let Some(flushed) = once(writer.flush()).await {
                flushed?;
            }
        }
        while once(writer.close()).await.transpose()?.is_none() {
            runtime.sleep(SOON).await;
        }
        assert!(read.await?? == bytes);
        Ok(())
    });
}

#[test]
fn no_connection_is_lost_to_an_accept_that_is_given_up() {
    everywhere(|runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address: Address = listener.local_addr().unwrap().into();
        let connecting = runtime.clone();
        let clients = runtime.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..10 {
                streams.push(connecting.connect(&address).await?);
            }
            io::Result::Ok(streams)
        });
        let mut accepted = Vec::new();
        while accepted.len() < 10 {
            match once(listener.accept()).await {
                Some(stream) => accepted.push(stream?),
                None => runtime.sleep(SOON).await,
            }
        }
        drop(clients.await??);
        for mut stream in accepted {
            assert_eq!(stream.read(&mut [0; 1]).await?, 0);
        }
        Ok(())
    });
}

#[test]
fn a_connection_that_is_given_up_is_closed() {
    everywhere(|runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address: Address = listener.local_addr().unwrap().into();
        // It comes about all the same, or it does not; then there is another.
        drop(once(runtime.connect(&address)).await);
        let mut whole = runtime.connect(&address).await?;
        whole.write_all(b"whole").await?;
        loop {
            let mut stream = listener.accept().await?;
            let mut bytes = [0; 5];
            match stream.read_exact(&mut bytes).await {
                Ok(()) => {
                    assert_eq!(&bytes, b"whole");
                    return Ok(());
                }
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                    ),
                    "{error}"
                ),
            }
        }
    });
}

#[test]
fn a_task_that_is_dropped_closes_its_streams() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let held = runtime.adopt(near.into()).await?;
        let mut other = runtime.adopt(far.into()).await?;
        let holds = runtime.spawn(async move {
            held.readable().await?;
            io::Result::Ok(held)
        });
        assert!(once(other.read(&mut [0; 1])).await.is_none());
        drop(holds);
        assert_eq!(other.read(&mut [0; 1]).await?, 0);
        Ok(())
    });
}

/// Bytes move between buffers without a copy, and what was not written stays.
#[test]
fn buffers_are_moved() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let reader = runtime.adopt(near.into()).await?;
        let mut writer = runtime.adopt(far.into()).await?;
        let bytes = random_bytes(2_000_000, 13);
        let mut from = ferrevent::Buffer::from(bytes.clone());
        while once(writer.write_buffer(&mut from)).await.is_some() {
            assert!(from.is_empty(), "it was ready before it had written all");
            from = ferrevent::Buffer::from(bytes.clone());
        }
        let left = from.len();
        assert!(left > 0);
        let writes = runtime.spawn(async move {
            writer.write_buffer(&mut from).await?;
            writer.close().await
        });
        let mut read = ferrevent::Buffer::new();
        while reader.read_buffer(&mut read).await? > 0 {}
        writes.await??;
        assert_eq!(read.len() % bytes.len(), 0);
        while !read.is_empty() {
            assert!(read.take_vec(bytes.len()).unwrap() == bytes);
        }
        Ok(())
    });
}
