//! TLS facts of both sides (manual, section 7.3.4): the TLS layer answers by name through the environment.

use std::sync::LazyLock;

use super::{Fetch, FetchFn, fetch};
use crate::expr::eval::TlsSide;
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, Sample, SampleType};
use crate::tls::hello::ClientHello;

const B: SampleType = SampleType::Bool;
const I: SampleType = SampleType::Int;
const S: SampleType = SampleType::Str;
const X: SampleType = SampleType::Bin;

/// A family of fetches: its prefix, side, and the names behind the prefix.
struct Family {
    prefix: &'static str,
    side: TlsSide,
    contexts: Contexts,
    run: FetchFn,
    facts: &'static [(&'static str, SampleType)],
}

const SESSION: Contexts = Contexts::SESSION;
const SERVER: Contexts = Contexts::SERVER;

const FAMILIES: &[Family] = &[
    Family {
        prefix: "ssl_fc",
        side: TlsSide::Frontend,
        contexts: SESSION,
        run: |a, c, _| ask(a, c, TlsSide::Frontend, "ssl_fc"),
        facts: &[
            ("", B),
            ("_alg_keysize", I),
            ("_alpn", S),
            ("_cipher", S),
            ("_cipherlist_bin", S),
            ("_cipherlist_hex", X),
            ("_cipherlist_str", S),
            ("_cipherlist_xxh", I),
            ("_client_early_traffic_secret", S),
            ("_client_handshake_traffic_secret", S),
            ("_client_random", X),
            ("_client_traffic_secret_0", S),
            ("_crtname", S),
            ("_curve", S),
            ("_early_exporter_secret", S),
            ("_early_rcvd", B),
            ("_ecformats_bin", S),
            ("_eclist_bin", S),
            ("_err", I),
            ("_err_str", S),
            ("_exporter_secret", S),
            ("_extlist_bin", S),
            ("_has_crt", B),
            ("_has_early", B),
            ("_has_sni", B),
            ("_is_resumed", B),
            ("_npn", S),
            ("_protocol", S),
            ("_protocol_hello_id", I),
            ("_server_handshake_traffic_secret", S),
            ("_server_random", X),
            ("_server_traffic_secret_0", S),
            ("_session_id", X),
            ("_session_key", X),
            ("_sigalgs_bin", X),
            ("_sni", S),
            ("_supported_versions_bin", X),
            ("_unique_id", X),
            ("_use_keysize", I),
        ],
    },
    Family {
        prefix: "ssl_bc",
        side: TlsSide::Backend,
        contexts: SERVER,
        run: |a, c, _| ask(a, c, TlsSide::Backend, "ssl_bc"),
        facts: &[
            ("", B),
            ("_alg_keysize", I),
            ("_alpn", S),
            ("_cipher", S),
            ("_client_random", X),
            ("_curve", S),
            ("_err", I),
            ("_err_str", S),
            ("_is_resumed", B),
            ("_npn", S),
            ("_protocol", S),
            ("_server_random", X),
            ("_session_id", X),
            ("_session_key", X),
            ("_sni", S),
            ("_unique_id", X),
            ("_use_keysize", I),
        ],
    },
    Family {
        prefix: "ssl_bc",
        side: TlsSide::Backend,
        contexts: SESSION,
        run: |a, c, _| ask(a, c, TlsSide::Backend, "ssl_bc"),
        facts: &[
            ("_client_early_traffic_secret", S),
            ("_client_handshake_traffic_secret", S),
            ("_client_traffic_secret_0", S),
            ("_early_exporter_secret", S),
            ("_exporter_secret", S),
            ("_server_handshake_traffic_secret", S),
            ("_server_traffic_secret_0", S),
        ],
    },
    Family {
        prefix: "ssl_c",
        side: TlsSide::ClientCertificate,
        contexts: SESSION,
        run: |a, c, _| ask(a, c, TlsSide::ClientCertificate, "ssl_c"),
        facts: &[
            ("_ca_err", I),
            ("_ca_err_depth", I),
            ("_chain_der", X),
            ("_der", X),
            ("_err", I),
            ("_i_dn", S),
            ("_key_alg", S),
            ("_notafter", S),
            ("_notbefore", S),
            ("_policies", S),
            ("_r_dn", S),
            ("_s_dn", S),
            ("_san", S),
            ("_serial", X),
            ("_sha1", X),
            ("_sig_alg", S),
            ("_used", B),
            ("_verify", I),
            ("_version", I),
        ],
    },
    Family {
        prefix: "ssl_f",
        side: TlsSide::FrontendCertificate,
        contexts: SESSION,
        run: |a, c, _| ask(a, c, TlsSide::FrontendCertificate, "ssl_f"),
        facts: &[
            ("_der", X),
            ("_i_dn", S),
            ("_key_alg", S),
            ("_notafter", S),
            ("_notbefore", S),
            ("_s_dn", S),
            ("_serial", X),
            ("_sha1", X),
            ("_sig_alg", S),
            ("_version", I),
        ],
    },
    Family {
        prefix: "ssl_s",
        side: TlsSide::ServerCertificate,
        contexts: SESSION,
        run: |a, c, _| ask(a, c, TlsSide::ServerCertificate, "ssl_s"),
        facts: &[
            ("_chain_der", X),
            ("_der", X),
            ("_i_dn", S),
            ("_key_alg", S),
            ("_notafter", S),
            ("_notbefore", S),
            ("_s_dn", S),
            ("_serial", X),
            ("_sha1", X),
            ("_sig_alg", S),
            ("_version", I),
        ],
    },
];

