//! Commands about `crt-list` files and certificate directories (management guide, "add ssl crt-list", "del ssl crt-list",
//! "show ssl crt-list"): what they change is gone after a reload, which reads the files again.

use std::path::Path;
use std::sync::Arc;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use super::ssl::{certificate_users, listeners};
use crate::tls::certificate::Certificate;
use crate::tls::crt_list::{self, Entry};
use crate::tls::listener::{List, ListenerTls, Loaded, Origin};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "ssl", "crt-list"],
        "show ssl crt-list [-n] [<list>]",
        "list the crt-lists and directories, or the entries of one",
        Level::Operator,
        show,
    ),
    def(
        &["add", "ssl", "crt-list"],
        "add ssl crt-list <list> <certfile> | <payload>",
        "add a certificate to a crt-list or a directory",
        Level::Admin,
        add,
    ),
    def(
        &["del", "ssl", "crt-list"],
        "del ssl crt-list <list> <certfile[:line]>",
        "delete an entry of a crt-list or a directory",
        Level::Admin,
        del,
    ),
];

/// The listeners that serve a list, and what kind it is.
fn served<'a>(context: &'a Context<'_>, name: &str) -> Option<(List, Vec<&'a ListenerTls>)> {
    let all = listeners(context);
    let list = all.iter().flat_map(|listener| &listener.lists).find(|list| &*list.name == name)?.clone();
    let users = all.into_iter().filter(|listener| listener.lists.contains(&list)).collect();
    Some((list, users))
}

fn show(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (numbered, name) = match words {
        ["-n", rest @ ..] => (true, rest.first()),
        [name, ..] => (false, Some(name)),
        [] => (false, None),
    };
    let Some(name) = name.map(|name| crt_list::name(name)) else {
        let mut names: Vec<Arc<str>> = listeners(context)
            .iter()
            .flat_map(|listener| &listener.lists)
            .map(|list| Arc::clone(&list.name))
            .collect();
        names.sort();
        names.dedup();
        return Reply::Data(names.iter().map(|name| format!("{name}\n")).collect());
    };
    let Some((_, users)) = served(context, name) else {
        return Reply::error("didn't find the specified filename");
    };
    let mut text = format!("# {name}\n");
    for entry in users.first().map(|listener| listener.loaded.lock().clone()).unwrap_or_default() {
        let Some(origin) = entry.origin.as_ref().filter(|origin| &*origin.list == name) else { continue };
        text.push_str(&entry.certificate.path.to_string_lossy());
        if numbered {
            text.push_str(&format!(":{}", origin.line));
        }
        text.push_str(&crt_list::shown(&origin.options));
        for filter in &entry.filters {
            text.push_str(&format!(" {filter}"));
        }
        text.push('\n');
    }
    Reply::Data(text)
}

/// The list that a command's first word names.
fn list_name<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.first().map(|name| crt_list::name(name))
}

fn add(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (Some(name), Some(entry)) = (list_name(words), asked(context.payload, words.get(1).copied())) else {
        return Reply::error("'add ssl crtlist' expects a filename and a certificate name");
    };
    let refuse = |reason: String| Reply::error(format!("Can't edit the crt-list: {reason}"));
    let entry = match entry {
        Ok(entry) => entry,
        Err(problem) => return refuse(problem),
    };
    let Some((list, users)) = served(context, name) else {
        return refuse(format!("crt-list '{name}' does not exist!"));
    };
    let known = certificate_users(context).certificates();
    let mut replacement = context.admin.certificates.lock();
    // A relative name is taken as it stands if there is one, and under `crt-base` otherwise.
    let is_known =
        |path: &Path| known.iter().any(|known| known.path == path) || replacement.unused().contains_key(path);
    let under_base = context.snapshot.global.tls.get("crt-base").map(|base| format!("{base}/{}", entry.file));
    let based = under_base.filter(|path| {
        !entry.file.starts_with('/') && !is_known(Path::new(&entry.file)) && is_known(Path::new(path))
    });
    let path = based.as_deref().unwrap_or(&entry.file);
    if list.is_directory && Path::new(path).parent() != Some(Path::new(name)) {
        return refuse(format!(
            "'{name}' is a directory, certificate path '{path}' must contain the directory path"
        ));
    }
    let is_there = |listener: &&ListenerTls| {
        let is_it = |known: &Loaded| {
            known.certificate.path == Path::new(path)
                && known.origin.as_ref().is_some_and(|origin| origin.list == list.name)
        };
        listener.loaded.lock().iter().any(is_it)
    };
    if list.is_directory && users.iter().any(is_there) {
        return refuse("file already exists in this directory!".to_owned());
    }
    if let Some(problem) = contradiction(&entry, path, context) {
        return refuse(problem);
    }
    let used = known.iter().find(|known| known.path == Path::new(path)).cloned();
    let certificate = match (used, replacement.unused().get(Path::new(path))) {
        (Some(used), _) => used,
        (None, Some(Some(unused))) => Arc::clone(unused),
        (None, Some(None)) => return refuse(format!("certificate '{path}' is empty!")),
        (None, None) => return refuse(format!("certificate '{path}' does not exist!")),
    };
    match insert(&users, &list, &entry, &certificate) {
        Ok(()) => {
            replacement.take_into_use(Path::new(path));
            context.admin.ocsp.look_again();
            let dots = ".".repeat(users.len());
            Reply::Data(format!("Inserting certificate '{path}' in crt-list '{name}'{dots}\nSuccess!\n"))
        }
        Err(problem) => refuse(problem),
    }
}

