//! The verdict on a configuration beside the genuine haproxy: the same exit status, and the same lines blamed.
//!
//! The words are those of the dialect that proxyd speaks, which is newer than Debian's program; they are tested with the
//! parser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use testkit::oracle;

/// What a program says of a file: its exit status and the numbers of the lines that its alerts blame.
fn verdict(program: &Path, configuration: &str) -> (Option<i32>, BTreeSet<u32>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, configuration).unwrap();
    let output = Command::new(program).arg("-c").arg("-f").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = format!("[{}:", file.display());
    let blamed = said
        .lines()
        .filter(|line| line.starts_with("[ALERT]"))
        .filter_map(|line| line.split_once(&place)?.1.split_once(']')?.0.parse().ok())
        .collect();
    (output.status.code(), blamed)
}

/// Every configuration is judged by both programs; all differences are shown together.
fn same_verdicts(test: &str, configurations: &[&str]) {
    let Some([ours, genuine]) = oracle::proxies(test) else { return };
    let mut differences = String::new();
    for configuration in configurations {
        let (ours, genuine) = (verdict(&ours, configuration), verdict(&genuine, configuration));
        if ours != genuine {
            differences += &format!("{configuration}\n  ours:    {ours:?}\n  genuine: {genuine:?}\n");
        }
    }
    assert!(differences.is_empty(), "{test}:\n{differences}");
}

const TIMEOUTS: &str = "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n";

fn with_timeouts(sections: &[&str]) -> Vec<String> {
    sections.iter().map(|section| format!("{TIMEOUTS}{section}")).collect()
}

