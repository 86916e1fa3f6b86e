//! Keys and certificates that a test makes with OpenSSL's command, and that command as a client.
//!
//! What cannot be made or read ends the test: the panics are its verdict.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::environment;

/// A folder with an authority (`ca.pem`, `ca.key`), another one (`other.pem`), and `site.pem` with its key for `a.example`.
pub struct Pki {
    folder: tempfile::TempDir,
}

/// What the command prints; it must succeed.
pub fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

impl Pki {
    /// `None`, and said so, without the command.
    pub fn new(test: &str, responder: Option<SocketAddr>) -> Option<Self> {
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

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the command in the folder.
    pub fn openssl(&self, arguments: &str) -> String {
        openssl(self.folder.path(), arguments)
    }

    /// A file made of others.
    pub fn join(&self, name: &str, parts: &[&str]) {
        let text: String =
            parts.iter().map(|part| std::fs::read_to_string(self.path(part)).unwrap()).collect();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// What `s_client` prints of a connection on which `input` is said and everything is read.
    pub fn client(&self, address: SocketAddr, arguments: &str, input: &str) -> String {
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
