//! What the deploy hooks of acme.sh and certbot say on the admin socket, with the replies of both programs side by side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use testkit::daemon::Daemon;
use testkit::pki::Pki;
use testkit::{oracle, port, wait};

fn ask(daemon: &Daemon, command: &str) -> String {
    let mut stream = UnixStream::connect(daemon.path("admin.sock")).unwrap();
    stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The hook's dialogue, where `{dir}` is the folder of the `crt`: a certificate renewed, a new one, and what goes wrong.
fn dialogue(pki: &Pki) -> Vec<String> {
    let (site, rsa, half) = (pki.text("site.pem"), pki.text("rsa.pem"), pki.text("half.pem"));
    // The empty line that ends the payload is what `ask` adds.
    let set = |name: &str, pem: &str| format!("set ssl cert {{dir}}/{name} <<\n{}\n", pem.trim_end());
    let say = |words: &str| words.to_owned();
    vec![
        say("show ssl cert"),
        say("show ssl crt-list"),
        set("a.pem", &site),
        say("commit ssl cert {dir}/a.pem"),
        say("show ssl cert {dir}/b.pem"),
        say("new ssl cert {dir}/b.pem"),
        set("b.pem", &rsa),
        say("show ssl cert"),
        say("commit ssl cert {dir}/b.pem"),
        say("add ssl crt-list {dir} {dir}/b.pem"),
        say("show ssl crt-list {dir}"),
        say("show ssl crt-list {dir}/"),
        say("add ssl crt-list {dir}/ {dir}/b.pem"),
        say("add ssl crt-list {dir}/nothing {dir}/b.pem"),
        say("new ssl cert {dir}/b.pem"),
        say("commit ssl cert {dir}/b.pem"),
        set("nothing.pem", &site),
        set("a.pem", "garbage\n"),
        set("a.pem", &half),
        set("a.pem", &site),
        say("abort ssl cert {dir}/a.pem"),
        say("del ssl cert {dir}/b.pem"),
        say("del ssl crt-list {dir}/ {dir}/b.pem"),
        say("del ssl cert {dir}/b.pem"),
        say("show ssl cert"),
    ]
}

#[test]
fn deploy_hooks_read_the_same_replies() {
    let Some(programs) = oracle::proxies("deploy_hooks_read_the_same_replies") else { return };
    let Some(pki) = Pki::new("deploy_hooks_read_the_same_replies", None) else { return };
    pki.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.crt -days 30 -subj /CN=b.example",
    );
    pki.join("rsa.pem", &["rsa.crt", "rsa.key"]);
    let site = pki.text("site.pem");
    std::fs::write(pki.path("half.pem"), &site[..site.len() / 3]).unwrap();
    // Both ways to write a directory: scripts use either, and the replies are the same.
    for end in ["", "/"] {
        let [ours, genuine] = programs.clone().map(|program| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::copy(pki.path("site.pem"), folder.path().join("a.pem")).unwrap();
            let (address, dir) = (port::free_tcp().unwrap(), folder.path().display().to_string());
            let text = format!(
                "global\n stats socket {{dir}}/admin.sock level admin\ndefaults\n mode http\n timeout connect 9s\n timeout client 9s\n \
                 timeout server 9s\nfrontend f\n bind {address} ssl crt {dir}{end}\n http-request return status 200\n"
            );
            let mut daemon = Daemon::proxy(&program, &text).unwrap();
            daemon.await_listening(address).unwrap();
            let replies = dialogue(&pki).into_iter().map(|command| {
                let reply = ask(&daemon, &command.replace("{dir}", &dir)).replace(&dir, "{dir}");
                format!("> {}\n{reply}", command.lines().next().unwrap())
            });
            replies.collect::<Vec<_>>()
        });
        assert_eq!(ours, genuine, "crt {{dir}}{end}");
        assert!(ours[2].contains("Transaction created") && ours[3].contains("\nSuccess!\n"), "{ours:?}");
        assert!(ours[5].contains("New empty") && ours[9].contains("\nSuccess!\n"), "{ours:?}");
    }
}
