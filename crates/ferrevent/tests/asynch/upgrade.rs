//! Filters that tasks put on streams while these run: one of the test's own,
//! and TLS.

use std::io;

use ferrevent::Filter;
use ferrevent::filter::Pass;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{local_pair, random_bytes};
use crate::everywhere::everywhere;

/// Open at once.
struct Invert;

impl Filter for Invert {
    fn decode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        pass.map(|bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte));
        Ok(())
    }

    fn encode(&mut self, pass: &mut Pass<'_>) -> io::Result<()> {
        self.decode(pass)
    }
}

/// What was not read yet comes through the filter, however far it had come;
/// what was written before does not.
#[test]
fn a_filter_comes_to_a_stream_that_runs() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let mut near = runtime.adopt(near.into()).await?;
        let mut far = runtime.adopt(far.into()).await?;
        let bytes = random_bytes(20_000, 3);
        let inverted: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        far.write_all(b"plain").await?;
        far.write_all(&inverted).await?;
        let mut plain = [0; 5];
        near.read_exact(&mut plain).await?;
        near.write_all(b"plain").await?;
        // More of it lies with the tasks already.
        near.readable().await?;
        near.add_filter(Box::new(Invert)).await?;
        near.write_all(&bytes).await?;
        let mut back = vec![0; bytes.len()];
        near.read_exact(&mut back).await?;
        assert!(back == bytes && plain == *b"plain");
        far.read_exact(&mut plain).await?;
        far.read_exact(&mut back).await?;
        assert!(back == inverted && plain == *b"plain");
        // An end that was told is the last.
        far.close().await?;
        assert_eq!(near.read(&mut [0; 1]).await?, 0);
        let refused = near.add_filter(Box::new(Invert)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe, "{refused}");
        Ok(())
    });
}

#[cfg(all(feature = "tls", unix))]
mod secure {
    use std::sync::Arc;

    use ferrevent::asynch::{AsyncStream, Runtime};
    use ferrevent::tls::{Client, Exporter, Server};

    use super::*;
    use crate::certificates::authority;

    fn sides() -> (Client, Server) {
        let client = Client::builder().roots(authority().roots());
        let server = Server::builder().certificates(authority().server("localhost"));
        (client.build().unwrap(), server.build().unwrap())
    }

    async fn pair(runtime: &Runtime) -> io::Result<(AsyncStream, AsyncStream)> {
        let (near, far) = local_pair();
        Ok((
            runtime.adopt(near.into()).await?,
            runtime.adopt(far.into()).await?,
        ))
    }

    async fn exporter(stream: &AsyncStream) -> io::Result<Exporter> {
        let exporter = stream
            .with(|stream| stream.tls().unwrap().exporter())
            .await?;
        exporter.map_err(io::Error::from)
    }

    /// As in SMTP: a line, then TLS. Both sides have the same keying material,
    /// also when the stream is over.
    #[test]
    fn tls_comes_to_a_stream_that_runs() {
        everywhere(|runtime| async move {
            let (client, server) = sides();
            let (mut near, mut far) = pair(&runtime).await?;
            let serves = runtime.spawn(async move {
                far.write_all(b"220 ready\r\n").await?;
                far.start_tls(server.session()).await?;
                let mut bytes = vec![0; 50_000];
                far.read_exact(&mut bytes).await?;
                far.write_all(&bytes).await?;
                let exporter = exporter(&far).await?;
                far.close().await?;
                io::Result::Ok(exporter)
            });
            let mut line = [0; 11];
            near.read_exact(&mut line).await?;
            assert_eq!(&line, b"220 ready\r\n");
            near.start_tls(client.session("localhost").unwrap()).await?;
            let ours = exporter(&near).await?;
            let bytes = random_bytes(50_000, 4);
            near.write_all(&bytes).await?;
            let mut back = Vec::new();
            near.read_to_end(&mut back).await?;
            assert!(back == bytes);
            drop(near);
            let theirs = serves.await??;
            let mut keys = [[0; 32]; 2];
            ours.export(b"EXPERIMENTAL", Some(b"x"), &mut keys[0])
                .unwrap();
            theirs
                .export(b"EXPERIMENTAL", Some(b"x"), &mut keys[1])
                .unwrap();
            assert!(keys[0] == keys[1] && keys[0] != [0; 32]);
            Ok(())
        });
    }

