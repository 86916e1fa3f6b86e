//! `userlist` sections (configuration manual, section 3.4 "Userlists").

use std::collections::BTreeMap;

use serde::Serialize;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// A `crypt(3)` hash, or with `insecure` the password itself.
    pub password: String,
    pub insecure: bool,
    pub groups: Vec<String>,
}

/// Users and their groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Userlist {
    pub users: BTreeMap<String, User>,
    pub groups: Vec<String>,
}
