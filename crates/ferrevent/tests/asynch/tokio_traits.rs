//! Streams by tokio's traits, of which nothing else is here.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{local_pair, random_bytes};
use crate::everywhere::everywhere;

#[test]
fn tokio_reads_and_writes() {
    everywhere(|runtime| async move {
        let (near, far) = local_pair();
        let near = runtime.adopt(near.into()).await?;
        let mut far = runtime.adopt(far.into()).await?;
        let echo = runtime.spawn(async move {
            let (mut from, mut to) = tokio::io::split(near);
            let copied = tokio::io::copy(&mut from, &mut to).await?;
            to.shutdown().await?;
            io::Result::Ok(copied)
        });
        let bytes = random_bytes(100_000, 4);
        let (head, tail) = bytes.split_at(10);
        let slices = [io::IoSlice::new(head), io::IoSlice::new(&tail[..10])];
        assert!(tokio::io::AsyncWrite::is_write_vectored(&far));
        assert_eq!(far.write_vectored(&slices).await?, 20);
        far.write_all(&tail[10..]).await?;
        far.flush().await?;
        let mut back = vec![0; bytes.len()];
        far.read_exact(&mut back).await?;
        assert!(back == bytes);
        far.shutdown().await?;
        assert_eq!(far.read(&mut back).await?, 0);
        assert_eq!(echo.await??, bytes.len() as u64);
        Ok(())
    });
}