/// The families written out; names live as long as the program.
pub(super) static FETCHES: LazyLock<Vec<Fetch>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(family).collect());

fn family(family: &'static Family) -> impl Iterator<Item = Fetch> {
    family.facts.iter().map(|(suffix, output)| {
        let name: &'static str = Box::leak(format!("{}{suffix}", family.prefix).into_boxed_str());
        let item = fetch(name, *output, family.contexts, family.run, "a fact about TLS");
        match *suffix {
            "_i_dn" | "_r_dn" | "_s_dn" => item.args(0, &[ArgKind::Str, ArgKind::Int, ArgKind::Str]),
            "_policies" => item.args(0, &[ArgKind::Str]),
            "_cipherlist_bin"
            | "_cipherlist_hex"
            | "_cipherlist_str"
            | "_eclist_bin"
            | "_extlist_bin"
            | "_sigalgs_bin"
            | "_supported_versions_bin" => item.args(0, &[ArgKind::Int]),
            _ => item,
        }
    })
}

/// The fact's name is what follows the prefix and its underscore; empty for `ssl_fc` itself.
fn ask<'a>(args: &Args, ctx: &EvalCtx<'a>, side: TlsSide, prefix: &str) -> Option<Sample<'a>> {
    debug_assert!(FAMILIES.iter().any(|f| f.side == side), "every side has a family");
    let fact = args.keyword.strip_prefix(prefix)?.trim_start_matches('_');
    if fact.is_empty() && side == TlsSide::Frontend {
        return Some(Sample::Bool(ctx.session.tls));
    }
    match super::tls_facts::answer(ctx, side, fact, args).or_else(|| ctx.env.tls(side, fact, args)) {
        // Without TLS these answer no instead of nothing.
        None if matches!(fact, "" | "has_crt" | "has_early" | "has_sni" | "is_resumed" | "used") => {
            Some(Sample::Bool(false))
        }
        other => other,
    }
}

