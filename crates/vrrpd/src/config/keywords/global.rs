//! `global_defs`, by subject: identity and mail here, the rest in the files beside.

use super::super::keyword::Keyword;
use super::draft::GlobalDraft;
use super::{global_admin, global_daemon, global_lvs, global_script, global_vrrp, keyword};

pub(in crate::config) const TABLES: &[&[Keyword<GlobalDraft>]] = &[
    MAIL,
    global_admin::TABLE,
    global_daemon::TABLE,
    global_vrrp::TABLE,
    global_script::TABLE,
    global_lvs::TABLE,
];

const MAIL: &[Keyword<GlobalDraft>] = &[
    keyword(
        "router_id",
        "<STRING>",
        0,
        "name of this machine in mails, SNMP and traps (default host name)",
        |g, s, c| match s.next() {
            Some(id) => g.model.router_id = id.to_owned(),
            None => c.warn(s.span(), "routerid name missing - ignoring"),
        },
    ),
    keyword("notification_email", "{…}", 0, "recipients, one or more a line", |g, s, c| {
        let all = s.children().iter().flat_map(|line| line.words.iter()).map(|word| word.as_str().to_owned());
        let before = g.model.mail.to.len();
        g.model.mail.to.extend(all);
        if g.model.mail.to.len() == before {
            c.warn(s.span(), "Warning - empty notification_email block");
        }
    }),
    keyword("notification_email_from", "<STRING>", 0, "From address of alerts", |g, s, c| match s.next() {
        Some(from) => g.model.mail.from = Some(from.to_owned()),
        None => c.warn(s.span(), "emailfrom missing - ignoring"),
    }),
    keyword("smtp_server", "<HOST> [<PORT>]", 1, "SMTP host or address and port (default 25)", |g, s, c| {
        let host = s.text();
        let span = s.last_span();
        let port = s.peek().unwrap_or("25");
        let number = match s.peek() {
            Some(_) => s.int(c, 1..=65535),
            None => Ok(25),
        };
        match number {
            Ok(number) if c.environment.resolves(&host) => {
                g.model.mail.server = Some(host);
                g.model.mail.port = number as u16;
            }
            _ => c.warn(span, format!("Invalid smtp server {host} {port}")),
        }
    }),
    keyword("smtp_helo_name", "<STRING>", 0, "name used in HELO (default host name)", |g, s, _| {
        g.model.mail.helo_name = s.next().map(str::to_owned);
    }),
    keyword(
        "smtp_connect_timeout",
        "<SECONDS>",
        1,
        "seconds to wait for the SMTP server (default 30)",
        |g, s, c| match s.int(c, 0..=4294) {
            Ok(0) => {
                c.warn(s.span(), "smtp_conect_timeout must be greater than 0, setting to 1");
                g.model.mail.connect_timeout_us = 1_000_000;
            }
            Ok(seconds) => g.model.mail.connect_timeout_us = seconds as u64 * 1_000_000,
            Err(text) => {
                c.warn(
                    s.last_span(),
                    format!("smtp_connect_timeout '{text}' must be in [0, 4294] - ignoring"),
                );
            }
        },
    ),
    keyword("smtp_alert", "[<BOOL>]", 0, "default of smtp_alert for everything", |g, s, c| match s.flag() {
        Ok(on) => g.smtp_alert = Some(on),
        Err(text) => c.warn(s.last_span(), format!("Invalid value '{text}' for global smtp_alert specified")),
    }),
    keyword("smtp_alert_vrrp", "[<BOOL>]", 0, "default of smtp_alert for instances and groups", |g, s, c| {
        match s.flag() {
            Ok(on) => g.smtp_alert_vrrp = Some(on),
            Err(text) => {
                c.warn(s.last_span(), format!("Invalid value '{text}' for global smtp_alert_vrrp specified"));
            }
        }
    }),
    keyword("no_email_faults", "", 0, "no mail for FAULT", |g, _, _| g.model.mail.no_faults = true),
];
