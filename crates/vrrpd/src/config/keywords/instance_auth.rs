//! `vrrp_instance`: `authentication` and `auth_hmac`.

use crate::model::{AntiReplay, HmacKey, HmacMode, HmacSettings};

use super::super::keyword::{Context, Keyword, Statement, run};
use super::draft::{AuthKind, InstanceDraft};
use super::keyword;
use super::numbers::int;

pub(super) const TABLE: &[Keyword<InstanceDraft>] = &[
    keyword("authentication", "{…}", 0, "v2 authentication", |i, s, c| {
        run(&[AUTHENTICATION], i, s.children(), c)
    }),
    keyword("auth_hmac", "{…}", 0, "HMAC-SHA256 trailer, keepalived only", |i, s, c| {
        let mut hmac = HmacSettings {
            keys: Vec::new(),
            active_key: 0,
            time_window_s: 0,
            anti_replay: AntiReplay::Time,
            mode: HmacMode::Enforce,
        };
        run(&[HMAC], &mut hmac, s.children(), c);
        let defined = |id: u8| hmac.keys.iter().any(|key| key.id == id);
        if hmac.keys.is_empty() {
            c.warn(s.span(), format!("({}) auth_hmac specified but no key given. Ignoring", i.name));
        } else if !defined(hmac.active_key) {
            let id = hmac.active_key;
            let message =
                format!("({}) auth_hmac active_key {id} is not defined, disabling extension", i.name);
            c.warn(s.span(), message);
        } else {
            i.hmac = Some(hmac);
        }
    }),
];

pub(super) const AUTHENTICATION: &[Keyword<InstanceDraft>] = &[
    keyword("auth_type", "PASS|AH", 1, "PASS or AH", |i, s, c| match s.next() {
        Some("PASS") => i.auth_kind = Some(AuthKind::Pass),
        Some("AH") => i.auth_kind = Some(AuthKind::Ah),
        other => {
            let message = format!("({}) unknown authentication type '{}'", i.name, other.unwrap_or_default());
            c.warn(s.last_span(), message);
        }
    }),
    keyword("auth_pass", "<STRING>", 1, "secret; 8 bytes used", |i, s, c| {
        let bytes = s.next_word().map(hacore::diag::Word::bytes).unwrap_or_default();
        if bytes.len() > 8 {
            c.warn(s.last_span(), "Truncating auth_pass to 8 characters");
        }
        let mut secret = [0; 8];
        secret.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        i.auth_pass = Some(secret);
    }),
];

pub(super) const HMAC: &[Keyword<HmacSettings>] = &[
    keyword("key", "<ID> <TEXT>|hex:<HEX>|file:<PATH>", 2, "id and value, 32..64 bytes", |hmac, s, c| {
        let Some(id) =
            int(s, c, 1..=255, |text| format!("auth_hmac key id '{text}' must be between 1 and 255"))
        else {
            return;
        };
        let secret = secret(s);
        match secret {
            Some(secret) if (32..=64).contains(&secret.len()) => {
                hmac.keys.retain(|key| i64::from(key.id) != id);
                hmac.keys.push(HmacKey { id: id as u8, secret });
            }
            _ => c.warn(s.last_span(), format!("auth_hmac key {id} must have 32 to 64 bytes - ignoring")),
        }
    }),
    keyword("active_key", "<ID>", 1, "id used for sending", |hmac, s, c| {
        if let Some(id) =
            int(s, c, 1..=255, |text| format!("auth_hmac active_key '{text}' must be between 1 and 255"))
        {
            hmac.active_key = id as u8;
        }
    }),
    keyword("time_window", "<1..300>", 1, "freshness window in seconds", |hmac, s, c| {
        if let Some(seconds) =
            int(s, c, 1..=300, |text| format!("auth_hmac time_window '{text}' must be between 1 and 300"))
        {
            hmac.time_window_s = seconds as u16;
        }
    }),
    keyword("anti_replay", "time|monotonic", 1, "what the sequence number must do", |hmac, s, c| {
        match s.next() {
            Some("time") => hmac.anti_replay = AntiReplay::Time,
            Some("monotonic") => hmac.anti_replay = AntiReplay::Monotonic,
            other => unknown("anti_replay", other, s, c),
        }
    }),
    keyword(
        "mode",
        "enforce|permissive|receive-only",
        1,
        "what happens to adverts without a good trailer",
        |hmac, s, c| match s.next() {
            Some("enforce") => hmac.mode = HmacMode::Enforce,
            Some("permissive") => hmac.mode = HmacMode::Permissive,
            Some("receive-only") => hmac.mode = HmacMode::ReceiveOnly,
            other => unknown("mode", other, s, c),
        },
    ),
];

fn unknown(keyword: &str, word: Option<&str>, s: &Statement<'_>, c: &mut Context<'_>) {
    c.warn(s.last_span(), format!("auth_hmac {keyword} '{}' unknown - ignoring", word.unwrap_or_default()));
}

/// Key files may be this long: more is no key.
const KEY_FILE_BYTES_MAX: u64 = 4096;

fn secret(s: &mut Statement<'_>) -> Option<Vec<u8>> {
    let word = s.next_word()?;
    let text = word.as_str();
    if let Some(hex) = text.strip_prefix("hex:") {
        let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
        return digits.len().is_multiple_of(2).then(|| {
            digits
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0_u32, |byte, digit| byte * 16 + digit) as u8)
                .collect()
        });
    }
    if let Some(path) = text.strip_prefix("file:") {
        let meta = std::fs::metadata(path).ok()?;
        let bytes = if meta.len() <= KEY_FILE_BYTES_MAX { std::fs::read(path).ok()? } else { return None };
        let trimmed = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        return Some(trimmed.to_vec());
    }
    Some(word.bytes().to_vec())
}