/// `req.ssl_*`: the ClientHello in the request buffer.
pub(super) const HELLO: &[Fetch] = &[
    fetch(
        "req.ssl_sni",
        S,
        Contexts::REQUEST,
        |_, c, s| hello(c, s)?.sni().map(Sample::str),
        "the ClientHello's server name",
    ),
    fetch(
        "req_ssl_sni",
        S,
        Contexts::REQUEST,
        |_, c, s| hello(c, s)?.sni().map(Sample::str),
        "old name of req.ssl_sni",
    ),
    fetch(
        "req.ssl_alpn",
        S,
        Contexts::REQUEST,
        |_, c, s| Some(Sample::str(hello(c, s)?.alpn()?)),
        "the ClientHello's application protocols",
    ),
    fetch(
        "req.ssl_ver",
        I,
        Contexts::REQUEST,
        |_, c, s| Some(Sample::Int(hello(c, s)?.version())),
        "the ClientHello's version, major in the upper 16 bits",
    ),
    fetch(
        "req_ssl_ver",
        I,
        Contexts::REQUEST,
        |_, c, s| Some(Sample::Int(hello(c, s)?.version())),
        "old name of req.ssl_ver",
    ),
    fetch(
        "req.ssl_ec_ext",
        B,
        Contexts::REQUEST,
        |_, c, s| Some(Sample::Bool(hello(c, s)?.extension(10).is_some())),
        "the ClientHello names elliptic curves",
    ),
    fetch(
        "req.ssl_st_ext",
        I,
        Contexts::REQUEST,
        |_, c, s| Some(Sample::Int(hello(c, s)?.session_ticket())),
        "0 no session ticket extension, 1 empty, 2 with a ticket",
    ),
    fetch(
        "req.ssl_cipherlist",
        X,
        Contexts::CLIENT,
        |_, c, s| Some(Sample::bin(hello(c, s)?.ciphers)),
        "the ClientHello's cipher suites",
    ),
    fetch(
        "req.ssl_sigalgs",
        X,
        Contexts::CLIENT,
        |_, c, s| hello(c, s)?.list(13).map(Sample::bin),
        "the ClientHello's signature algorithms",
    ),
    fetch(
        "req.ssl_supported_groups",
        X,
        Contexts::CLIENT,
        |_, c, s| hello(c, s)?.list(10).map(Sample::bin),
        "the ClientHello's groups",
    ),
    fetch(
        "req.ssl_keyshare_groups",
        X,
        Contexts::CLIENT,
        |_, c, s| Some(Sample::bin(hello(c, s)?.key_share_groups()?)),
        "the groups of the ClientHello's key shares",
    ),
    fetch(
        "req.ssl_hello_type",
        I,
        Contexts::REQUEST,
        |_, c, s| hello_type(c.request_payload, c, s),
        "1 for a ClientHello",
    ),
    fetch(
        "req_ssl_hello_type",
        I,
        Contexts::REQUEST,
        |_, c, s| hello_type(c.request_payload, c, s),
        "old name of req.ssl_hello_type",
    ),
    fetch(
        "res.ssl_hello_type",
        I,
        Contexts::RESPONSE,
        |_, c, s| hello_type(c.response_payload, c, s),
        "2 for a ServerHello",
    ),
    fetch(
        "rep_ssl_hello_type",
        I,
        Contexts::RESPONSE,
        |_, c, s| hello_type(c.response_payload, c, s),
        "old name of res.ssl_hello_type",
    ),
];

/// The record's handshake type, once record and handshake headers are there; 0 for what is no handshake.
fn hello_type<'a>(
    payload: crate::expr::Payload<'a>,
    ctx: &EvalCtx<'a>,
    state: &mut FetchState,
) -> Option<Sample<'a>> {
    let data = payload.data;
    let waits = !payload.complete && !ctx.is_final;
    match (data.first(), data.get(1), data.get(5)) {
        (Some(22), Some(3), Some(kind)) => Some(Sample::Int((*kind).into())),
        (Some(22) | None, None | Some(3), None) => {
            state.may_change = waits;
            None
        }
        _ => Some(Sample::Int(0)),
    }
}

fn hello<'a>(ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<ClientHello<'a>> {
    let payload = ctx.request_payload;
    let parsed = ClientHello::parse(payload.data);
    let may_be_hello =
        payload.data.first().is_none_or(|b| *b == 22) && payload.data.get(5).is_none_or(|b| *b == 1);
    state.may_change = parsed.is_none() && may_be_hello && !payload.complete && !ctx.is_final;
    parsed
}
