//! No memory is taken for a request once a connection is warm: counted by the allocator, with logs, headers, ACLs and rules on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hacore::sys::CountingAllocator;
use proxyd::model::Address;
use proxyd::proxy::{Process, Snapshot};
use proxyd::runtime::{Listeners, Runtime};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const WARM_UP: usize = 2000;
const MEASURED: usize = 5000;
/// What wheels and tables may take now and then, for all measured requests together.
const ALLOWED: u64 = 50;

const REQUEST: &[u8] = b"GET /static/a.css?x=y HTTP/1.1\r\nhost: example.com\r\nuser-agent: test\r\naccept: */*\r\ncookie: a=b; c=d\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/css\r\n\r\nhello";

/// None holds for the request, so that all are evaluated.
const CHAIN: [&str; 16] = [
    "path_beg /api",
    "path_end .gif .png .jpg",
    "path -i /Logout",
    "path_dir admin",
    "path_reg ^/v[0-9]+/users/[0-9]+$",
    "hdr(host) -i static.example.com",
    "hdr_end(host) -i .example.org",
    "hdr_sub(user-agent) -i bot",
    "src 10.0.0.0/8 192.168.0.0/16",
    "method POST PUT",
    "urlp(debug) 1",
    "req.cook(admin) -m found",
    "req.hdr(x-forwarded-for) -m ip 10.0.0.0/8",
    "req.hdr_cnt(accept) gt 1",
    "dst_port 8443",
    "be_conn(files) gt 1000",
];

/// Fetches of most configurations. (Converters that change text make one copy.)
const FETCHES: [&str; 11] = [
    "src",
    "src_port",
    "dst",
    "method",
    "path",
    "query",
    "url_param(x)",
    "req.hdr(host)",
    "req.cook(a)",
    "req.ver",
    "fe_name",
];

fn configuration(log: std::net::SocketAddr, server: std::net::SocketAddr) -> String {
    // A line has room for 64 words.
    let chain: String = CHAIN.map(|condition| format!(" http-request deny if {{ {condition} }}\n")).concat();
    let fetches = FETCHES.map(|fetch| format!("%[{fetch}]")).join(",");
    format!(
        "global\n log {log} local0\n\
         defaults\n mode http\n log global\n option httplog\n option forwardfor\n http-reuse always\n\
         timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
         frontend web\n bind 127.0.0.1:1\n{chain} http-request set-header x-seen {fetches}\n\
         acl static path_beg /static\n acl css path_end .css\n\
         http-request set-header x-forwarded-proto http if css\n use_backend files if static\n default_backend files\n\
         backend files\n balance roundrobin\n server s1 {server}\n server s2 {server}\n"
    )
}

/// Answers every request on every connection.
fn origin() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        CountingAllocator::ignore_this_thread();
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                CountingAllocator::ignore_this_thread();
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    if stream.write_all(RESPONSE).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_warm_connection_takes_no_memory_per_request() {
    CountingAllocator::ignore_this_thread();
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = configuration(sink.local_addr().unwrap(), origin());
    let loaded = proxyd::config::load_text("t.cfg", &text, Default::default(), Default::default());
    let mut config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    config.proxies[0].binds[0].address = Address::Inet(([127, 0, 0, 1], 0).into());
    let snapshot = Arc::new(Snapshot::build(&config, &Arc::new(Process::new(1, 1000))));
    let listeners = Listeners::bind(&snapshot, Vec::new()).unwrap();
    let runtime = Runtime::start(&snapshot, &listeners, "proxyd", &mut Default::default()).unwrap();
    let address = *snapshot.frontends().next().unwrap().listeners[0].bound.get().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 4096];
    let mut ask = |count: usize| {
        for _ in 0..count {
            client.write_all(REQUEST).unwrap();
            let mut received = 0;
            while !buffer[..received].ends_with(b"hello") {
                received += client.read(&mut buffer[received..]).unwrap();
            }
        }
    };
    ask(WARM_UP);
    let before = ALLOCATOR.allocations();
    ask(MEASURED);
    let taken = ALLOCATOR.allocations() - before;
    println!("{taken} allocations in {MEASURED} requests");
    runtime.hard_stop();
    runtime.join();
    assert!(taken <= ALLOWED, "{taken} allocations in {MEASURED} requests");
}
