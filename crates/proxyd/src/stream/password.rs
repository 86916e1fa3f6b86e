//! Passwords of `userlist` sections: plain ones, and the SHA-crypt hashes `$5$` and `$6$`.
//!
//! The older kinds of `crypt(3)` are not read here; the configuration refuses them.

use sha2::{Digest, Sha256, Sha512};

use crate::model::HttpUser;

/// Rounds when the hash does not name them, and the bounds that the scheme sets.
const ROUNDS: u32 = 5000;
const ROUNDS_MIN: u32 = 1000;
const ROUNDS_MAX: u32 = 999_999_999;
/// Longer salts are cut off by the scheme.
const SALT_BYTES_MAX: usize = 16;

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether a hash is of a kind that [`matches`] knows.
pub fn is_known(hash: &str) -> bool {
    hash.starts_with("$5$") || hash.starts_with("$6$")
}

/// Whether `given` is the user's password.
pub fn matches(user: &HttpUser, given: &[u8]) -> bool {
    if user.insecure {
        return same(user.password.as_bytes(), given);
    }
    crypt(&user.password, given).is_some_and(|hash| same(hash.as_bytes(), user.password.as_bytes()))
}

/// Takes as long for a wrong password as for the right one.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Hashes as `setting`, a whole hash, says.
fn crypt(setting: &str, password: &[u8]) -> Option<String> {
    let is_512 = setting.starts_with("$6$");
    let rest = setting.strip_prefix(if is_512 { "$6$" } else { "$5$" })?;
    let (given_rounds, rest) = match rest.strip_prefix("rounds=").and_then(|rest| rest.split_once('$')) {
        Some((number, rest)) => (Some(number.parse::<u32>().ok()?.clamp(ROUNDS_MIN, ROUNDS_MAX)), rest),
        None => (None, rest),
    };
    let salt = rest.split('$').next()?;
    let salt = salt.get(..salt.len().min(SALT_BYTES_MAX))?;
    let digest: fn(&[u8]) -> Vec<u8> =
        if is_512 { |data| Sha512::digest(data).to_vec() } else { |data| Sha256::digest(data).to_vec() };
    let sum = rounds(digest, password, salt.as_bytes(), given_rounds.unwrap_or(ROUNDS));
    let mut hash = String::from(if is_512 { "$6$" } else { "$5$" });
    if let Some(rounds) = given_rounds {
        hash.push_str(&format!("rounds={rounds}$"));
    }
    hash.push_str(salt);
    hash.push('$');
    encode(&sum, is_512, &mut hash);
    Some(hash)
}

/// Steps 1 to 21 of the scheme ("Unix crypt using SHA-256 and SHA-512", 0.6).
fn rounds(digest: fn(&[u8]) -> Vec<u8>, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let repeated = |of: &[u8], length: usize| of.iter().copied().cycle().take(length).collect::<Vec<u8>>();
    let b = digest(&[password, salt, password].concat());
    let mut input = [password, salt].concat();
    input.extend(repeated(&b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        input.extend_from_slice(if bits & 1 == 1 { &b } else { password });
        bits >>= 1;
    }
    let mut sum = digest(&input);
    let p = repeated(&digest(&password.repeat(password.len())), password.len());
    let salts = 16 + usize::from(sum.first().copied().unwrap_or(0));
    let s = repeated(&digest(&salt.repeat(salts)), salt.len());
    for round in 0..rounds {
        input.clear();
        input.extend_from_slice(if round % 2 == 1 { &p } else { &sum });
        if round % 3 != 0 {
            input.extend_from_slice(&s);
        }
        if round % 7 != 0 {
            input.extend_from_slice(&p);
        }
        input.extend_from_slice(if round % 2 == 1 { &sum } else { &p });
        sum = digest(&input);
    }
    sum
}

/// Step 22: groups of three bytes in the scheme's order, six bits a character, the lowest first.
fn encode(sum: &[u8], is_512: bool, out: &mut String) {
    let byte = |place: usize| u32::from(sum.get(place).copied().unwrap_or(0));
    let mut push = |mut word: u32, count: usize| {
        for _ in 0..count {
            out.push(char::from(ALPHABET.get((word & 63) as usize).copied().unwrap_or(b'.')));
            word >>= 6;
        }
    };
    let (mut places, groups) = if is_512 { ([0, 21, 42], 21) } else { ([0, 10, 20], 10) };
    for _ in 0..groups {
        let [a, b, c] = places;
        push(byte(a) << 16 | byte(b) << 8 | byte(c), 4);
        places = if is_512 { [b + 1, c + 1, a + 1] } else { [c + 1, a + 1, b + 1] };
    }
    if is_512 {
        push(byte(63), 2);
    } else {
        push(byte(31) << 8 | byte(30), 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl passwd -6` and `-5` print.
    #[test]
    fn sha_crypt_examples() {
        for (hash, password) in [
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
                "Hello world!",
            ),
            ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
        ] {
            let user = HttpUser { password: hash.to_owned(), insecure: false, groups: Vec::new() };
            assert!(matches(&user, password.as_bytes()), "{hash}");
            assert!(!matches(&user, b"Hello world?"));
        }
    }
}
