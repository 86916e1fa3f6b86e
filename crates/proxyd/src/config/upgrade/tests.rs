use super::*;

fn text(old: &str) -> String {
    String::from_utf8(upgrade(old.as_bytes()).text).unwrap()
}

/// One line of a `listen` section.
fn line(old: &str) -> String {
    let new = text(&format!("listen l\n {old}\n"));
    new.strip_prefix("listen l\n").unwrap().lines().map(str::trim_start).collect::<Vec<_>>().join(" | ")
}

#[test]
fn old_times_and_options() {
    assert_eq!(line("contimeout 5000"), "timeout connect 5000");
    assert_eq!(line("clitimeout 1m"), "timeout client 1m");
    assert_eq!(line("srvtimeout 1m"), "timeout server 1m");
    assert_eq!(line("option tcpchk"), "option tcp-check");
    assert_eq!(line("option forceclose"), "option httpclose");
    assert_eq!(line("redispatch"), "option redispatch");
    assert_eq!(line("dispatch 1.2.3.4:80"), "server dispatch 1.2.3.4:80");
    assert_eq!(line("block if { path /x }"), "http-request deny if { path /x }");
    assert_eq!(line("monitor-net 10.0.0.0/8"), "http-request return status 200 if { src 10.0.0.0/8 }");
}

#[test]
fn checks_with_hidden_headers() {
    assert_eq!(line("http-check GET /health"), "option httpchk GET /health");
    assert_eq!(
        line(r"option httpchk GET /h HTTP/1.1\r\nHost:\ www.x"),
        "option httpchk | http-check send meth GET uri /h ver HTTP/1.1 hdr Host www.x"
    );
    assert_eq!(line("option httpchk GET /h HTTP/1.1"), "option httpchk GET /h HTTP/1.1");
}

#[test]
fn headers_added_and_deleted() {
    assert_eq!(
        line(r"reqadd X-Proto:\ https if { ssl_fc }"),
        "http-request add-header X-Proto https if { ssl_fc }"
    );
    assert_eq!(
        line(r"rspadd Strict-Transport-Security:\ max-age=1;\ preload"),
        "http-response add-header Strict-Transport-Security \"max-age=1; preload\""
    );
    assert_eq!(line(r"rspidel ^Server:.*"), "http-response del-header Server");
    assert_eq!(line(r"reqidel ^X-Forwarded-For:"), "http-request del-header X-Forwarded-For");
    assert_eq!(line(r"reqadd X:\ 5%"), "http-request add-header X 5%%");
}

#[test]
fn lines_that_are_rewritten() {
    assert_eq!(
        line(r"reqrep ^([^\ :]*)\ /static/(.*) \1\ /\2"),
        "http-request replace-path ^/static/(.*) /\\1"
    );
    assert_eq!(
        line(r"reqirep ^([^\ :]*)\ /a/(.*)\ HTTP/1.1 \1\ /b/\2\ HTTP/1.1 if { path_beg /a }"),
        "http-request replace-path (?i)^/a/(.*) /b/\\1 if { path_beg /a }"
    );
    assert_eq!(
        line(r"reqirep ^Host:\ (.*) Host:\ www.\1"),
        "http-request replace-header Host (?i)(.*) www.\\1"
    );
    assert_eq!(
        line(r"rspirep ^Location:\ http://(.*) Location:\ https://\1"),
        "http-response replace-header Location (?i)http://(.*) https://\\1"
    );
    assert_eq!(line(r"reqideny ^[^:\ ]*\ .*\.php"), "http-request deny if { url_reg -i .*\\.php }");
}

#[test]
fn what_has_no_equivalent_is_commented_out_with_advice() {
    let new = line("reqrep a b");
    assert!(new.starts_with("# --upgrade: write") && new.ends_with("#   reqrep a b"), "{new}");
    assert_eq!(line("bind-process 1"), "# removed by --upgrade (there is one process): bind-process 1");
}

#[test]
fn layout_and_comments_stay() {
    let old = "# top\n\nlisten web 10.0.0.1:80,10.0.0.2:80 # both\n\tclitimeout  5s\t# five\n\n  server a 1.1.1.1:80";
    let new = "# top\n\nlisten web # both\n    bind 10.0.0.1:80,10.0.0.2:80\n\ttimeout client 5s\t# five\n\n  server a 1.1.1.1:80\n";
    assert_eq!(text(old), new);
    assert_eq!(
        text("global\n ssl-default-bind-ciphers PROFILE=SYSTEM\n nbproc 1\n nbproc 4\n"),
        "global\n # removed by --upgrade (the system's list is the default): ssl-default-bind-ciphers PROFILE=SYSTEM\n # removed by --upgrade (there is one process): nbproc 1\n nbthread 4\n"
    );
}

#[test]
fn a_modern_file_stays_as_it_is() {
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../etc/proxyd/haproxy.cfg")).unwrap();
    assert_eq!(upgrade(&text).text, text);
}

proptest::proptest! {
    #[test]
    fn no_file_panics(text in "(listen|reqrep|reqadd|option httpchk|http-check GET|[\\^:a-z\"'(){}\\[\\]*. \n]){0,40}") {
        let once = upgrade(text.as_bytes()).text;
        proptest::prop_assert!(once.len() <= text.len() * 8 + 4096);
    }
}
