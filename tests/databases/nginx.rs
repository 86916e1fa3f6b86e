//! nginx as the application server with `/health`, and the chapter's `upstream` beside its equivalent.

use std::collections::BTreeMap;
use std::process::Command;

use testkit::daemon::Daemon;
use testkit::environment::{installed, skip};

use super::*;

const APPLICATIONS: [u8; 3] = [51, 52, 53];
const REQUESTS: usize = 40;

/// Three applications, and the chapter's balancer on host 60.
fn configuration(net: Net, folder: &Path) -> String {
    let dir = folder.display();
    let mut text = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
  uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
"
    );
    for host in APPLICATIONS {
        text += &format!(
            "  server {{ listen {}; location / {{ return 200 '{host} $connection\\n'; }}
           location /slow {{ root {dir}; limit_rate 16k; add_header X-Application {host}; }}
           location /health {{ if (-f {dir}/sick{host}) {{ return 503; }} return 200 'healthy\\n'; }} }}\n",
            net.at(host, 8080)
        );
    }
    let at = |host| net.at(host, 8080);
    text += &format!(
        "  upstream backend {{ least_conn; server {} weight=3; server {}; server {} backup; keepalive 32; }}
  server {{ listen {}; location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ''; }} }}
}}\n",
        at(51),
        at(52),
        at(53),
        net.at(60, 80)
    );
    text
}

type Counts = BTreeMap<String, usize>;

/// Which application answered how often, one request after the other, and over how many connections.
fn in_turn(address: SocketAddr) -> (Counts, usize) {
    let (mut counts, mut connections) = (Counts::new(), std::collections::BTreeSet::new());
    for _ in 0..REQUESTS {
        let answer = ask(address, b"GET / HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim().to_owned();
        let host = body.split(' ').next().unwrap_or_default().to_owned();
        *counts.entry(host).or_default() += 1;
        connections.insert(body);
    }
    (counts, connections.len())
}

/// The same with requests that are all served at the same time.
fn at_once(address: SocketAddr) -> Counts {
    let mut counts = Counts::new();
    let mut streams = Vec::new();
    for _ in 0..REQUESTS {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /slow HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        // The head is there before the next request begins.
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let host = head.lines().find_map(|line| line.strip_prefix("x-application: ")).unwrap().to_owned();
        *counts.entry(host).or_default() += 1;
        streams.push(stream);
    }
    counts
}

#[test]
fn the_chapters_nginx_upstream_has_an_equal() {
    const NAME: &str = "the_chapters_nginx_upstream_has_an_equal";
    let Some(nginx) = installed("nginx") else { return skip(NAME, "nginx is not installed") };
    let net = Net::new(3);
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("nginx.conf");
    std::fs::write(&file, configuration(net, base.path())).unwrap();
    std::fs::write(base.path().join("slow"), vec![b'x'; 1 << 20]).unwrap();
    let mut command = Command::new(nginx);
    command.arg("-e").arg(base.path().join("start.log")).arg("-p").arg(base.path()).arg("-c").arg(&file);
    let _nginx = Server::start(&mut command, &base.path().join("log"));
    expect("nginx", || http_status(net.at(51, 8080), "GET", "/health").filter(|status| *status == 200));

    let faster = [("inter 2s fall 2 rise 2", "inter 100ms fall 1 rise 1")];
    let mut daemon = Daemon::proxy(&proxyd(), &net.sample("nginx-upstream.cfg", 1, &faster)).unwrap();
    daemon.await_listening(net.at(1, 80)).unwrap();
    let socket = daemon.path("admin.sock");
    expect("all three UP", || (up(&socket, "backend").len() == 3).then_some(()));
    let ((ours, our_connections), (theirs, their_connections)) =
        (in_turn(net.at(1, 80)), in_turn(net.at(60, 80)));
    println!(
        "in turn: nginx {theirs:?} over {their_connections} connections, proxyd {ours:?} over {our_connections}"
    );
    for counts in [&ours, &theirs] {
        assert_eq!(counts.keys().map(String::as_str).collect::<Vec<_>>(), ["51", "52"], "{counts:?}");
    }
    assert!(our_connections <= 4, "connections are kept alive: {our_connections}");
    let (ours, theirs) = (at_once(net.at(1, 80)), at_once(net.at(60, 80)));
    println!("at once: nginx {theirs:?}, proxyd {ours:?}");
    for counts in [ours, theirs] {
        let heavy = counts["51"];
        assert!((REQUESTS * 3 / 4 - 2..=REQUESTS * 3 / 4 + 2).contains(&heavy), "{counts:?}");
    }

    // The backup serves once the others are sick, and only then.
    for host in [51, 52] {
        std::fs::write(base.path().join(format!("sick{host}")), "").unwrap();
    }
    expect("only the backup UP", || (up(&socket, "backend") == ["app3"]).then_some(()));
    assert_eq!(in_turn(net.at(1, 80)).0.into_keys().collect::<Vec<_>>(), ["53"]);
    std::fs::remove_file(base.path().join("sick52")).unwrap();
    expect("one application is well again", || (up(&socket, "backend").len() == 2).then_some(()));
    assert_eq!(in_turn(net.at(1, 80)).0.into_keys().collect::<Vec<_>>(), ["52"]);
}
