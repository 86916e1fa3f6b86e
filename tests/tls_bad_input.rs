//! Certificates, keys and names that are no good, beside the genuine haproxy, and clients that never finish their hello.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::daemon::Daemon;
use testkit::pki::Pki;
use testkit::{environment, port, wait};

/// Configuration of `openssl ca`, which alone can choose both dates.
const CA: &str = "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nnew_certs_dir=.\ndefault_md=sha256\npolicy=names\n\
                  rand_serial=yes\nunique_subject=no\n[names]\ncommonName=supplied\n";

/// The files of the table below.
fn prepare(pki: &Pki) {
    std::fs::write(pki.path("ca.cnf"), CA).unwrap();
    std::fs::write(pki.path("index.txt"), "").unwrap();
    for (name, from, until) in [("expired", "2020", "2021"), ("future", "2040", "2041")] {
        pki.openssl(&format!(
            "ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in site.csr -out {name}.crt -startdate {from}0101000000Z -enddate \
             {until}0101000000Z -notext"
        ));
        pki.join(&format!("{name}.pem"), &[&format!("{name}.crt"), "site.key"]);
    }
    pki.openssl("ec -in site.key -aes256 -passout pass:secret -out sealed.key");
    pki.openssl("pkcs8 -topk8 -in site.key -passout pass:secret -out sealed8.key");
    for bits in [512, 1024, 2048] {
        let name = format!("rsa{bits}");
        pki.openssl(&format!(
            "req -x509 -newkey rsa:{bits} -nodes -keyout {name}.key -out {name}.crt -days 30 -subj /CN=a.example -sha256"
        ));
        pki.join(&format!("{name}.pem"), &[&format!("{name}.crt"), &format!("{name}.key")]);
    }
    let cut = |name: &str, from: &str, bytes: usize| {
        std::fs::write(pki.path(name), &pki.text(from)[..bytes]).unwrap();
    };
    cut("cut-certificate.pem", "site.crt", 300);
    cut("cut.key", "site.key", 120);
    pki.join("mismatched.pem", &["site.crt", "other.key"]);
    pki.join("sealed.pem", &["site.crt", "sealed.key"]);
    pki.join("sealed8.pem", &["site.crt", "sealed8.key"]);
    pki.join("cut-key.pem", &["site.crt", "cut.key"]);
    pki.join("wrong-order.pem", &["ca.pem", "site.crt", "site.key"]);
    pki.join("key-first.pem", &["site.key", "site.crt"]);
    pki.join("no-key.pem", &["site.crt"]);
    pki.join("no-certificate.pem", &["other.key"]);
    std::fs::write(pki.path("empty.pem"), "").unwrap();
    std::fs::write(pki.path("noise.pem"), [0xfe, 0, 0x80, b'-', 0xff].repeat(100)).unwrap();
    std::fs::create_dir(pki.path("folder")).unwrap();
    pki.join("folder/a.pem", &["site.pem"]);
    pki.join("folder/b.pem", &["site.crt"]);
}

/// Words of the bind line, what is accepted, and the words about it that name the thing and the reason.
const TABLE: &[(&str, bool, &[&str])] = &[
    // Dates are the client's business: a daemon that does not start because of one would make it worse.
    ("crt expired.pem", true, &[]),
    ("crt future.pem", true, &[]),
    ("crt mismatched.pem", false, &["mismatched.pem", "inconsistencies between private key and certificate"]),
    ("crt sealed.pem", false, &["sealed.pem", "passphrase"]),
    ("crt sealed8.pem", false, &["sealed8.pem", "passphrase"]),
    ("crt cut-certificate.pem", false, &["cut-certificate.pem", "unable to load certificate"]),
    ("crt cut-key.pem", false, &["cut-key.pem", "No Private Key found"]),
    (
        "crt wrong-order.pem",
        false,
        &["wrong-order.pem", "inconsistencies between private key and certificate"],
    ),
    ("crt key-first.pem", true, &[]),
    ("crt no-key.pem", false, &["no-key.pem", "No Private Key found"]),
    ("crt no-certificate.pem", false, &["no-certificate.pem", "unable to load certificate"]),
    ("crt empty.pem", false, &["empty.pem", "unable to load certificate"]),
    ("crt noise.pem", false, &["noise.pem", "unable to load certificate"]),
    ("crt nothing.pem", false, &["nothing.pem", "No such file"]),
    ("crt folder", false, &["folder/b.pem", "No Private Key found"]),
    ("crt rsa512.pem", false, &["rsa512.pem", "512 bits"]),
    ("crt rsa1024.pem", false, &["rsa1024.pem", "1024 bits"]),
    ("crt rsa2048.pem", true, &[]),
    ("crt site.pem ciphers NONSENSE", false, &["cipher list", "'NONSENSE'"]),
    ("crt site.pem ciphers NONSENSE:ECDHE-ECDSA-AES128-GCM-SHA256", true, &[]),
    ("crt site.pem ciphersuites TLS_NONSENSE", false, &["cipher suites", "'TLS_NONSENSE'"]),
    ("crt site.pem ciphersuites TLS_NONSENSE:TLS_AES_128_GCM_SHA256", true, &["TLS_NONSENSE"]),
    ("crt site.pem curves nonsense", false, &["curves", "'nonsense'"]),
    ("crt site.pem verify required ca-file empty.pem", false, &["empty.pem", "no certificate"]),
    ("crt site.pem verify required ca-file nothing.pem", false, &["nothing.pem", "No such file"]),
];

