//! `virtual_server` and everything in it, and `SSL`: read and checked, not carried out yet.

use super::super::keyword::{Context, Statement};
use super::super::value;
use super::schema::{Check, Field, Schema, field};

/// `lvs_method` / `lb_kind`.
const METHODS: &[&str] = &["NAT", "DR", "TUN"];
/// `lvs_sched` / `lb_algo`.
const SCHEDULERS: &[&str] =
    &["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"];

/// A service that is told by its mark takes packets of all protocols.
pub(super) fn check_fwmark(s: &Statement<'_>, c: &mut Context<'_>) {
    let words = &s.node.words;
    let is_fwmark = words.get(1).is_some_and(|word| word == "fwmark");
    if is_fwmark && s.children().iter().any(|node| node.keyword() == "protocol") {
        let mark = words.get(2).map_or("", |word| word.as_str());
        let message = format!(
            "Warning: Virtual server FWM {mark}: protocol specified for fwmark - protocol will be ignored"
        );
        c.diagnostics.push(hacore::diag::Diagnostic::warning(message));
    }
}

/// Whether `ADDR [PORT]`, `fwmark N` or `group NAME` is one of these; says what is wrong.
pub(super) fn address_is_valid(s: &mut Statement<'_>, c: &mut Context<'_>) -> bool {
    let first = s.text();
    if matches!(first.as_str(), "fwmark" | "group") {
        return s.next().is_some();
    }
    let port = s.next().unwrap_or("0");
    let valid = value::address(&first).is_some() && port.parse::<u16>().is_ok();
    if !valid {
        c.warn(s.last_span(), format!("Invalid virtual server IP address/port {first}/{port} - skipping"));
    }
    valid
}

/// The `SSL` block.
pub(super) const SSL: Schema = Schema { fields: &[SSL_FIELDS] };
/// A `virtual_server` block.
pub(super) const VIRTUAL_SERVER: Schema = Schema { fields: &[VIRTUAL_SERVER_FIELDS] };
const REAL_SERVER: Schema = Schema { fields: &[REAL_SERVER_FIELDS] };
const MISC_CHECK: Schema = Schema { fields: &[RETRY, MISC_FIELDS] };
const SMTP_CHECK: Schema = Schema { fields: &[CONNECTION, RETRY, SMTP_FIELDS] };
const HOST: Schema = Schema { fields: &[CONNECTION, RETRY] };
const TCP_CHECK: Schema = Schema { fields: &[CONNECTION, RETRY] };
const PING_CHECK: Schema = Schema { fields: &[CONNECTION, RETRY] };
const UDP_CHECK: Schema = Schema { fields: &[CONNECTION, RETRY, UDP_FIELDS] };
const HTTP_GET: Schema = Schema { fields: &[CONNECTION, RETRY, HTTP_FIELDS] };
const SSL_GET: Schema = Schema { fields: &[CONNECTION, RETRY, SSL_GET_FIELDS] };
const DNS_CHECK: Schema = Schema { fields: &[CONNECTION, RETRY, DNS_FIELDS] };
const FILE_CHECK: Schema = Schema { fields: &[FILE_FIELDS] };
const BFD_CHECK: Schema = Schema { fields: &[BFD_FIELDS] };
const URL: Schema = Schema { fields: &[URL_FIELDS] };
const SSL_URL: Schema = Schema { fields: &[URL_FIELDS, SSL_URL_FIELDS] };

const SSL_FIELDS: &[Field] = &[
    field("password", Check::Text, "key pass phrase"),
    field("ca", Check::Text, "CA file"),
    field("certificate", Check::Text, "certificate file"),
    field("key", Check::Text, "key file"),
];

