//! `crt-list` files: one certificate a line, with the names it answers to.
//!
//! Configuration manual, "crt-list": `<crtfile> [\[<sslbindconf>…\]] [[!]<snifilter> …]`. Options in brackets are refused for now.

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub file: String,
    /// Names instead of the certificate's own; empty keeps those.
    pub filters: Vec<String>,
}

/// Reads a list; errors are per line, with its number.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<(usize, String)>) {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        match entry(line) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {}
            Err(problem) => errors.push((number, problem)),
        }
    }
    (entries, errors)
}

fn entry(line: &str) -> Result<Option<Entry>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (file, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let filters = match rest.strip_prefix('[') {
        None => rest,
        Some(rest) => {
            let Some((options, filters)) = rest.split_once(']') else {
                return Err("']' is missing after the options".to_owned());
            };
            if !options.trim().is_empty() {
                return Err(format!(
                    "options of one certificate ('[{options}]') are not supported yet: they will come with a later release."
                ));
            }
            filters
        }
    };
    let filters = filters.split_whitespace().take_while(|filter| !filter.starts_with('#')).map(str::to_owned);
    Ok(Some(Entry { file: file.to_owned(), filters: filters.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_file_and_filters() {
        let (entries, errors) =
            parse("# comment\n\na.pem\nb.pem [] *.b.example !no.b.example # why\nc.pem [alpn h2] c\n");
        let filters = vec!["*.b.example".to_owned(), "!no.b.example".to_owned()];
        let expected = [
            Entry { file: "a.pem".to_owned(), filters: vec![] },
            Entry { file: "b.pem".to_owned(), filters },
        ];
        assert_eq!(entries, expected);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].0, 5);
    }
}
