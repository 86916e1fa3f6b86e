//! `cookie` of a backend, `dynamic-cookie-key`.

use hacore::units::TimeUnit;

use super::old;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::model::Cookie;

pub const KEYWORDS: &[Keyword] = &[
    old(
        "cookie",
        Places::BACK,
        "<name> [ rewrite | insert | prefix ] [ indirect ] [ nocache ] [ postonly ] [ preserve ] [ httponly ] [ secure ] [ domain <domain> ]* [ maxidle <idle> ] [ maxlife <life> ] [ dynamic ] [ attr <value> ]*",
        "Keeps a client on its server by a cookie.",
        cookie,
    ),
    old("dynamic-cookie-key", Places::BACK, "<string>", "The secret of dynamic cookies.", dynamic_key),
];

fn cookie(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<cookie_name> as argument.")?;
    let mut cookie = Cookie { name: name.as_str().to_owned(), ..Cookie::default() };
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "rewrite" => cookie.rewrite = true,
            "insert" => cookie.insert = true,
            "prefix" => cookie.prefix = true,
            "indirect" => cookie.indirect = true,
            "nocache" => cookie.nocache = true,
            "postonly" => cookie.postonly = true,
            "preserve" => cookie.preserve = true,
            "httponly" => cookie.httponly = true,
            "secure" => cookie.secure = true,
            "dynamic" => cookie.dynamic = true,
            "domain" => {
                let domain = line.required("<domain> as argument to 'domain'.")?;
                if !domain.as_str().starts_with('.')
                    || !domain.as_str().get(1..).unwrap_or_default().contains('.')
                {
                    let message = format!(
                        "domain '{}' contains no embedded dots or does not start with a dot. RFC forbids it, this configuration may not work properly.",
                        domain.as_str()
                    );
                    loader.push(hacore::diag::Diagnostic::warning(message).at(domain.span));
                }
                cookie.domains.push(domain.as_str().to_owned());
            }
            "maxidle" | "maxlife" => {
                let value = line.required(&format!("<{}> as argument.", word.as_str()))?;
                let time = Some(line.duration_of(value, TimeUnit::Seconds)?);
                if *word == "maxidle" { cookie.maxidle = time } else { cookie.maxlife = time }
            }
            "attr" => {
                let value = line.required("<value> as argument to 'attr'.")?;
                if value.as_str().chars().any(|c| c.is_control() || c == ';') {
                    let message =
                        "'attr' : character ';' or a control character found in the attribute value.";
                    return Err(line.alert_at(value, message));
                }
                cookie.attributes.push(value.as_str().to_owned());
            }
            _ => {
                let message = "'cookie' supports 'rewrite', 'insert', 'prefix', 'indirect', 'nocache', 'postonly', 'domain', 'maxidle', 'dynamic', 'maxlife' and 'attr' options.";
                let known = message.split('\'').skip(1).step_by(2);
                return Err(line.alert_at(word, message).did_you_mean(word.as_str(), known));
            }
        }
    }
    if usize::from(cookie.rewrite) + usize::from(cookie.insert) + usize::from(cookie.prefix) > 1 {
        return Err(line.alert("cookie 'rewrite', 'insert' and 'prefix' modes are mutually exclusive."));
    }
    loader.proxy()?.cookie = Some(cookie);
    Ok(())
}

fn dynamic_key(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.dynamic_cookie_key =
        Some(line.required("<secret_key> as argument.")?.as_str().to_owned());
    line.end()
}
