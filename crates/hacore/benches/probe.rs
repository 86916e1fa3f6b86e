//! The CPU that one check costs the checking thread: user and system time, without what the checked server spends.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hacore::health::{CheckStatus, Verdict};
use hacore::probe::steps::{HttpRequest, Program};
use hacore::probe::{Context, Target, Timeouts, builtin, run};
use nix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be built")
}

/// A server on a thread of its own that reads once and answers.
fn serve(answer: &'static [u8]) -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
            sender.send(listener.local_addr()).expect("somebody waits for the address");
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { continue };
                if stream.read(&mut [0; 512]).await.is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(answer).await;
                }
            }
        });
    });
    receiver.recv().expect("the server starts").expect("a bound listener has an address")
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn checks(c: &mut Criterion) {
    let mut group = c.benchmark_group("CPU of a check");
    for (name, program, answer) in [
        ("tcp", Program::default(), b"" as &[u8]),
        (
            "httpchk",
            Program::http_check(HttpRequest::default(), vec![]),
            b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n",
        ),
        ("redis-check", builtin::redis(), b"+PONG\r\n"),
    ] {
        let target = Target::tcp(serve(answer));
        let timeouts = Timeouts::new(Duration::from_secs(5), None, None);
        let context = Context::default();
        let runtime = runtime();
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let start = cpu();
                runtime.block_on(async {
                    for _ in 0..count {
                        let result = run(&program, &target, &timeouts, &context).await;
                        assert!(
                            result.status.verdict() == Verdict::Passed
                                || result.status == CheckStatus::Unknown
                        );
                    }
                });
                cpu() - start
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = checks
}
criterion_main!(benches);
