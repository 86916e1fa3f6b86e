//! TLS on both sides, with certificates made for the occasion.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::*;
use crate::tls::certificate::tests::make;
use crate::tls::client::{self, ClientParameters, ServerVerification};
use crate::tls::settings::{Settings, Side};
use crate::tls::store::CertificateStore;
use crate::tls::{Ready, backend, listener, pinned::Authorities};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A certificate on the disk as `crt` wants it, and as an authority.
struct Site {
    _folder: tempfile::TempDir,
    path: String,
    authorities: Authorities,
}

fn site(names: &[&str]) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = make(names);
    let path = folder.path().join("site.pem");
    std::fs::write(&path, format!("{certificate}{key}")).unwrap();
    let der = rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    Site { _folder: folder, path, authorities: Authorities::new(vec![der]) }
}

fn words(words: &[(&str, &str)]) -> Vec<TlsSetting> {
    let word = |(name, value): &(&str, &str)| TlsSetting { name: (*name).into(), value: (*value).into() };
    words.iter().map(word).collect()
}

/// Puts `ssl` with these words on the first bind.
fn with_tls(mut proxy: Proxy, list: &[(&str, &str)]) -> Proxy {
    let (words, global, mut problems) = (words(list), Default::default(), Vec::new());
    let files = Arc::default();
    let settings = Settings { global: &global, words: &words, side: Side::Bind, files: &files };
    let loaded = listener::certificates(&settings, &mut CertificateStore::default(), &mut problems);
    let made = listener::build(&settings, loaded, &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    proxy.binds[0].tls = true;
    proxy.binds[0].tls_listener = made.into();
    proxy
}

/// Puts `ssl` with these words on the first server.
fn with_server_tls(mut proxy: Proxy, list: &[(&str, &str)]) -> Proxy {
    let (words, global, mut problems) = (words(list), Default::default(), Vec::new());
    let files = Arc::default();
    let settings = Settings { global: &global, words: &words, side: Side::Server, files: &files };
    let made = backend::build(&settings, &mut CertificateStore::default(), &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    proxy.servers[0].tls = true;
    proxy.servers[0].tls_client = Ready(Some(Arc::new(made)));
    proxy
}

fn client(
    address: SocketAddr,
    name: &'static str,
    trusted: &[&Site],
) -> StreamOwned<ClientConnection, TcpStream> {
    let verification = match trusted {
        [] => ServerVerification::None,
        [site, ..] => ServerVerification::Required { authorities: site.authorities.clone(), host: None },
    };
    let config = client::configuration(&ClientParameters::new(verification)).unwrap();
    let tls = ClientConnection::new(config, ServerName::try_from(name).unwrap()).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(tls, stream)
}

fn read(from: &mut impl Read, count: usize) -> String {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn respond(mut server: Client, bodies: Vec<String>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for body in bodies {
            server.head();
            server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

#[test]
fn requests_over_tls_are_answered_and_kept_alive() {
    let (origin, site) = (Origin::new(), site(&["a.example"]));
    let proxyd = Proxyd::start(vec![with_tls(listen(&[origin.address()]), &[("crt", &site.path)])]);
    let mut client = client(proxyd.address(), "a.example", &[&site]);
    client.write_all(b"GET /1 HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let big = "x".repeat(3_000_000);
    let serving = respond(origin.accept(), vec!["ok".to_owned(), big.clone(), "ok".to_owned()]);
    assert_eq!(read(&mut client, OK.len()), OK);
    client.write_all(b"GET /2 HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n";
    assert_eq!(read(&mut client, head.len()), head);
    assert!(read(&mut client, big.len()) == big, "every byte of a body larger than all buffers");
    client.write_all(b"GET /3 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let rest = &mut String::new();
    // rustls reports an end without close_notify as an error.
    client.read_to_string(rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("ok"), "{rest}");
    serving.join().unwrap();
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let (first, second) = (site(&["a.example"]), site(&["*.b.example"]));
    let proxy = with_tls(listen(&[closed_port()]), &[("crt", &first.path), ("crt", &second.path)]);
    let proxyd = Proxyd::start(vec![proxy]);
    for (name, expected) in [("a.example", &first), ("x.b.example", &second)] {
        let mut client = client(proxyd.address(), name, &[expected]);
        client.write_all(b"GARBAGE\r\n\r\n").unwrap();
        assert!(read(&mut client, 12).starts_with("HTTP/1."), "{name}: the handshake went well");
    }
    let mut wrong = client(proxyd.address(), "a.example", &[&second]);
    assert!(wrong.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err(), "another one's certificate");
}

#[test]
fn plain_text_and_garbage_on_a_tls_port_end_the_connection() {
    let (origin, site) = (Origin::new(), site(&["a.example"]));
    let proxyd = Proxyd::start(vec![with_tls(listen(&[origin.address()]), &[("crt", &site.path)])]);
    for text in ["GET / HTTP/1.1\r\nhost: h\r\n\r\n", "\u{16}\u{3}\u{1}\u{0}\u{5}xxxxx", "\u{0}\u{0}\u{0}"] {
        let mut client = proxyd.client();
        client.send(text);
        if text.len() < 5 {
            client.finish_sending();
        }
        let mut rest = Vec::new();
        // An alert may come before the end, or a reset instead of it.
        let _ = client.stream.read_to_end(&mut rest);
        assert!(rest.len() <= 7, "at most an alert: {rest:?}");
    }
}

#[test]
fn a_hello_in_single_bytes_is_a_hello() {
    let (origin, site) = (Origin::new(), site(&["a.example"]));
    let proxyd = Proxyd::start(vec![with_tls(listen(&[origin.address()]), &[("crt", &site.path)])]);
    let mut client = client(proxyd.address(), "a.example", &[&site]);
    client.sock.set_nodelay(true).unwrap();
    let mut hello = Vec::new();
    client.conn.write_tls(&mut hello).unwrap();
    for byte in hello {
        client.sock.write_all(&[byte]).unwrap();
    }
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let serving = respond(origin.accept(), vec!["ok".to_owned()]);
    assert_eq!(read(&mut client, OK.len()), OK);
    serving.join().unwrap();
}

#[test]
fn a_silent_client_is_closed_after_timeout_client_hs() {
    let site = site(&["a.example"]);
    let mut proxy = with_tls(listen(&[closed_port()]), &[("crt", &site.path)]);
    proxy.timeouts.client_hs = Some(Duration::from_millis(20));
    let proxyd = Proxyd::start(vec![proxy]);
    assert_eq!(proxyd.client().rest(), "");
}

#[test]
fn verify_required_wants_a_certificate_of_the_client() {
    let (site, other) = (site(&["a.example"]), site(&["client.example"]));
    let list = [("crt", site.path.as_str()), ("verify", "required"), ("ca-file", other.path.as_str())];
    let proxyd = Proxyd::start(vec![with_tls(listen(&[closed_port()]), &list)]);
    let mut without = client(proxyd.address(), "a.example", &[&site]);
    let _ = without.write_all(b"GARBAGE\r\n\r\n");
    assert!(without.read(&mut [0; 10]).is_err(), "an alert");
}

fn tls_origin(origin: &Origin, site: &Site) -> StreamOwned<ServerConnection, TcpStream> {
    let words = words(&[("crt", &site.path)]);
    let (global, mut problems) = (Default::default(), Vec::new());
    let files = Arc::default();
    let settings = Settings { global: &global, words: &words, side: Side::Bind, files: &files };
    let loaded = listener::certificates(&settings, &mut CertificateStore::default(), &mut problems);
    let made = listener::build(&settings, loaded, &mut problems).unwrap();
    let stream = origin.listener.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ServerConnection::new(Arc::clone(&made.general().server)).unwrap(), stream)
}

#[test]
fn a_server_with_ssl_is_verified_and_its_connection_reused() {
    let (origin, site) = (Origin::new(), site(&["a.example"]));
    let list = [("verify", "required"), ("ca-file", site.path.as_str()), ("verifyhost", "a.example")];
    let proxyd = Proxyd::start(vec![with_server_tls(listen(&[origin.address()]), &list)]);
    let mut client = proxyd.client();
    let request = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    client.send(request);
    let mut server = tls_origin(&origin, &site);
    for round in 0..3 {
        assert_eq!(read(&mut server, request.len()), request, "round {round}");
        server.write_all(OK.as_bytes()).unwrap();
        assert!(client.head().starts_with("HTTP/1.1 200"));
        assert_eq!(client.bytes(2), "ok");
        if round < 2 {
            client.send(request);
        }
    }
    assert_eq!(proxyd.backend().counters.value(Counter::Connects), 1);
}

#[test]
fn set_server_ssl_switches_tls_on_and_off() {
    let (origin, site) = (Origin::new(), site(&["a.example"]));
    let mut proxy = with_server_tls(listen(&[origin.address()]), &[("verify", "none")]);
    (proxy.servers[0].tls, proxy.servers[0].tls_denied) = (false, true);
    let proxyd = Proxyd::start(vec![proxy]);
    let server = proxyd.backend().servers[0].clone();
    assert_eq!((server.tls_number(), server.uses_tls()), (-1, false));
    server.set_tls(true);
    let mut client = proxyd.client();
    let request = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    client.send(request);
    let mut secured = tls_origin(&origin, &site);
    assert_eq!(read(&mut secured, request.len()), request);
    secured.write_all(OK.as_bytes()).unwrap();
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.bytes(2), "ok");
    // The connection that was opened with TLS is not used without it.
    server.set_tls(false);
    client.send(request);
    let mut plain = origin.listener.accept().unwrap().0;
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(read(&mut plain, request.len()), request);
}

#[test]
fn a_server_with_a_wrong_certificate_gets_no_request() {
    let (origin, site, other) = (Origin::new(), site(&["a.example"]), site(&["a.example"]));
    let list = [("verify", "required"), ("ca-file", other.path.as_str())];
    let mut proxy = with_server_tls(listen(&[origin.address()]), &list);
    proxy.retries = 0;
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = tls_origin(&origin, &site);
    assert!(server.read(&mut [0; 10]).is_err(), "an alert");
    assert!(client.head().starts_with("HTTP/1.1 503"));
}

#[test]
fn a_certificate_replaced_a_thousand_times_fails_no_handshake() {
    const ROUNDS: usize = 1000;
    let (origin, site) = (Origin::new(), site(&["a.example"]));
    let proxyd = Proxyd::start(vec![with_tls(listen(&[origin.address()]), &[("crt", &site.path)])]);
    let frontend = proxyd.snapshot.frontends().next().unwrap();
    let tls = Arc::clone(frontend.listeners[0].model.tls_listener.0.as_ref().unwrap());
    let bundle = std::fs::read_to_string(&site.path).unwrap();
    let name = site.path.clone();
    let replacing = std::thread::spawn(move || {
        let mut replacement = crate::tls::replace::Replacement::default();
        for _ in 0..ROUNDS {
            let users = crate::tls::replace::Users { listeners: vec![&tls], servers: Vec::new() };
            let known = users.certificates();
            replacement.set(&name, &bundle, &known).unwrap();
            assert_eq!(replacement.commit(&name, &users).unwrap(), 1);
        }
        Arc::strong_count(&tls.loaded.lock()[0].certificate)
    });
    let mut handshakes = 0;
    while !replacing.is_finished() || handshakes == 0 {
        let mut client = client(proxyd.address(), "a.example", &[&site]);
        client.conn.complete_io(&mut client.sock).unwrap();
        handshakes += 1;
    }
    let holders = replacing.join().unwrap();
    assert!(
        holders <= 4,
        "the list, the table's exact name and default, a handshake: {holders} after {handshakes}"
    );
}

#[test]
fn options_of_a_crt_list_entry_hold_for_its_name_only() {
    let (one, two) = (site(&["one.example"]), site(&["two.example"]));
    let list = one._folder.path().join("list");
    std::fs::write(&list, format!("{}\n{} [ssl-min-ver TLSv1.3 alpn x]\n", one.path, two.path)).unwrap();
    let proxyd =
        Proxyd::start(vec![with_tls(listen(&[closed_port()]), &[("crt-list", list.to_str().unwrap())])]);
    let negotiated = |name: &str| {
        let mut roots = rustls::RootCertStore::empty();
        for site in [&one, &two] {
            roots.roots.extend(site.authorities.roots.roots.iter().cloned());
        }
        let provider = crate::tls::parameters::provider(&[], &[], &[]);
        let mut own = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        own.alpn_protocols = vec![b"x".to_vec(), b"http/1.1".to_vec()];
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(own), server).unwrap();
        let mut stream = TcpStream::connect(proxyd.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        while connection.is_handshaking() {
            // Verification of a self-made certificate may fail at the end; what was agreed on shows before.
            if connection.complete_io(&mut stream).is_err() {
                break;
            }
        }
        connection.alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(negotiated("two.example"), Some(b"x".to_vec()));
    assert_eq!(negotiated("one.example"), Some(b"http/1.1".to_vec()));
}

#[test]
fn maxsslconn_makes_the_next_client_wait_until_one_leaves() {
    let site = site(&["a.example"]);
    let proxy = with_tls(listen(&[closed_port()]), &[("crt", &site.path)]);
    let mut config = Config { proxies: vec![proxy], ..Config::default() };
    config.global.max_tls_connections = Some(1);
    let proxyd = Proxyd::start_with(config);
    let mut first = client(proxyd.address(), "a.example", &[&site]);
    first.conn.complete_io(&mut first.sock).unwrap();
    let mut second = client(proxyd.address(), "a.example", &[&site]);
    second.sock.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(second.conn.complete_io(&mut second.sock).is_err(), "nobody answers yet");
    assert_eq!(proxyd.snapshot.process.tls.connections.current(), 1);
    drop(first);
    second.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    second.conn.complete_io(&mut second.sock).unwrap();
}
