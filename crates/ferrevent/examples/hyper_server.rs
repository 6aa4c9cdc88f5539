//! Says hello by HTTP/1.1 and HTTP/2, whichever a client speaks, with hyper on
//! a loop or a pool: `hyper_server ADDR [WORKERS]`. Try
//! `curl http://ADDR/you` and `curl --http2-prior-knowledge http://ADDR/you`.

use std::error::Error;
use std::io;

use bytes::Bytes;
use ferrevent::asynch::{Listener, Runtime};
use ferrevent::{EventLoop, Pool};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::server::conn::auto;

/// Serves every connection by a task of its own.
pub(crate) async fn serve(runtime: Runtime, listener: Listener) -> io::Result<()> {
    let mut http = auto::Builder::new(runtime.clone());
    http.http1().timer(runtime.clone());
    http.http2().timer(runtime.clone());
    loop {
        let stream = listener.accept().await?;
        let http = http.clone();
        let connection = async move {
            let served = http.serve_connection(stream, service_fn(answer)).await;
            if let Err(error) = served {
                eprintln!("a connection ended: {error}");
            }
        };
        runtime.spawn(connection).detach();
    }
}

/// Greets whoever asks, and gives back what it is sent.
pub(crate) async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.method() == Method::POST {
        let body = request.into_body().collect().await?.to_bytes();
        return Ok(Response::new(Full::new(body)));
    }
    let name = request.uri().path().trim_start_matches('/');
    let name = if name.is_empty() { "world" } else { name };
    Ok(Response::new(Full::new(format!("hello {name}\n").into())))
}

#[allow(dead_code, reason = "the tests have their own")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: hyper_server ADDR [WORKERS]";
    let address = arguments.next().ok_or(usage)?.parse()?;
    let run = async move |runtime: Runtime| {
        let listener = runtime.listen(&address).await?;
        serve(runtime, listener).await
    };
    match arguments.next() {
        None => {
            let mut events = EventLoop::new()?;
            let runtime = events.runtime();
            events.block_on(run(runtime))??;
        }
        Some(workers) => {
            let pool = Pool::new(workers.parse()?)?;
            let runtime = pool.runtime();
            pool.block_on(run(runtime))??;
        }
    }
    Ok(())
}