const VIRTUAL_SERVER_FIELDS: &[Field] = &[
    field("ip_family", Check::Text, "inet|inet6 for fwmark services"),
    field("retry", Check::Int(0, 2_147_483_647), "default extra attempts"),
    field("delay_before_retry", Check::Timer, "default pause between attempts"),
    field("warmup", Check::Timer, "default random delay of the first check"),
    field("connect_timeout", Check::Timer, "default connect timeout (5 s)"),
    field("delay_loop", Check::Timer, "default seconds between checks (60)"),
    field("inhibit_on_failure", Check::Flag, "weight 0 in place of removal"),
    field(
        "lb_algo",
        Check::Word(SCHEDULERS, "Invalid lvs_scheduler '{}' - ignoring"),
        "old name of lvs_sched",
    ),
    field(
        "lvs_sched",
        Check::Word(SCHEDULERS, "Invalid lvs_scheduler '{}' - ignoring"),
        "scheduler rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq twos",
    ),
    field("hashed", Check::Bare, "hashed entry flag"),
    field("ops", Check::Bare, "one packet scheduling"),
    field("flag-1", Check::Bare, "scheduler flag 1"),
    field("flag-2", Check::Bare, "scheduler flag 2"),
    field("flag-3", Check::Bare, "scheduler flag 3"),
    field("sh-port", Check::Bare, "sh also hashes the port"),
    field("sh-fallback", Check::Bare, "sh falls back"),
    field("mh-port", Check::Bare, "mh also hashes the port"),
    field("mh-fallback", Check::Bare, "mh falls back"),
    field(
        "lb_kind",
        Check::Word(METHODS, "PARSER : unknown [{}] routing method for virtual server."),
        "old name of lvs_method",
    ),
    field(
        "lvs_method",
        Check::Word(METHODS, "PARSER : unknown [{}] routing method for virtual server."),
        "NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]",
    ),
    field("persistence_engine", Check::Text, "sip"),
    field("persistence_timeout", Check::Int(1, 2_678_400), "seconds (360)"),
    field("persistence_granularity", Check::Text, "netmask or prefix length"),
    field("protocol", Check::Word(&["TCP", "UDP", "SCTP"], "Unknown protocol {} - ignoring"), "TCP|UDP|SCTP"),
    field("ha_suspend", Check::Bare, "check only while the VIP is here"),
    field("smtp_alert", Check::Flag, "mail on quorum changes"),
    field("virtualhost", Check::Text, "default Host header"),
    field("snmp_name", Check::Text, "free text for SNMP"),
    field("alpha", Check::Flag, "real servers start down"),
    field("omega", Check::Flag, "run down scripts at shutdown"),
    field("quorum_up", Check::Text, "program run when quorum is gained"),
    field("quorum_down", Check::Text, "program run when quorum is lost"),
    field("quorum", Check::Int(1, 4_294_967_295), "weight needed (1)"),
    field("hysteresis", Check::Int(0, 4_294_967_295), "damping of the quorum (0)"),
    field("weight", Check::Int(0, 2_147_483_647), "default weight of real servers"),
    field("sorry_server", Check::Text, "server used without quorum"),
    field("sorry_server_inhibit", Check::Bare, "inhibit_on_failure for it"),
    field(
        "sorry_server_lvs_method",
        Check::Word(METHODS, "PARSER : unknown [{}] routing method for virtual server."),
        "its forwarding method",
    ),
    field("real_server", Check::Block(&REAL_SERVER), "block: ADDR [PORT]"),
];

const REAL_SERVER_FIELDS: &[Field] = &[
    field("weight", Check::Int(0, 2_147_483_647), "weight (1)"),
    field(
        "lvs_method",
        Check::Word(METHODS, "PARSER : unknown [{}] routing method for virtual server."),
        "forwarding method",
    ),
    field("uthreshold", Check::Int(0, 2_147_483_647), "most connections"),
    field("lthreshold", Check::Int(0, 2_147_483_647), "fewest connections"),
    field("inhibit_on_failure", Check::Flag, "weight 0 in place of removal"),
    field("notify_up", Check::Text, "program run when up"),
    field("notify_down", Check::Text, "program run when down"),
    field("alpha", Check::Flag, "starts down"),
    field("retry", Check::Int(0, 2_147_483_647), "extra attempts"),
    field("delay_before_retry", Check::Timer, "pause between attempts"),
    field("warmup", Check::Timer, "random delay of the first check"),
    field("connect_timeout", Check::Timer, "connect timeout"),
    field("delay_loop", Check::Timer, "seconds between checks"),
    field("smtp_alert", Check::Flag, "mail on changes"),
    field("virtualhost", Check::Text, "default Host header"),
    field("snmp_name", Check::Text, "free text for SNMP"),
    field("MISC_CHECK", Check::Block(&MISC_CHECK), "block: run a program"),
    field("SMTP_CHECK", Check::Block(&SMTP_CHECK), "block: SMTP greeting"),
    field("TCP_CHECK", Check::Block(&TCP_CHECK), "block: TCP connect"),
    field("PING_CHECK", Check::Block(&PING_CHECK), "block: ICMP echo"),
    field("UDP_CHECK", Check::Block(&UDP_CHECK), "block: UDP request"),
    field("HTTP_GET", Check::Block(&HTTP_GET), "block: HTTP request"),
    field("SSL_GET", Check::Block(&SSL_GET), "block: HTTPS request"),
    field("DNS_CHECK", Check::Block(&DNS_CHECK), "block: DNS query"),
    field("FILE_CHECK", Check::Block(&FILE_CHECK), "block: track_file value"),
    field("BFD_CHECK", Check::Block(&BFD_CHECK), "block: BFD session"),
];

