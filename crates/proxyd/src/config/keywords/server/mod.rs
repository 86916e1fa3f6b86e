//! `server`, `default-server`, `server-template` (configuration manual, section 5.2 "Server and default-server options").

mod address;
mod check;
mod options;
mod tls;

use hacore::diag::Diagnostic;

pub use address::source;

use crate::config::keyword::{Item, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::model::{Server, TlsSetting};

/// A parser of one server option, whose name was taken already.
pub type ServerParser = fn(&mut Server, &mut Loader, &mut Line<'_>) -> Parsed;

/// A word of a `server` line.
pub type ServerKeyword = Item<ServerParser>;

const fn server(
    name: &'static str,
    arguments: &'static str,
    doc: &'static str,
    parse: ServerParser,
) -> ServerKeyword {
    Item::new(name, Places::BACK, arguments, doc, parse)
}

/// All words of a `server` line.
pub fn keywords() -> impl Iterator<Item = &'static ServerKeyword> {
    options::KEYWORDS.iter().chain(check::KEYWORDS).chain(tls::KEYWORDS)
}

fn is_tls(keyword: &'static ServerKeyword) -> bool {
    tls::KEYWORDS.iter().any(|tls| std::ptr::eq(tls, keyword))
}

/// `server NAME ADDRESS …`.
pub fn parse(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> and <addr>[:<port>] as arguments.")?;
    let word = line.required("<name> and <addr>[:<port>] as arguments.")?;
    if let Some(c) =
        name.as_str().chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')))
    {
        return Err(line.alert_at(
            name,
            format!("character '{c}' is not permitted in server name '{}'.", name.as_str()),
        ));
    }
    let endpoint = address::server_address(loader, line, word)?;
    let mut server = new_server(loader, line, name.as_str())?;
    address::apply(&mut server, endpoint);
    let result = options(loader, line, &mut server, name.as_str());
    let draft = loader.draft()?;
    draft.proxy.servers.push(server);
    draft.server_spans.push(name.span);
    result
}

/// Adds a server without options.
pub fn add_plain(loader: &mut Loader, line: &Line<'_>, name: &str, address: &hacore::diag::Word) -> Parsed {
    let endpoint = address::server_address(loader, line, address)?;
    let mut server = new_server(loader, line, name)?;
    address::apply(&mut server, endpoint);
    let draft = loader.draft()?;
    draft.proxy.servers.push(server);
    draft.server_spans.push(address.span);
    Ok(())
}

/// A server with what `default-server` set.
fn new_server(loader: &mut Loader, line: &Line<'_>, name: &str) -> Result<Server, Diagnostic> {
    let mut server = loader.draft()?.default_server.clone();
    server.name = name.to_owned();
    server.location = line.location.clone();
    Ok(server)
}

/// `default-server …`.
pub fn parse_default(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut server = loader.draft()?.default_server.clone();
    let result = options(loader, line, &mut server, "default-server");
    loader.draft()?.default_server = server;
    result
}

/// The most servers of one template.
const TEMPLATE_MAX: u32 = 65536;

/// `server-template PREFIX N|A-B FQDN …`.
pub fn parse_template(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let expects = "<prefix> <nb | range> <addr>[:<port>] as arguments.";
    let prefix = line.required(expects)?;
    let count = line.required(expects)?;
    let word = line.required(expects)?;
    let (first, last) = match count.as_str().split_once('-') {
        Some((first, last)) => (first.parse::<u32>().ok(), last.parse::<u32>().ok()),
        None => (Some(1), count.as_str().parse::<u32>().ok()),
    };
    let (Some(first), Some(last)) = (first, last) else {
        return Err(
            line.alert_at(count, format!("Wrong number/range '{}' in 'server-template'.", count.as_str()))
        );
    };
    if first > last || last - first >= TEMPLATE_MAX {
        return Err(
            line.alert_at(count, format!("Wrong number/range '{}' in 'server-template'.", count.as_str()))
        );
    }
    let endpoint = address::server_address(loader, line, word)?;
    let mut template = new_server(loader, line, prefix.as_str())?;
    address::apply(&mut template, endpoint);
    options(loader, line, &mut template, prefix.as_str())?;
    let draft = loader.draft()?;
    for number in first..=last {
        let server = Server { name: format!("{}{number}", prefix.as_str()), ..template.clone() };
        draft.proxy.servers.push(server);
        draft.server_spans.push(prefix.span);
    }
    Ok(())
}

fn options(loader: &mut Loader, line: &mut Line<'_>, server: &mut Server, shown: &str) -> Parsed {
    let intro = if line.name == "default-server" {
        "'default-server'".to_owned()
    } else {
        format!("'server {}/{shown}'", loader.section_name)
    };
    let keyword_name = line.name;
    let result = words(loader, line, server, &intro);
    line.name = keyword_name;
    result?;
    tls::tell_support(loader, line, server)
}

/// The only keyword with an argument of its own.
const PROXY_TLV: &str = "set-proxy-v2-tlv-fmt(";

fn words(loader: &mut Loader, line: &mut Line<'_>, server: &mut Server, intro: &str) -> Parsed {
    while let Some(word) = line.words.next() {
        if word.as_str().starts_with(PROXY_TLV) {
            options::proxy_tlv(server, loader, line, word)?;
            continue;
        }
        let Some(keyword) = keywords().find(|keyword| *word == keyword.name) else {
            let message = format!("{intro} : unknown keyword '{}'", word.as_str());
            let diagnostic = line.alert_at(word, message);
            return Err(super::suggest(diagnostic, word.as_str(), keywords().map(|keyword| keyword.name)));
        };
        line.name = keyword.name;
        (keyword.parse)(server, loader, line).map_err(|mut diagnostic| {
            diagnostic.message = format!("{intro} : {}", diagnostic.message);
            diagnostic
        })?;
        // TLS words are judged with `ssl` as a whole.
        if !is_tls(keyword) {
            crate::config::section::tell_support(loader, keyword.name, keyword.support, line)?;
        }
    }
    Ok(())
}

fn skip_one(_: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.required("an argument.").map(|_| ())
}

fn nothing(_: &mut Server, _: &mut Loader, _: &mut Line<'_>) -> Parsed {
    Ok(())
}

/// Keeps a TLS word and its argument for the TLS layer.
fn setting(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.required("an argument.")?.as_str().to_owned();
    server.tls_settings.push(TlsSetting { name: line.name.to_owned(), value });
    Ok(())
}

/// Keeps a TLS word without argument.
fn flag(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.tls_settings.push(TlsSetting { name: line.name.to_owned(), value: String::new() });
    Ok(())
}
