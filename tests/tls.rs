//! TLS features and certificate commands, with OpenSSL's command as the other side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::daemon::Daemon;
use testkit::{environment, port, wait};

/// A folder with an authority (`ca.pem`, `ca.key`), another one (`other.pem`), and `site.pem` with its key for `a.example`.
struct Pki {
    folder: tempfile::TempDir,
}

fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Pki {
    /// `None`, and said so, without the command.
    fn new(test: &str, responder: Option<SocketAddr>) -> Option<Self> {
        if environment::installed("openssl").is_none() {
            environment::skip(test, "openssl is not installed");
            return None;
        }
        let pki = Self { folder: tempfile::tempdir().unwrap() };
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for (name, subject) in [("ca", "/O=Tests/CN=Authority"), ("other", "/CN=Other")] {
            pki.openssl(&format!(
                "req -x509 {ec} -keyout {name}.key -out {name}.pem -days 30 -subj {subject}"
            ));
        }
        let access = responder.map_or_else(String::new, |address| {
            format!("authorityInfoAccess=OCSP;URI:http://{address}/ocsp\n")
        });
        let extensions = format!("subjectAltName=DNS:a.example\n{access}");
        std::fs::write(pki.path("site.cnf"), extensions).unwrap();
        pki.openssl(&format!("req {ec} -keyout site.key -out site.csr -subj /CN=a.example"));
        pki.openssl("x509 -req -in site.csr -CA ca.pem -CAkey ca.key -set_serial 0x1001 -days 20 -extfile site.cnf -out site.crt");
        pki.join("site.pem", &["site.crt", "site.key"]);
        pki.join("sign.pem", &["ca.pem", "ca.key"]);
        std::fs::copy(pki.path("ca.pem"), pki.path("site.pem.issuer")).unwrap();
        Some(pki)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &str) -> String {
        openssl(self.folder.path(), arguments)
    }

    fn join(&self, name: &str, parts: &[&str]) {
        let text: String =
            parts.iter().map(|part| std::fs::read_to_string(self.path(part)).unwrap()).collect();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// What `s_client` prints of a connection on which `input` is said and everything is read.
    fn client(&self, address: SocketAddr, arguments: &str, input: &str) -> String {
        let mut client = Command::new("openssl")
            .args(["s_client", "-connect", &address.to_string(), "-ign_eof"])
            .args(arguments.split(' ').filter(|word| !word.is_empty()))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A client that was refused reads nothing.
        let _ = client.stdin.take().unwrap().write_all(input.as_bytes());
        let output = client.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

/// A proxy whose sections follow the usual beginning; `{pki}` in them is the folder.
fn proxy(program: &Path, pki: &Pki, global: &str, sections: &str, await_at: SocketAddr) -> Daemon {
    let text = format!(
        "global\n  stats socket {{dir}}/admin.sock level admin\n{global}\ndefaults\n  mode http\n  timeout client 10s\n  timeout \
         server 10s\n  timeout connect 10s\n{sections}\n"
    );
    let text = text.replace("{pki}", &pki.folder.path().display().to_string());
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
        openssl(
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
    let folder = pki.folder.path().to_owned();
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

    let path = pki.path("site.pem").display().to_string();
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
