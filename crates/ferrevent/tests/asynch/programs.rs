//! The programs of others on the far side: curl, h2load, wrk, OpenSSL.

use std::io;
use std::process::Command;

use ferrevent::asynch::Runtime;
use ferrevent::tls::{Client, Server};
use ferrevent::{Address, BackendKind};
use hyper::Version;

use crate::certificates::authority;
use crate::common::kinds;
use crate::everywhere::{everywhere, on};
use crate::peers::{Files, free_port, start, wait_for};
use crate::protocols::{http_server, hyper_server};

#[allow(dead_code, reason = "it has a main of its own")]
#[path = "../../examples/https_fetch.rs"]
mod https_fetch;

/// Runs a program to its end on a thread of its own; it must succeed.
async fn run(runtime: &Runtime, program: &'static str, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = runtime.spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}{complained}");
    Ok(said)
}

fn on_real_kernels<F: Future<Output = io::Result<()>>>(test: impl Fn(Runtime) -> F) {
    for kind in kinds().filter(|kind| !matches!(kind, BackendKind::Simulated(_))) {
        for workers in [None, Some(2)] {
            on(kind, workers, None, &test);
        }
    }
}

#[test]
fn curl_is_answered() {
    let files = Files::new("asynch-curl");
    let (much, file) = ("x".repeat(300_000), files.name("much"));
    std::fs::write(&file, &much).unwrap();
    on_real_kernels(|runtime| {
        let (much, body) = (much.clone(), format!("@{file}"));
        async move {
            let address = http_server(&runtime).await?;
            let page = format!("http://{address}/curl");
            for version in ["--http1.1", "--http2-prior-knowledge"] {
                // Twice on one connection, but not where curl 7.88 cannot: what it
                // knows before, it says again (curl's issue 10634).
                let pages = if version == "--http1.1" { 2 } else { 1 };
                let arguments = [&["-sS", version][..], &vec![page.as_str(); pages]].concat();
                let said = run(&runtime, "curl", &arguments).await?;
                assert_eq!(said, "hello curl\n".repeat(pages), "{version}");
                let arguments = ["-sS", version, "--data-binary", &body, &page];
                let said = run(&runtime, "curl", &arguments).await?;
                assert!(said == much, "{version}: {} bytes", said.len());
            }
            Ok(())
        }
    });
}

/// Several requests on one connection: by TLS curl can do so with HTTP/2 too.
#[test]
fn curl_goes_on_by_tls() {
    let files = Files::new("asynch-curl-tls");
    let ca = files.name("ca.pem");
    on_real_kernels(|runtime| {
        let ca = ca.clone();
        async move {
            let server = Server::builder().certificates(authority().server("localhost"));
            let server = server.alpn(["h2", "http/1.1"]).build();
            let server = server.map_err(io::Error::other)?;
            let any = "127.0.0.1:0".parse().unwrap();
            let listener = runtime.listen_tls(&any, &server).await?;
            let port = listener.local_addr().unwrap().port();
            let serve = hyper_server::serve(runtime.clone(), listener);
            let serve = runtime.spawn(serve);
            let page = format!("https://localhost:{port}/curl");
            let resolve = format!("localhost:{port}:127.0.0.1");
            for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
                let arguments = [
                    "-sS",
                    flag,
                    "--cacert",
                    &ca,
                    "--resolve",
                    &resolve,
                    "-w",
                    "%{http_version} %{num_connects}\n",
                    &page,
                    &page,
                    &page,
                ];
                let said = run(&runtime, "curl", &arguments).await?;
                let all = format!(
                    "hello curl\n{version} 1\n{}",
                    format!("hello curl\n{version} 0\n").repeat(2)
                );
                assert_eq!(said, all);
            }
            drop(serve);
            Ok(())
        }
    });
}

/// HTTP/2 that begins as such, several requests at once on one connection.
#[test]
fn nghttp_is_answered() {
    on_real_kernels(|runtime| async move {
        let address = http_server(&runtime).await?;
        let pages = ["a", "b", "c"].map(|name| format!("http://{address}/{name}"));
        let [a, b, c] = &pages;
        let said = run(&runtime, "nghttp", &[a, b, c]).await?;
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["hello a", "hello b", "hello c"]);
        Ok(())
    });
}

#[test]
fn a_load_is_answered() {
    on_real_kernels(|runtime| async move {
        let address = http_server(&runtime).await?;
        let page = format!("http://{address}/");
        for arguments in [
            &["-n", "2000", "-c", "10", "-m", "10"][..],
            &["--h1", "-n", "1000", "-c", "10"],
        ] {
            let said = run(&runtime, "h2load", &[arguments, &[&page]].concat()).await?;
            let all = format!(
                "{0} succeeded, 0 failed, 0 errored, 0 timeout",
                if arguments[0] == "--h1" { 1000 } else { 2000 }
            );
            assert!(said.contains(&all), "{said}");
        }
        let said = run(&runtime, "wrk", &["-t1", "-c20", "-d1", &page]).await?;
        assert!(said.contains("Requests/sec"), "{said}");
        assert!(
            !said.contains("Socket errors") && !said.contains("Non-2xx"),
            "{said}"
        );
        Ok(())
    });
}

/// HTTPS with our own TLS on both sides, HTTP/2 if the server has it.
#[test]
fn https_is_fetched() {
    everywhere(|runtime| async move {
        for (protocol, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
            let server = Server::builder().certificates(authority().server("localhost"));
            let server = server.alpn([protocol]).build().map_err(io::Error::other)?;
            let any = "127.0.0.1:0".parse().unwrap();
            let listener = runtime.listen_tls(&any, &server).await?;
            let address: Address = listener.local_addr().unwrap().into();
            let serve = runtime.spawn(hyper_server::serve(runtime.clone(), listener));
            let client = Client::builder().roots(authority().roots());
            let fetched = https_fetch::fetch(&runtime, client, &address, "localhost", "/tls");
            let fetched = fetched.await.map_err(io::Error::other)?;
            assert_eq!(fetched, (version, 200, "hello tls\n".into()));
            drop(serve);
        }
        Ok(())
    });
}

#[test]
fn a_certificate_of_nobody_is_refused() {
    on_real_kernels(|runtime| async move {
        let server = Server::builder().certificates(authority().server("localhost"));
        let server = server.build().map_err(io::Error::other)?;
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = runtime.listen_tls(&any, &server).await?;
        let address = listener.local_addr().unwrap().into();
        let client = Client::builder().roots(authority().roots());
        let client = client.build().map_err(io::Error::other)?;
        let refused = runtime.connect_tls_as(&address, &client, "elsewhere").await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
        Ok(())
    });
}

/// HTTPS from OpenSSL's own server.
#[test]
fn https_is_fetched_from_openssl() {
    let files = Files::new("asynch");
    let (port, own, key) = (
        free_port(),
        files.name("server.pem"),
        files.name("server.key"),
    );
    let accept = port.to_string();
    let arguments = [
        "s_server", "-www", "-quiet", "-accept", &accept, "-cert", &own, "-key", &key,
    ];
    let server = start("openssl", &arguments);
    wait_for(port);
    on_real_kernels(|runtime| async move {
        let address = Address::Socket(([127, 0, 0, 1], port).into());
        let client = Client::builder()
            .roots(authority().roots())
            .allow_dirty_shutdown(true);
        let fetched = https_fetch::fetch(&runtime, client, &address, "localhost", "/");
        let (version, status, body) = fetched.await.map_err(io::Error::other)?;
        assert_eq!((version, status), (Version::HTTP_11, 200));
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains("Ciphers supported"), "{body}");
        Ok(())
    });
    drop(server);
}
