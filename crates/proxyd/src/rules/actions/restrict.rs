//! `option http-restrict-req-hdr-names`: not a rule that can be written, but one that the option adds to its proxy.

use std::sync::Arc;

use crate::model::{Location, RestrictNames};
use crate::rules::{Action, Rule, Txn, Verdict};

/// What happens to request header names outside `[a-zA-Z0-9-]`.
#[derive(Debug)]
struct Restrict(RestrictNames);

fn is_odd(name: &[u8]) -> bool {
    !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

impl Action for Restrict {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let Some(headers) = txn.headers_mut() else { return Verdict::Continue };
        match self.0 {
            RestrictNames::Preserve => {}
            RestrictNames::Delete => {
                headers.remove_where(|header| is_odd(header.name));
            }
            RestrictNames::Reject if headers.iter().any(|header| is_odd(header.name)) => {
                txn.reply_page(403);
                return Verdict::Deny;
            }
            RestrictNames::Reject => {}
        }
        Verdict::Continue
    }
}

/// The rule that the option stands for; `None` where it leaves everything as it is.
pub fn rule(restrict: RestrictNames, location: &Location) -> Option<Rule> {
    let word = match restrict {
        RestrictNames::Preserve => return None,
        RestrictNames::Delete => "delete",
        RestrictNames::Reject => "reject",
    };
    Some(Rule {
        text: format!("restrict-header-names {word}"),
        location: location.clone(),
        action: Arc::new(Restrict(restrict)),
        condition: None,
    })
}
