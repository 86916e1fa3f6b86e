//! `global_defs`: where the running daemon can be asked. keepalived does not know these words.

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::GlobalDraft;
use super::keyword;
use crate::model::{AdminLevel, AdminPath};

pub(super) const TABLE: &[Keyword<GlobalDraft>] = &[
    keyword(
        "admin_socket",
        "<PATH>|off [mode <MODE>] [user <USER>] [group <GROUP>] [level user|admin]",
        1,
        "Unix socket of `vrrpd ctl` (default /run/vrrpd/admin.sock, mode 600); level user: others than root may only ask \
         (not known to keepalived)",
        socket,
    ),
    keyword(
        "metrics_listen",
        "<ADDRESS>:<PORT>|off",
        1,
        "address at which Prometheus fetches /metrics (default off; not known to keepalived)",
        |g, s, c| {
            let text = s.text();
            match (text.as_str(), text.parse()) {
                ("off", _) => g.model.admin.metrics = None,
                (_, Ok(address)) => g.model.admin.metrics = Some(address),
                (_, Err(_)) => {
                    let message = format!(
                        "metrics_listen '{text}' must be off or ADDRESS:PORT, as 127.0.0.1:9165 - ignoring"
                    );
                    c.warn(s.last_span(), message);
                }
            }
        },
    ),
];

fn socket(g: &mut GlobalDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let settings = &mut g.model.admin.socket;
    let path = s.text();
    match path.as_str() {
        "off" => settings.path = AdminPath::Off,
        path if path.starts_with('/') => settings.path = AdminPath::At(path.to_owned()),
        other => c.warn(
            s.last_span(),
            format!("admin_socket '{other}' must be off or an absolute path - ignoring"),
        ),
    }
    while let Some(option) = s.next() {
        let span = s.last_span();
        let Some(value) = s.next() else {
            return c.warn(span, format!("admin_socket: {option} needs a value"));
        };
        let known = match option {
            "mode" => match u32::from_str_radix(value, 8) {
                Ok(mode) if mode <= 0o777 => {
                    settings.mode = mode;
                    true
                }
                _ => false,
            },
            "user" => {
                let user = value.parse().ok().or_else(|| c.environment.user(value).map(|(uid, _)| uid));
                settings.user = user.or(settings.user);
                user.is_some()
            }
            "group" => {
                let group = value.parse().ok().or_else(|| c.environment.group(value));
                settings.group = group.or(settings.group);
                group.is_some()
            }
            "level" => match value {
                "user" => {
                    settings.level = AdminLevel::User;
                    true
                }
                "admin" => {
                    settings.level = AdminLevel::Admin;
                    true
                }
                _ => false,
            },
            _ => {
                c.warn(span, format!("Unknown admin_socket option '{option}' - ignoring"));
                continue;
            }
        };
        if !known {
            c.warn(s.last_span(), format!("admin_socket: invalid {option} '{value}' - ignoring"));
        }
    }
}
