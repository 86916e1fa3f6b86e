use super::LINTS;
use crate::config::{Environment, LoadOptions, load_text};

const DEFAULTS: &str = "defaults\n mode http\n timeout client 5s\n timeout connect 1s\n timeout server 5s\n";

/// `line code` of every hint of a valid text that follows the defaults (5 lines).
fn hints(text: &str) -> Vec<String> {
    let options = LoadOptions { lints: true, ..LoadOptions::default() };
    let loaded = load_text("t.cfg", &format!("{DEFAULTS}{text}"), options, Environment::default());
    assert!(loaded.config.is_some(), "{:#?}", loaded.diagnostics);
    let hints = super::hints(&loaded.diagnostics);
    hints.map(|h| format!("{} {}", h.span.unwrap().line, h.code.unwrap())).collect()
}

const GOOD: &str = "frontend f\n bind 127.0.0.1:1\n default_backend b\n";

#[test]
fn a_careful_file_has_no_hint() {
    let text = format!("{GOOD}backend b\n server a 192.0.2.1:80 check\n server b 192.0.2.2:80 check\n");
    assert_eq!(hints(&text), [""; 0]);
}

#[test]
fn l001_servers_without_checks() {
    let text = format!("{GOOD}backend b\n server a 192.0.2.1:80 check\n server b 192.0.2.2:80\n");
    assert_eq!(hints(&text), ["11 L001"]);
}

#[test]
fn l002_a_session_cookie_without_persistence() {
    let servers = " server a 192.0.2.1:80 check cookie a\n server b 192.0.2.2:80 check cookie b\n";
    let front = "frontend f\n bind 127.0.0.1:1\n capture cookie JSESSIONID= len 32\n default_backend b\n";
    assert_eq!(hints(&format!("{front}backend b\n balance roundrobin\n{servers}")), ["10 L002"]);
    assert_eq!(hints(&format!("{front}backend b\n cookie SRV insert\n{servers}")), [""; 0]);
    assert_eq!(hints(&format!("{front}backend b\n balance source\n{servers}")), [""; 0]);
}

#[test]
fn l004_to_l006_times_and_limits() {
    let back = "backend b\n timeout server 30\n timeout tunnel 10\n timeout check 4s\n server a 192.0.2.1:80 check\n";
    assert_eq!(hints(&format!("{GOOD}{back}")), ["9 L004", "9 L004", "9 L004", "9 L005", "9 L005"]);
    let text = "global\n maxconn 2000000000\n";
    assert_eq!(hints(&format!("{GOOD}backend b\n server a 192.0.2.1:80 check\n{text}")), ["12 L006"]);
}

#[test]
fn l007_servers_that_are_not_verified() {
    let text = format!("{GOOD}backend b\n server a 192.0.2.1:443 check ssl verify none\n");
    assert_eq!(hints(&text), ["10 L007"]);
}

#[test]
fn l008_a_redirect_to_tls_where_there_is_no_tls_to_come_from() {
    let rule = " http-request redirect scheme http if { ssl_fc }\n default_backend b\n";
    let back = "backend b\n server a 192.0.2.1:80 check\n";
    assert_eq!(hints(&format!("frontend f\n bind 127.0.0.1:1\n{rule}{back}")), ["8 L008"]);
}

#[test]
fn l009_rules_after_an_unconditional_one() {
    let rules = " http-request silent-drop\n http-request set-header a b\n use_backend b\n use_backend b if { path /x }\n";
    let back = "backend b\n server a 192.0.2.1:80 check\n";
    assert_eq!(hints(&format!("frontend f\n bind 127.0.0.1:1\n{rules}{back}")), ["9 L009", "11 L009"]);
}

#[test]
fn l010_to_l015_what_does_nothing() {
    let text = "listen l\nfrontend f\n bind 127.0.0.1:1\n acl unused path /x\nbackend b\n";
    assert_eq!(hints(text), ["6 L010", "7 L015", "9 L011", "10 L013", "10 L014"]);
}

#[test]
fn l012_patterns_that_never_match() {
    let acls = " http-request deny if { path_beg admin } or { path /a?b } or { hdr(host) http://x/ }\n \
                http-request deny if { method get }\n http-request deny if { path,lower /A }\n \
                http-request deny if { path_beg /ok } or { path -m reg ok$ } or { method GET }\n";
    let text = format!(
        "frontend f\n bind 127.0.0.1:1\n{acls} default_backend b\nbackend b\n server a 192.0.2.1:80 check\n"
    );
    assert_eq!(hints(&text), ["8 L012", "8 L012", "8 L012", "9 L012", "10 L012"]);
}

#[test]
fn l016_and_l017_open_doors() {
    let text = "frontend f\n bind :1\n timeout client 60s\n stats enable\n default_backend b\nbackend b\n server a 192.0.2.1:80 check\n";
    assert_eq!(hints(text), ["6 L017", "7 L016"]);
}

#[test]
fn l018_and_l019_servers_that_are_not_what_they_seem() {
    let text = format!(
        "{GOOD}backend b\n cookie S insert\n server a 192.0.2.1:80 check cookie a\n server b 192.0.2.1:80 check\n"
    );
    assert_eq!(hints(&text), ["12 L018", "12 L019"]);
}

#[test]
fn a_comment_on_the_line_or_above_it_silences_its_codes() {
    let same = format!("{GOOD}backend b # proxyd: allow L014\n");
    assert_eq!(hints(&same), [""; 0]);
    let above = format!("{GOOD}# proxyd: allow L013, L014\nbackend b\n");
    assert_eq!(hints(&above), [""; 0]);
    let other = format!("{GOOD}# proxyd: allow L001\nbackend b\n");
    assert_eq!(hints(&other), ["10 L014"]);
}

#[test]
fn every_code_is_in_the_table_once_and_in_order() {
    let codes: Vec<&str> = LINTS.iter().map(|lint| lint.code).collect();
    assert!(codes.is_sorted() && codes.iter().all(|code| super::is_code(code)));
}

#[test]
fn hints_are_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/haproxy.md");
    let text = std::fs::read_to_string(path).unwrap();
    for lint in LINTS {
        assert!(text.contains(&format!("| {} | {} |", lint.code, lint.title)), "{}", lint.code);
    }
}
