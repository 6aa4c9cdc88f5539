//! hyper's hello, for the benchmarks: `hyper_bench [WORKERS]` loads itself with
//! wrk and prints what a request costs.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use ferrevent::asynch::{AsyncStream, Listener, Runtime};
use ferrevent::{EventLoop, Pool};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

#[path = "../../../bench/wrk.rs"]
mod wrk;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    match std::env::args().nth(1) {
        None => {
            let mut events = EventLoop::new()?;
            let runtime = events.runtime();
            let tasks = events.local_executor();
            events.block_on(async move {
                let listener = listen(&runtime).await?;
                loop {
                    let stream = listener.accept().await?;
                    tasks.spawn(serve(stream)).detach();
                }
            })?
        }
        Some(workers) => {
            let pool = Pool::new(workers.parse()?)?;
            let runtime = pool.runtime();
            pool.block_on(async move {
                let listener = listen(&runtime).await?;
                let tasks = runtime.clone();
                let accepts = async move {
                    loop {
                        let stream = listener.accept().await?;
                        tasks.spawn(serve(stream)).detach();
                    }
                };
                runtime.spawn(accepts).await?
            })?
        }
    }
}

async fn listen(runtime: &Runtime) -> Result<Listener, Box<dyn Error + Send + Sync>> {
    let listener = runtime.listen(&"127.0.0.1:0".parse()?).await?;
    let address = listener.local_addr().ok_or("it is a TCP listener")?;
    wrk::measure_and_exit(address);
    Ok(listener)
}

async fn serve(stream: AsyncStream) {
    let served = http1::Builder::new().serve_connection(stream, service_fn(hello));
    // A client that leaves is no matter here.
    let _ = served.await;
}

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("Hello, World!")))
}
