//! hyper's hello on tokio, on one thread or on several.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

#[path = "../../wrk.rs"]
mod wrk;

pub(crate) fn run(workers: Option<&str>) -> io::Result<()> {
    let Some(workers) = workers else {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        return runtime.block_on(async {
            let listener = listen().await?;
            loop {
                tokio::spawn(serve(accept(&listener).await?));
            }
        });
    };
    let workers = workers.parse().map_err(io::Error::other)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = listen().await?;
        let accepts = tokio::spawn(async move {
            loop {
                tokio::spawn(serve(accept(&listener).await?));
            }
        });
        accepts.await?
    })
}

async fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    wrk::measure_and_exit(listener.local_addr()?);
    Ok(listener)
}

/// Small writes go at once, as with the other.
async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn serve(stream: TcpStream) {
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello));
    // A client that leaves is no matter here.
    let _ = served.await;
}

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("Hello, World!")))
}
