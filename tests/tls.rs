//! TLS features and certificate commands, with OpenSSL's command as the other side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use testkit::daemon::Daemon;
use testkit::pki::Pki;
use testkit::{environment, pki, port, wait};

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

/// A proxy whose sections follow the usual beginning; `{pki}` in them is the folder.
fn proxy(program: &Path, pki: &Pki, global: &str, sections: &str, await_at: SocketAddr) -> Daemon {
    let text = format!(
        "global\n  stats socket {{dir}}/admin.sock level admin\n{global}\ndefaults\n  mode http\n  timeout client 10s\n  timeout \
         server 10s\n  timeout connect 10s\n{sections}\n"
    );
    let text = text.replace("{pki}", &pki.folder().display().to_string());
    let mut daemon = Daemon::proxy(program, &text).unwrap();
    daemon.await_listening(await_at).unwrap();
    daemon
}

fn proxyd(pki: &Pki, global: &str, sections: &str, await_at: SocketAddr) -> Daemon {
    proxy(&environment::built("proxyd").unwrap(), pki, global, sections, await_at)
}

fn ask(daemon: &Daemon, command: &str) -> String {
    let mut stream = UnixStream::connect(daemon.path("admin.sock")).unwrap();
    stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A frontend that answers with a format.
fn frontend(address: SocketAddr, words: &str, format: &str) -> String {
    format!(
        "frontend fe\n  bind {address} ssl crt {{pki}}/site.pem {words}\n  http-request return status 200 content-type \
         text/plain lf-string \"[[{format}]]\""
    )
}

/// What the frontend's format gave.
fn told(seen: &str) -> &str {
    seen.split("[[").nth(1).and_then(|rest| rest.split("]]").next()).unwrap_or_default()
}

/// Answers each OCSP request with what `openssl ocsp` says of it; ends with the test.
fn respond(listener: TcpListener, folder: PathBuf) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = Vec::new();
        let body = loop {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            request.extend_from_slice(&bytes[..count]);
            let head = String::from_utf8_lossy(&request).into_owned();
            let Some(end) = head.find("\r\n\r\n") else { continue };
            let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length: usize = length.unwrap().parse().unwrap();
            if request.len() >= end + 4 + length {
                break request[end + 4..].to_vec();
            }
        };
        std::fs::write(folder.join("question"), body).unwrap();
        pki::openssl(
            &folder,
            "ocsp -index index.txt -rsigner ca.pem -rkey ca.key -CA ca.pem -reqin question -respout answer -ndays 1",
        );
        let answer = std::fs::read(folder.join("answer")).unwrap();
        let head = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
    }
}

#[test]
fn ocsp_update_asks_the_responder_and_staples_what_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let responder = listener.local_addr().unwrap();
    let Some(pki) = Pki::new("ocsp-update", Some(responder)) else { return };
    let status =
        |line: &str| std::fs::write(pki.path("index.txt"), format!("{line}\tunknown\t/CN=a.example\n"));
    status("V\t401231235959Z\t\t1001").unwrap();
    let folder = pki.folder().to_owned();
    std::thread::spawn(move || respond(listener, folder));
    let address = port::free_tcp().unwrap();
    let [crt, key, issuer] =
        ["site.crt", "site.key", "ca.pem"].map(|name| pki.path(name).display().to_string());
    std::fs::write(pki.path("list"), format!("{crt} [key {key} issuer {issuer} ocsp-update on]\n")).unwrap();
    let sections = format!(
        "frontend fe\n  bind {address} ssl crt-list {{pki}}/list\n  http-request return status 200 content-type text/plain \
         lf-string ok"
    );
    let daemon = proxyd(&pki, "", &sections, address);
    let updated =
        || ask(&daemon, "show ssl ocsp-updates").contains(" | 1 | 0 | 1 | Update successful\n").then_some(());
    assert!(wait::until(wait::LIMIT, updated).is_some(), "{}", ask(&daemon, "show ssl ocsp-updates"));
    let seen = pki.client(address, "-status -CAfile ca.pem", GET);
    assert!(
        seen.contains("OCSP Response Status: successful") && seen.contains("Cert Status: good"),
        "{seen}"
    );

    let path = pki.path("site.crt").display().to_string();
    let shown = ask(&daemon, &format!("show ssl ocsp-response {path}"));
    assert!(shown.contains("Serial Number: 1001\n    Cert Status: good\n"), "{shown}");
    // Revoked meanwhile: asked for by command, and shown by it.
    status("R\t401231235959Z\t250101000000Z,keyCompromise\t1001").unwrap();
    let answer = ask(&daemon, &format!("update ssl ocsp-response {path}"));
    assert!(answer.contains("Revocation Reason: keyCompromise (0x1)"), "{answer}");
    assert!(pki.client(address, "-status", GET).contains("Cert Status: revoked"));

    // By hand, too; a response about another certificate is refused.
    let base64 = ask(&daemon, &format!("show ssl ocsp-response base64 {path}"));
    assert_eq!(ask(&daemon, &format!("set ssl ocsp-response {base64}")), "OCSP Response updated!\n\n");
    assert!(ask(&daemon, "set ssl ocsp-response abc").contains("received invalid base64 encoded response."));
}