/// A certificate's response is asked for everywhere or nowhere.
fn contradiction(entry: &Entry, path: &str, context: &Context<'_>) -> Option<String> {
    let by_default = context.snapshot.global.tls.get("ocsp-update.mode").is_some_and(|mode| mode == "on");
    let own = entry.options.iter().rev().find(|word| word.name == "ocsp-update");
    let wanted = own.map_or(by_default, |word| word.value == "on");
    let differs = |known: &Loaded| {
        known.certificate.path == Path::new(path) && known.updates_ocsp(by_default) != wanted
    };
    let conflict = listeners(context).iter().any(|listener| listener.loaded.lock().iter().any(differs));
    conflict.then(|| format!("certificate '{path}' already used with a different parameter 'ocsp-update'!"))
}

/// The entry of a payload's line, or of a name alone.
fn asked(payload: Option<&str>, path: Option<&str>) -> Option<Result<Entry, String>> {
    let line = payload.and_then(|text| text.lines().find(|line| !line.trim().is_empty())).or(path)?;
    crt_list::entry(line, 0).transpose()
}

fn insert(
    users: &[&ListenerTls],
    list: &List,
    entry: &Entry,
    certificate: &Arc<Certificate>,
) -> Result<(), String> {
    let own: Vec<_> =
        users.iter().map(|listener| listener.own(&entry.options)).collect::<Result<_, String>>()?;
    for (listener, own) in users.iter().zip(own) {
        let mut loaded = listener.loaded.lock();
        let in_list = loaded.iter().filter_map(|known| known.origin.as_ref()).filter(|o| o.list == list.name);
        let line =
            if list.is_directory { 0 } else { in_list.map(|origin| origin.line).max().unwrap_or(0) + 1 };
        loaded.push(Loaded {
            certificate: Arc::clone(certificate),
            filters: entry.filters.clone(),
            origin: Some(Origin { list: Arc::clone(&list.name), line, options: entry.options.clone() }),
            own,
        });
        listener.refresh(&loaded);
    }
    Ok(())
}

fn del(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (Some(name), Some(asked)) = (list_name(words), words.get(1)) else {
        return Reply::error("'del ssl crtlist' expects a filename and a certificate name");
    };
    let refuse = |reason: String| Reply::error(format!("Can't delete the entry: {reason}"));
    let (path, line) = match asked.rsplit_once(':') {
        Some((path, digits)) if digits.parse::<u32>().is_ok() => (path, digits.parse::<u32>().ok()),
        _ => (*asked, None),
    };
    let Some((list, users)) = served(context, name) else {
        return refuse(format!("crt-list '{name}' does not exist!"));
    };
    let is_entry = |entry: &Loaded| {
        entry.certificate.path == Path::new(path)
            && entry
                .origin
                .as_ref()
                .is_some_and(|origin| origin.list == list.name && line.is_none_or(|line| line == origin.line))
    };
    let first = users.first().map(|listener| listener.loaded.lock().clone()).unwrap_or_default();
    let found: Vec<&Loaded> = first.iter().filter(|entry| is_entry(entry)).collect();
    let Some(entry) = found.first() else {
        return refuse(format!("certificate '{path}' can't be found in crt-list '{name}'!"));
    };
    if found.len() > 1 {
        let lines: Vec<String> = found
            .iter()
            .filter_map(|entry| entry.origin.as_ref())
            .map(|origin| origin.line.to_string())
            .collect();
        return refuse(format!(
            "found the certificate '{path}' in several entries, please specify a line number preceded by colons ({})!",
            lines.join(", ")
        ));
    }
    let is_default = |listener: &&ListenerTls| {
        !listener.strict_sni && listener.loaded.lock().first().is_some_and(is_entry)
    };
    if users.iter().any(is_default) {
        return refuse(format!(
            "certificate '{path}' cannot be deleted, it is used as default certificate by the following frontends:\n{}",
            places(context, &list)
        ));
    }
    let certificate = Arc::clone(&entry.certificate);
    for listener in &users {
        let mut loaded = listener.loaded.lock();
        loaded.retain(|entry| !is_entry(entry));
        listener.refresh(&loaded);
    }
    let known = certificate_users(context).certificates();
    context.admin.certificates.lock().keep(&certificate, &known);
    context.admin.ocsp.look_again();
    Reply::info(format!("Entry '{path}' deleted in crtlist '{name}'!"))
}

/// The lines of the listeners that serve a list.
fn places(context: &Context<'_>, list: &List) -> String {
    let mut places = Vec::new();
    for listener in context.snapshot.frontends().flat_map(|frontend| &frontend.listeners) {
        let serves = listener.model.tls_listener.0.as_ref().is_some_and(|tls| tls.lists.contains(list));
        let place = format!("\t- {}:{}\n", listener.model.location.file, listener.model.location.line);
        if serves && !places.contains(&place) {
            places.push(place);
        }
    }
    places.concat()
}