/// Where a check connects to and from.
const CONNECTION: &[Field] = &[
    field("connect_ip", Check::Text, "address to test"),
    field("connect_port", Check::Int(1, 65_535), "port to test"),
    field("bindto", Check::Text, "source address"),
    field("bind_port", Check::Int(1, 65_535), "source port"),
    field("bind_if", Check::Text, "interface"),
    field("connect_timeout", Check::Timer, "connect timeout"),
    field("fwmark", Check::Int(0, 4_294_967_295), "mark of check packets"),
];

/// When a check runs again.
const RETRY: &[Field] = &[
    field("retry", Check::Int(0, 2_147_483_647), "extra attempts"),
    field("delay_before_retry", Check::Timer, "pause between attempts"),
    field("warmup", Check::Timer, "random first delay"),
    field("delay_loop", Check::Timer, "seconds between checks"),
    field("alpha", Check::Flag, "starts down"),
    field("log_all_failures", Check::Flag, "log each failure"),
];

const MISC_FIELDS: &[Field] = &[
    field("misc_path", Check::Text, "command line"),
    field("misc_timeout", Check::Timer, "seconds it may run"),
    field("misc_dynamic", Check::Bare, "exit status 2..255 sets the weight"),
    field("user", Check::Text, "user [[:]group]"),
];

const SMTP_FIELDS: &[Field] = &[
    field("helo_name", Check::Text, "HELO name"),
    field("host", Check::Block(&HOST), "deprecated block with the connection keywords"),
];

const UDP_FIELDS: &[Field] = &[
    field("payload", Check::Text, "hex bytes to send"),
    field("require_reply", Check::Bare, "an answer is needed, optional hex pattern with x as wild card"),
    field("min_reply_length", Check::Int(0, 65_535), "shortest answer (0)"),
    field("max_reply_length", Check::Int(0, 65_535), "longest answer (255)"),
];

const HTTP_FIELDS: &[Field] = &[
    field("nb_get_retry", Check::Deprecated("retry"), "deprecated name of retry"),
    field("virtualhost", Check::Text, "Host header"),
    field("http_protocol", Check::Text, "1.0, 1.0C or 1.1"),
    field("enable_sni", Check::Flag, "send SNI"),
    field("sni_name", Check::Text, "SNI to send"),
    field("fast_recovery", Check::Flag, "no delay between URLs while recovering"),
    field("url", Check::Block(&URL), "block: one request"),
];

const SSL_GET_FIELDS: &[Field] = &[
    field("nb_get_retry", Check::Deprecated("retry"), "deprecated name of retry"),
    field("virtualhost", Check::Text, "Host header"),
    field("http_protocol", Check::Text, "1.0, 1.0C or 1.1"),
    field("enable_sni", Check::Flag, "send SNI"),
    field("sni_name", Check::Text, "SNI to send"),
    field("fast_recovery", Check::Flag, "no delay between URLs while recovering"),
    field("tls_compliant", Check::Flag, "send close_notify"),
    field("url", Check::Block(&SSL_URL), "block: one request"),
];

const DNS_FIELDS: &[Field] = &[
    field("type", Check::Text, "A NS CNAME SOA MX TXT AAAA RRSIG DNSKEY (SOA)"),
    field("name", Check::Text, "name to ask for (.)"),
];

const FILE_FIELDS: &[Field] = &[
    field("track_file", Check::Text, "name of a track_file"),
    field("weight", Check::Text, "factor [reverse]"),
];

const BFD_FIELDS: &[Field] =
    &[field("name", Check::Text, "name of a bfd_instance"), field("alpha", Check::Flag, "starts down")];

const URL_FIELDS: &[Field] = &[
    field("path", Check::Text, "request path"),
    field("digest", Check::Text, "MD5 of the body"),
    field("status_code", Check::Text, "accepted codes and ranges (200-299)"),
    field("virtualhost", Check::Text, "Host header"),
    field("regex", Check::Text, "pattern the body must match"),
    field("regex_no_match", Check::Text, "pattern must not match"),
    field("regex_options", Check::Text, "PCRE2 option names"),
    field("regex_min_offset", Check::Int(0, 2_147_483_647), "where matching starts"),
    field("regex_max_offset", Check::Int(0, 2_147_483_647), "latest start of a match"),
    field("regex_stack", Check::Text, "JIT stack start and maximum"),
];

const SSL_URL_FIELDS: &[Field] = &[field("tls_compliant", Check::Flag, "send close_notify")];