#[test]
fn tickets_of_one_process_are_good_for_another_that_reads_the_same_keys() {
    let Some(pki) = Pki::new("tls-ticket-keys", None) else { return };
    let keys: String = (0..3).map(|_| pki.openssl("rand -base64 48")).collect();
    std::fs::write(pki.path("keys"), keys).unwrap();
    let addresses = [port::free_tcp().unwrap(), port::free_tcp().unwrap(), port::free_tcp().unwrap()];
    let words = ["tls-ticket-keys {pki}/keys", "tls-ticket-keys {pki}/keys", ""];
    let daemons: Vec<Daemon> = addresses
        .iter()
        .zip(words)
        .map(|(address, words)| {
            proxyd(&pki, "", &frontend(*address, words, "%[ssl_fc_is_resumed]"), *address)
        })
        .collect();
    assert_eq!(told(&pki.client(addresses[0], "-tls1_2 -sess_out session", GET)), "0");
    let again = |address| told(&pki.client(address, "-tls1_2 -sess_in session", GET)).to_owned();
    assert_eq!(again(addresses[1]), "1", "another process");
    assert_eq!(again(addresses[2]), "0", "one that has other keys");

    // Keys move up: after one more than three new ones the ticket's is gone.
    let name = pki.path("keys").display().to_string();
    assert_eq!(ask(&daemons[1], "show tls-keys"), format!("# id (file)\n0 ({name})\n\n"));
    assert_eq!(again(addresses[1]), "1");
    for _ in 0..3 {
        let fresh = pki.openssl("rand -base64 48");
        assert_eq!(
            ask(&daemons[1], &format!("set ssl tls-key #0 {}", fresh.trim())),
            "TLS ticket key updated!\n\n"
        );
    }
    assert_eq!(again(addresses[1]), "0");
    assert!(ask(&daemons[1], "set ssl tls-key #7 AAAA").starts_with("'set ssl tls-key' unable to locate"));
}

#[test]
fn generate_certificates_forges_one_for_the_name_that_is_asked_for() {
    let Some(pki) = Pki::new("generate-certificates", None) else { return };
    let address = port::free_tcp().unwrap();
    let words = "generate-certificates ca-sign-file {pki}/sign.pem";
    let _daemon = proxyd(&pki, "", &frontend(address, words, "%[ssl_f_s_dn(CN,-1)]"), address);
    let verified = |name: &str| {
        pki.client(address, &format!("-CAfile ca.pem -servername {name} -verify_hostname {name}"), GET)
    };
    let forged = verified("forged.example");
    assert!(forged.contains("Verify return code: 0 (ok)") && told(&forged) == "forged.example", "{forged}");
    let own = verified("a.example");
    assert!(own.contains("Verify return code: 0 (ok)") && told(&own) == "a.example", "{own}");
}