    /// The client's first records are there before the server's task asks for
    /// TLS.
    #[test]
    fn a_client_does_not_wait_for_the_server() {
        everywhere(|runtime| async move {
            let (client, server) = sides();
            let (mut near, mut far) = pair(&runtime).await?;
            let asks = runtime.spawn(async move {
                near.start_tls(client.session("localhost").unwrap()).await?;
                near.write_all(b"hello").await?;
                near.close().await
            });
            far.readable().await?;
            far.start_tls(server.session()).await?;
            let mut read = Vec::new();
            far.read_to_end(&mut read).await?;
            assert_eq!(read, b"hello");
            asks.await?
        });
    }

    #[test]
    fn who_speaks_no_tls_is_refused() {
        everywhere(|runtime| async move {
            let (client, _) = sides();
            let client = Arc::new(client);
            for said in [&b"220 no TLS here\r\n"[..], b""] {
                let (mut near, mut far) = pair(&runtime).await?;
                far.write_all(said).await?;
                far.close().await?;
                let session = client.session("localhost").unwrap();
                let refused = near.start_tls(session).await.unwrap_err();
                let kind = match said {
                    b"" => io::ErrorKind::UnexpectedEof,
                    _ => io::ErrorKind::InvalidData,
                };
                // The end may have been told before TLS was asked for.
                let late = refused.kind() == io::ErrorKind::BrokenPipe;
                assert!(late || refused.kind() == kind, "{refused}");
            }
            Ok(())
        });
    }
}

/// A listener's connections are in their group before their first byte is
/// received, which has come long ago.
#[test]
fn a_connection_is_prepared_before_its_first_byte() {
    everywhere(|runtime| async move {
        let listener = runtime.listen(&"127.0.0.1:0".parse().unwrap()).await?;
        let address = listener.local_addr().unwrap();
        let (told, hears) = std::sync::mpsc::channel();
        listener.prepare(move |stream| {
            let _ = told.send(stream.wire_received_bytes());
        });
        let mut near = runtime.connect(&address.into()).await?;
        near.write_all(&[7; 10_000]).await?;
        near.flush().await?;
        let mut far = listener.accept().await?;
        assert_eq!(hears.recv(), Ok(0));
        let mut read = vec![0; 10_000];
        far.read_exact(&mut read).await?;
        assert_eq!(read, [7; 10_000]);
        Ok(())
    });
}

/// Work on another thread is done when nobody asks for its outcome, too.
#[test]
fn blocking_work_needs_nobody_to_wait() {
    everywhere(|runtime| async move {
        let (done, wait) = std::sync::mpsc::channel();
        drop(runtime.spawn_blocking(move || done.send(7)));
        let waited = runtime.spawn_blocking(move || wait.recv());
        assert_eq!(waited.await?, Ok(7));
        Ok(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_holds_no_more_unsent_than_it_may() {
    everywhere(|runtime| async move {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let near = std::net::TcpStream::connect(listener.local_addr()?)?;
        let same = near.try_clone()?;
        let stream = runtime.adopt(near.into()).await?;
        let unsent = || socket2::SockRef::from(&same).tcp_notsent_lowat();
        stream
            .with(|stream| stream.set_notsent_lowat(10_000))
            .await??;
        assert_eq!(unsent()?, 10_000);
        let handle = stream.with(|stream| stream.handle()).await?;
        assert!(handle.set_notsent_lowat(20_000));
        // On a pool it comes about when a worker has read the mail.
        while unsent()? != 20_000 {
            stream.with(|_| ()).await?;
        }
        let (near, _far) = std::os::unix::net::UnixStream::pair()?;
        let stream = runtime.adopt(near.into()).await?;
        let refused = stream.with(|stream| stream.set_notsent_lowat(1)).await?;
        assert!(refused.is_err());
        Ok(())
    });
}