fn same_verdicts_with_timeouts(test: &str, sections: &[&str]) {
    let whole = with_timeouts(sections);
    same_verdicts(test, &whole.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn good_files_are_accepted() {
    same_verdicts_with_timeouts(
        "good_files_are_accepted",
        &[
            "listen l\n bind 127.0.0.1:8080\n server s 127.0.0.1:80\n",
            "frontend f\n bind 127.0.0.1:8080\n default_backend b\nbackend b\n balance roundrobin\n server s 127.0.0.1:80 check inter 2s rise 2 fall 3 weight 10\n",
            "frontend f\n bind :8080,:8081 name x\n acl a path_beg /a /b\n use_backend b if a\n default_backend b\nbackend b\n server s 127.0.0.1:80 backup\n",
            "backend b\n option httpchk GET /health\n http-check expect status 200\n server s 127.0.0.1:80 check\n",
            "backend b\n balance uri depth 2\n hash-type consistent sdbm avalanche\n server s 127.0.0.1:80\n",
            "backend b\n cookie S insert indirect nocache\n server s 127.0.0.1:80 cookie a\n",
        ],
    );
}

#[test]
fn unknown_words_are_blamed_where_they_stand() {
    same_verdicts_with_timeouts(
        "unknown_words_are_blamed_where_they_stand",
        &[
            "frontend f\n bnid :80\n",
            "backend b\n blaance roundrobin\n servre a 127.0.0.1:80\n",
            "backend b\n balance foo\n",
            "backend b\n mode foo\n",
            "backend b\n option foo\n",
            "backend b\n timeout foo 1s\n",
            "backend b\n server s 127.0.0.1:80 chekc\n",
            "frontend f\n bind :8080 foo\n",
            "fronted f\n bind :8080\n",
            "global\n maxcon 10\n",
            "frontend f\n bind :8080\n http-request set-haeder X 1\n",
        ],
    );
}

#[test]
fn missing_and_wrong_arguments_are_blamed() {
    same_verdicts_with_timeouts(
        "missing_and_wrong_arguments_are_blamed",
        &[
            "global\n maxconn\n",
            "backend b\n timeout server abc\n",
            "backend b\n timeout server\n",
            "backend b\n server s\n",
            "backend b\n server s 127.0.0.1:80 inter\n",
            "backend b\n server s 127.0.0.1:80 weight 300\n",
            "backend b\n server s 127.0.0.1:80 inter 0 check\n",
            "backend b\n retries\n",
            "frontend f\n bind\n",
            "frontend f\n bind 127.0.0.1\n",
            "frontend f\n bind 127.0.0.1:99999\n",
            "frontend\n bind :80\n",
            "frontend f\n bind :8080\n use_backend\n",
            "backend b\n errorfile 400\n",
            "backend b\n errorfile 400 /nonexistent\n",
        ],
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    same_verdicts_with_timeouts(
        "what_does_not_fit_together_is_refused",
        &[
            "frontend f\n bind :8080\n default_backend nowhere\n",
            "frontend f\n bind :8080\n use_backend nowhere if { path / }\n",
            "backend b\n server s 127.0.0.1:80\nbackend b\n server s 127.0.0.1:80\n",
            "backend b\n server s 127.0.0.1:80\n server s 127.0.0.1:81\n",
            "frontend f\n bind :8080\n use_backend b if undefined_acl\nbackend b\n server s 127.0.0.1:80\n",
            "frontend f\n bind :8080\n acl a foo bar\n",
            "frontend f\n bind :8080\n http-request deny if { foo }\n",
            "backend b\n server s 127.0.0.1:80 track x/y\n",
        ],
    );
}

#[test]
fn all_errors_are_reported_not_just_the_first() {
    same_verdicts_with_timeouts(
        "all_errors_are_reported_not_just_the_first",
        &[
            "global\n foo\n bar\nfrontend f\n baz 1\n bind :8080 qux\nbackend b\n server s 127.0.0.1:80 quux\n option nope\n",
        ],
    );
}

#[test]
fn an_upgraded_file_passes_the_genuine_program() {
    let Some([ours, genuine]) = oracle::proxies("an_upgraded_file_passes_the_genuine_program") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    let old = r"global
 nbproc 1
 debug
 ssl-default-bind-ciphers PROFILE=SYSTEM
defaults
 mode http
 contimeout 5000
 clitimeout 50000
 srvtimeout 50000
 redispatch
 option forceclose
listen web 127.0.0.1:8080 # the old form
 reqadd X-Forwarded-Proto:\ https if { ssl_fc }
 rspadd Strict-Transport-Security:\ max-age=31536000;\ preload
 reqidel ^X-Forwarded-For:.*
 rspidel ^Server:.*
 reqrep ^([^\ :]*)\ /static/(.*) \1\ /\2
 reqirep ^Host:\ (.*)\.old$ Host:\ \1.new
 reqideny ^[^:\ ]*\ .*\.php
 reqrep a b
 block if { path /x }
 monitor-net 10.0.0.0/8
 option httpchk GET /h HTTP/1.1\r\nHost:\ www
 server s 127.0.0.1:80 check
listen tcp 127.0.0.1:8081
 mode tcp
 option tcpchk
 server s 127.0.0.1:80 check
backend one
 http-check GET /health
 server s 127.0.0.1:80 check
backend two
 dispatch 127.0.0.1:81
";
    std::fs::write(&file, old).unwrap();
    assert_ne!(verdict(&genuine, old).0, Some(0), "the old file is refused");
    let output = Command::new(&ours).arg("--upgrade").arg(&file).output().unwrap();
    let new = String::from_utf8(output.stdout).unwrap();
    assert_eq!(verdict(&genuine, &new), (Some(0), BTreeSet::new()), "{new}");
    assert_eq!(verdict(&ours, &new), (Some(0), BTreeSet::new()), "{new}");
    // In place, the old file is kept.
    let output = Command::new(&ours).args(["--upgrade", "-w"]).arg(&file).output().unwrap();
    assert!(output.status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), new);
    assert_eq!(std::fs::read_to_string(folder.path().join("haproxy.cfg.before-upgrade")).unwrap(), old);
}