#[test]
fn a_client_s_offer_is_told_as_the_genuine_program_tells_it() {
    let Some(pki) = Pki::new("ClientHello capture", None) else { return };
    let Some(genuine) = environment::installed("haproxy") else {
        return environment::skip("ClientHello capture", "haproxy is not installed");
    };
    // JA3 is made of these.
    let format = "%[ssl_fc_protocol_hello_id],%[ssl_fc_cipherlist_bin(1),be2dec(-,2)],%[ssl_fc_extlist_bin(1),be2dec(-,2)],\
                  %[ssl_fc_eclist_bin(1),be2dec(-,2)],%[ssl_fc_ecformats_bin,be2dec(-,1)] %[ssl_fc_cipherlist_str] \
                  %[ssl_fc_cipherlist_hex] %[ssl_fc_cipherlist_xxh]";
    let offer = |program: &Path, size: u32| {
        let address = port::free_tcp().unwrap();
        let global = format!("  tune.ssl.capture-buffer-size {size}");
        let _daemon = proxy(program, &pki, &global, &frontend(address, "", format), address);
        let seen = pki.client(address, "-servername a.example -groups P-256:X25519 -tls1_2", GET);
        told(&seen).to_owned()
    };
    let ours = environment::built("proxyd").unwrap();
    let whole = offer(&ours, 1024);
    assert!(whole.starts_with("771,") && whole.contains("ECDHE-ECDSA-AES128-GCM-SHA256"), "{whole}");
    assert_eq!(whole, offer(&genuine, 1024));
    assert!(offer(&ours, 8).split(' ').nth(2).unwrap().len() <= 16, "no more than the buffer");
}

#[test]
fn secrets_are_those_of_the_client_s_key_log() {
    let Some(pki) = Pki::new("tune.ssl.keylog", None) else { return };
    let address = port::free_tcp().unwrap();
    let format =
        "CLIENT_TRAFFIC_SECRET_0 %[ssl_fc_client_random,hex,lower] %[ssl_fc_client_traffic_secret_0]";
    let _daemon = proxyd(&pki, "  tune.ssl.keylog on", &frontend(address, "", format), address);
    let seen = pki.client(address, "-tls1_3 -keylogfile secrets", GET);
    let line = told(&seen);
    assert!(line.len() > 100 && pki.text("secrets").contains(line), "{line}");
}

#[test]
fn a_ca_file_is_replaced_while_it_is_used() {
    let Some(pki) = Pki::new("set ssl ca-file", None) else { return };
    let address = port::free_tcp().unwrap();
    let words = "ca-file {pki}/other.pem verify required";
    let daemon = proxyd(&pki, "", &frontend(address, words, "in"), address);
    let client = || told(&pki.client(address, "-cert site.pem -key site.key", GET)) == "in";
    assert!(!client(), "its authority is not known");
    let name = pki.path("other.pem").display().to_string();
    let add = format!("add ssl ca-file {name} <<\n{}", pki.text("ca.pem"));
    assert_eq!(ask(&daemon, &add), format!("transaction created for CA {name}!\n\n"));
    assert!(!client(), "not before the commit");
    assert_eq!(
        ask(&daemon, &format!("commit ssl ca-file {name}")),
        format!("Committing {name}.\nSuccess!\n\n")
    );
    assert!(client());
    assert!(ask(&daemon, "show ssl ca-file").contains(&format!("{name} - 2 certificate(s)\n")));
    assert!(ask(&daemon, &format!("del ssl ca-file {name}")).contains("in use, can't be deleted!"));
    // One without the client's authority again.
    ask(&daemon, &format!("set ssl ca-file {name} <<\n{}", pki.text("other.pem")));
    ask(&daemon, &format!("commit ssl ca-file {name}"));
    assert!(!client());
}

#[test]
fn early_data_is_taken_once_and_rules_can_wait_for_the_handshake() {
    let Some(pki) = Pki::new("allow-0rtt", None) else { return };
    let (address, origin) = (port::free_tcp().unwrap(), port::free_tcp().unwrap());
    let sections = format!(
        "frontend fe\n  bind {address} ssl crt {{pki}}/site.pem allow-0rtt\n  http-request wait-for-handshake if {{ path /wait }}\n  \
         http-response set-header x-received %[ssl_fc_early_rcvd]\n  default_backend be\nbackend be\n  server s1 \
         {origin}\nfrontend origin\n  bind {origin}\n  http-request return status 200 content-type text/plain lf-string \
         \"early-data=%[req.hdr(early-data)].\""
    );
    let _daemon = proxyd(&pki, "", &sections, address);
    let run = |session: &str, path: &str| {
        std::fs::write(pki.path("early"), format!("GET {path} HTTP/1.0\r\n\r\n")).unwrap();
        pki.client(address, &format!("-tls1_3 -alpn http/1.1 -sess_in {session} -early_data early"), "")
    };
    let remember = |session: &str| {
        let seen = pki.client(address, &format!("-tls1_3 -alpn http/1.1 -sess_out {session}"), GET);
        assert!(seen.contains("early-data=."), "{seen}");
    };
    remember("first");
    let seen = run("first", "/");
    assert!(seen.contains("Early data was accepted"), "{seen}");
    // Whether the request still says so depends on how far the handshake is when it is passed on.
    assert!(seen.contains("x-received: 1\r\n") && seen.contains("early-data="), "{seen}");
    // The same session again would be a replay.
    assert!(!run("first", "/").contains("Early data was accepted"));
    remember("second");
    let seen = run("second", "/wait");
    assert!(seen.contains("Early data was accepted") && seen.contains("early-data=."), "{seen}");
}