/// Whether a program takes a bind line, and what it says.
fn verdict(program: &Path, pki: &Pki, words: &str) -> (bool, String) {
    let text = format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend f\n bind 127.0.0.1:1 ssl \
         {words}\n http-request return status 200\n"
    );
    std::fs::write(pki.path("haproxy.cfg"), text).unwrap();
    let output = Command::new(program)
        .args(["-c", "-f", "haproxy.cfg"])
        .current_dir(pki.folder())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn bad_certificates_keys_and_names_get_the_genuine_verdict_and_are_named() {
    let Some(pki) = Pki::new("bad certificates", None) else { return };
    prepare(&pki);
    let ours = environment::built("proxyd").unwrap();
    let genuine = environment::installed("haproxy");
    let mut differences = String::new();
    for (words, accepted, named) in TABLE {
        let (verdict_of_ours, said) = verdict(&ours, &pki, words);
        if verdict_of_ours != *accepted || named.iter().any(|part| !said.contains(part)) {
            differences += &format!("{words}: {verdict_of_ours}, {said}\n");
        }
        if let Some(genuine) = &genuine
            && verdict(genuine, &pki, words).0 != *accepted
        {
            differences += &format!("{words}: the genuine program thinks otherwise\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Clients that stop in the middle of their hello.
const HALF_HANDSHAKES: usize = 2000;
/// What one of them may cost, in KiB; OpenSSL's need more than twice as much.
const HALF_HANDSHAKE_MAX_KIB: usize = 24;

fn resident_kib(pid: u32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn half_handshakes_cost_little_and_others_are_served() {
    let Some(pki) = Pki::new("half handshakes", None) else { return };
    let limit = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, hard) = nix::sys::resource::getrlimit(limit).unwrap();
    if hard < 3 * HALF_HANDSHAKES as u64 {
        return environment::skip("half handshakes", "too few file descriptors");
    }
    nix::sys::resource::setrlimit(limit, hard, hard).unwrap();
    let address = port::free_tcp().unwrap();
    let text = format!(
        "global\n maxconn 5000\ndefaults\n mode http\n timeout connect 9s\n timeout client 60s\n timeout server 9s\nfrontend f\n bind \
         {address} ssl crt {}\n http-request return status 200 content-type text/plain string served\n",
        pki.path("site.pem").display()
    );
    let mut daemon = Daemon::proxy(&environment::built("proxyd").unwrap(), &text).unwrap();
    daemon.await_listening(address).unwrap();
    let served = || {
        let seen = pki.client(address, "", "GET / HTTP/1.0\r\n\r\n");
        assert!(seen.contains("served"), "{seen}");
    };
    served();
    let before = resident_kib(daemon.pid());
    // A record of 512 bytes with a hello of 508, and nothing of what it says (RFC 8446, section 4).
    let half = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 200]].concat();
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..HALF_HANDSHAKES {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(&half).unwrap();
        clients.push(client);
    }
    served();
    let each = (resident_kib(daemon.pid()).saturating_sub(before)) / HALF_HANDSHAKES;
    assert!(each <= HALF_HANDSHAKE_MAX_KIB, "{each} KiB each");
    // One that was forgotten for so long may still go on, here with something wrong.
    let mut last = clients.pop().unwrap();
    last.set_read_timeout(Some(wait::LIMIT)).unwrap();
    last.write_all(&[0xff; 400]).unwrap();
    let mut answer = Vec::new();
    let _ = last.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
    drop(clients);
    served();
}
