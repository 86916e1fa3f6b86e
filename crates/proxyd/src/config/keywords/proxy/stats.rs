//! `stats …` of a proxy: the statistics page.

use hacore::diag::Diagnostic;
use hacore::units::TimeUnit;

use super::old;
use crate::config::expression;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::model::{StatsAdmin, StatsPage};

const fn stats(name: &'static str, places: Places, arguments: &'static str, doc: &'static str) -> Keyword {
    old(name, places, arguments, doc, parse)
}

pub const KEYWORDS: &[Keyword] = &[
    stats("stats enable", Places::PROXY, "", "Turns the statistics page on."),
    stats("stats uri", Places::PROXY, "<prefix>", "Where the page is."),
    stats("stats realm", Places::PROXY, "<realm>", "The realm of its authentication."),
    stats("stats auth", Places::PROXY, "<user>:<passwd>", "Who may see it."),
    stats("stats scope", Places::PROXY, "{ <name> | \".\" }", "Which proxies it shows."),
    stats("stats refresh", Places::PROXY, "<delay>", "How often it refreshes."),
    stats("stats hide-version", Places::PROXY, "", "Hides the version."),
    stats("stats show-version", Places::PROXY, "", "Shows the version."),
    stats("stats show-legends", Places::PROXY, "", "Shows more details."),
    stats("stats show-modules", Places::PROXY, "", "Shows extra modules.")
        .no_effect("no module adds anything to the page"),
    stats("stats show-node", Places::PROXY, "[ <name> ]", "Shows the node's name."),
    stats("stats show-desc", Places::PROXY, "[ <desc> ]", "Shows a description."),
    old("stats admin", Places::PROXY_ONLY, "{ if | unless } <cond>", "When changes are allowed.", admin),
    old(
        "stats http-request",
        Places::PROXY_ONLY,
        "{ allow | deny | auth [realm <realm>] } [ { if | unless } <condition> ]",
        "Access rules of the page.",
        http_request,
    ),
];

fn parse(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let argument = line.words.peek().cloned();
    let page = |loader: &mut Loader| -> Result<(), hacore::diag::Diagnostic> {
        loader.proxy()?.stats.get_or_insert_with(StatsPage::default);
        Ok(())
    };
    page(loader)?;
    let text = match line.name {
        "stats enable" | "stats hide-version" | "stats show-version" | "stats show-legends"
        | "stats show-modules" => String::new(),
        "stats show-node" | "stats show-desc" => line.rest_text(),
        _ => line.required("an argument.")?.as_str().to_owned(),
    };
    let refresh = match (line.name, &argument) {
        ("stats refresh", Some(word)) => Some(line.duration_of(word, TimeUnit::Seconds)?),
        _ => None,
    };
    let Some(page) = loader.proxy()?.stats.as_mut() else { return Ok(()) };
    match line.name {
        "stats uri" => page.uri = text,
        "stats realm" => page.realm = Some(text),
        "stats auth" => match text.split_once(':') {
            Some((user, password)) => page.users.push((user.to_owned(), password.to_owned())),
            None => return Err(line.alert("'stats auth' expects 'user:passwd' as argument.")),
        },
        "stats scope" => page.scope.push(text),
        "stats refresh" => page.refresh = refresh.filter(|time| !time.is_zero()),
        "stats hide-version" => page.hide_version = true,
        "stats show-version" => page.hide_version = false,
        "stats show-legends" => page.show_legends = true,
        "stats show-modules" => page.show_modules = true,
        "stats show-node" => page.show_node = Some(text),
        "stats show-desc" => page.show_description = Some(text),
        _ => {}
    }
    // HAProxy takes the first word and says nothing about others, `stats realm Please log in` among them.
    if let Some(word) = line.words.next() {
        let message = format!("'{}' ignores the unexpected argument '{}'.", line.name, word.as_str());
        let warning = Diagnostic::warning(message).at(word.span);
        loader.push(warning.help("write '\\ ' for a blank within a word, or put the whole in quotes"));
        line.words.seek(usize::MAX);
    }
    Ok(())
}

fn admin(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if !matches!(line.words.peek_str(), Some("if" | "unless")) {
        return Err(line.alert("'stats admin' requires either 'if' or 'unless' followed by a condition."));
    }
    let condition = expression::condition(loader, line)?;
    let admin = StatsAdmin { condition, location: line.location.clone() };
    loader.proxy()?.stats.get_or_insert_with(StatsPage::default).admin.push(admin);
    Ok(())
}

fn http_request(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.stats.get_or_insert_with(StatsPage::default);
    let _ = line.required("an action.")?;
    line.words.seek(usize::MAX);
    Err(Diagnostic::needs("stats http-request", "access rules of the statistics page").at(line.span))
}