/// What an accepted connection says, up to `end`.
fn heard_until(stream: &mut impl Read, end: &[u8]) -> Vec<u8> {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(end) && matches!(stream.read(&mut byte), Ok(1)) {
        heard.push(byte[0]);
    }
    heard
}

#[test]
fn early_data_is_a_request_before_the_client_s_finished() {
    let Some(pki) = Pki::new("allow-0rtt early", None) else { return };
    let address = port::free_tcp().unwrap();
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let sections = format!(
        "frontend fe\n  bind {address} ssl crt {{pki}}/site.pem allow-0rtt\n  default_backend be\nbackend be\n  server s1 {}",
        origin.local_addr().unwrap()
    );
    let _daemon = proxyd(&pki, "", &sections, address);
    let (heard, requests) = std::sync::mpsc::channel();
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        for stream in origin.incoming() {
            let mut stream = stream.unwrap();
            loop {
                let request = heard_until(&mut stream, b"\r\n\r\n");
                if request.is_empty() || heard.send(String::from_utf8(request).unwrap()).is_err() {
                    break;
                }
                if answers.recv().is_err() {
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere").unwrap();
            }
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.path("ca.pem")).unwrap()).unwrap();
    let mut configuration = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.enable_early_data = true;
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    let configuration = Arc::new(configuration);
    let connect = || {
        let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(wait::LIMIT)).unwrap();
        socket.set_nodelay(true).unwrap();
        (rustls::ClientConnection::new(Arc::clone(&configuration), name).unwrap(), socket)
    };
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let (mut client, mut socket) = connect();
    let mut first = rustls::Stream::new(&mut client, &mut socket);
    first.write_all(request).unwrap();
    let seen = requests.recv_timeout(wait::LIMIT).unwrap();
    assert!(!seen.contains("early-data"), "{seen}");
    answer.send(()).unwrap();
    assert!(heard_until(&mut first, b"there").ends_with(b"there"));
    // The hello and the data in one piece, and in as many as there can be.
    for piece in [usize::MAX, 1] {
        let (mut client, mut socket) = connect();
        client.early_data().unwrap().write_all(request).unwrap();
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        for bytes in flight.chunks(piece) {
            socket.write_all(bytes).unwrap();
        }
        // Nothing was read, so nothing of the client's Finished is on its way.
        let seen = requests.recv_timeout(wait::LIMIT).expect("a request before the handshake is over");
        assert!(seen.contains("early-data: 1\r\n"), "{seen}");
        answer.send(()).unwrap();
        let mut stream = rustls::Stream::new(&mut client, &mut socket);
        assert!(heard_until(&mut stream, b"there").ends_with(b"there"));
        assert!(client.is_early_data_accepted());
        // The next request on the connection comes after the handshake.
        let mut stream = rustls::Stream::new(&mut client, &mut socket);
        stream.write_all(request).unwrap();
        let seen = requests.recv_timeout(wait::LIMIT).unwrap();
        assert!(!seen.contains("early-data"), "{seen}");
        answer.send(()).unwrap();
        assert!(heard_until(&mut stream, b"there").ends_with(b"there"));
    }
}

