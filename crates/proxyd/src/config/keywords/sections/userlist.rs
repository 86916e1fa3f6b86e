//! `userlist` (configuration manual, section 3.4).

use super::word;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::model::HttpUser;

pub const KEYWORDS: &[Keyword] = &[
    word("group", Places::USERLIST, "<groupname> [users <user>,<user>,(...)]", "Adds a group.", group),
    word(
        "user",
        Places::USERLIST,
        "<username> [password|insecure-password <password>] [groups <group>,(...)]",
        "Adds a user.",
        user,
    ),
];

fn group(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> as arguments.")?;
    let list = loader.userlists.entry(loader.section_name.clone()).or_default();
    if list.groups.iter().any(|group| *name == *group.as_str()) {
        let message =
            format!("ignoring duplicated group '{}' in userlist '{}'.", name.as_str(), loader.section_name);
        loader.push(line.warning(message));
        line.words.seek(usize::MAX);
        return Ok(());
    }
    list.groups.push(name.as_str().to_owned());
    let mut members = Vec::new();
    while let Some(word) = line.words.next() {
        if *word != "users" {
            return Err(line.alert_at(word, "'group' only supports 'users' option."));
        }
        members.extend(line.required("a list of users.")?.as_str().split(',').map(str::to_owned));
    }
    loader.group_members.push((loader.section_name.clone(), name.clone(), members));
    Ok(())
}

fn user(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> as arguments.")?;
    let mut user = HttpUser { password: String::new(), insecure: false, groups: Vec::new() };
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "password" | "insecure-password" => {
                user.password = line.required("a password.")?.as_str().to_owned();
                user.insecure = *word == "insecure-password";
                if !user.insecure && !crate::stream::password::is_known(&user.password) {
                    let message =
                        "'user' : only SHA-crypt hashes ('$5$', '$6$') are supported, not this one.";
                    return Err(line.alert_at(word, message));
                }
            }
            "groups" => {
                let groups = line.required("a list of groups.")?;
                user.groups = groups.as_str().split(',').map(str::to_owned).collect();
            }
            _ => {
                let message = "'user' only supports 'password', 'insecure-password' and 'groups' options.";
                let known = ["password", "insecure-password", "groups"];
                return Err(line.alert_at(word, message).did_you_mean(word.as_str(), known));
            }
        }
    }
    let list = loader.userlists.entry(loader.section_name.clone()).or_default();
    if list.users.contains_key(name.as_str()) {
        let message =
            format!("ignoring duplicated user '{}' in userlist '{}'.", name.as_str(), loader.section_name);
        loader.push(line.warning(message));
        return Ok(());
    }
    list.users.insert(name.as_str().to_owned(), user);
    loader.user_spans.push((loader.section_name.clone(), name.as_str().to_owned(), name.span));
    Ok(())
}