#[test]
fn the_proxy_header_tells_what_was_found_about_the_client_s_certificate() {
    let Some(pki) = Pki::new("send-proxy-v2-ssl", None) else { return };
    let mut programs = vec![environment::built("proxyd").unwrap()];
    programs.extend(environment::installed("haproxy"));
    for program in programs {
        let address = port::free_tcp().unwrap();
        let origin = TcpListener::bind("127.0.0.1:0").unwrap();
        let sections = format!(
            "listen fe\n  bind {address} ssl crt {{pki}}/site.pem verify optional ca-file {{pki}}/ca.pem crt-ignore-err all \
             ca-ignore-err all\n  server s1 {} send-proxy-v2-ssl",
            origin.local_addr().unwrap()
        );
        let _daemon = proxy(&program, &pki, "", &sections, address);
        let told = std::thread::spawn(move || {
            let found = |_| {
                let (mut stream, _) = origin.accept().unwrap();
                let mut heard = [0; 36];
                stream.read_exact(&mut heard).unwrap();
                heard_until(&mut stream, b"\r\n\r\n");
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
                // PP2_TYPE_SSL (0x20) behind the IPv4 addresses: its length, the client's flags, then `verify`.
                assert_eq!(heard[28], 0x20, "{heard:?}");
                (heard[31], u32::from_be_bytes(heard[32..36].try_into().unwrap()))
            };
            [0, 1, 2].map(found)
        });
        pki.client(address, "-cert other.pem -key other.key", GET);
        pki.client(address, "-cert site.crt -key site.key", GET);
        pki.client(address, "", GET);
        // X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_OK, and no certificate: "non-zero otherwise" (proxy-protocol.txt, section
        // 2.2.6); the genuine program writes 0 there.
        let [stranger, known, nobody] = told.join().unwrap();
        assert_eq!((stranger, known), ((7, 18), (7, 0)), "{}", program.display());
        assert_eq!(nobody, (1, u32::from(program.ends_with("proxyd"))), "{}", program.display());
    }
}

#[test]
fn sigalgs_and_the_name_of_a_request_reach_the_other_side() {
    let Some(pki) = Pki::new("sigalgs", None) else { return };
    pki.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.crt -days 30 -subj /CN=a.example",
    );
    pki.join("site.pem", &["rsa.crt", "rsa.key"]);
    let (address, inner) = (port::free_tcp().unwrap(), port::free_tcp().unwrap());
    let sections = format!(
        "{}\nlisten inner\n  bind {inner}\n  server s1 {address} ssl verify none sni-auto",
        frontend(address, "sigalgs rsa_pss_rsae_sha512", "sni=%[ssl_fc_sni]")
    );
    let _daemon = proxyd(&pki, "", &sections, address);
    let seen = pki.client(address, "-tls1_3", GET);
    assert!(seen.contains("Peer signing digest: SHA512"), "{seen}");
    let request = b"GET / HTTP/1.0\r\nhost: b.example:8080\r\n\r\n";
    let answer = testkit::raw::exchange(inner, &[request], wait::LIMIT).unwrap();
    assert!(String::from_utf8(answer).unwrap().contains("[[sni=b.example]]"));
}

#[test]
fn a_chain_is_completed_and_an_encrypted_key_opened_by_a_command() {
    let Some(pki) = Pki::new("issuers-chain-path", None) else { return };
    std::fs::create_dir(pki.path("chains")).unwrap();
    std::fs::copy(pki.path("ca.pem"), pki.path("chains/ca.pem")).unwrap();
    std::fs::remove_file(pki.path("site.pem.issuer")).unwrap();
    pki.openssl("pkcs8 -topk8 -in site.key -v2 aes-256-cbc -passout pass:secret -out sealed.key");
    pki.join("site.pem", &["site.crt", "sealed.key"]);
    std::fs::write(pki.path("word"), "secret\n").unwrap();
    let address = port::free_tcp().unwrap();
    let script = pki.path("passphrase");
    std::fs::write(&script, format!("#!/bin/sh\ncat {}\n", pki.path("word").display())).unwrap();
    Command::new("chmod").args(["+x", &script.display().to_string()]).status().unwrap();
    let global = "  issuers-chain-path {pki}/chains\n  ssl-passphrase-cmd {pki}/passphrase";
    let daemon = proxyd(&pki, global, &frontend(address, "", "ok"), address);
    let seen = pki.client(address, "-showcerts -CAfile ca.pem", GET);
    assert_eq!(seen.matches("-----BEGIN CERTIFICATE-----").count(), 2, "{seen}");
    let shown = ask(&daemon, &format!("show ssl cert {}", pki.path("site.pem").display()));
    assert!(shown.contains(&format!("Chain Filename: {}\n", pki.path("chains/ca.pem").display())), "{shown}");
}
