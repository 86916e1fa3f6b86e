//! Findings as one document: JSON of our own, and SARIF 2.1.0 (OASIS), which code hosting sites show beside the lines.

use std::collections::BTreeMap;

use hacore::diag::{Diagnostic, SourceMap};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Verdict, tag};
use crate::config::lints::LINTS;
use crate::version;

/// One finding with its place in numbers; columns count characters from 1, the last is exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    message: String,
    #[serde(flatten)]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    help: Vec<String>,
    /// What should stand in the place instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Place {
    file: String,
    line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
}

impl Finding {
    pub fn new(diagnostic: &Diagnostic, sources: &SourceMap) -> Self {
        let severity = match tag(diagnostic) {
            "ALERT" => "alert",
            "WARNING" => "warning",
            "HINT" => "hint",
            "DIAG" => "diag",
            _ => "notice",
        };
        let place = diagnostic.span.and_then(|span| {
            let file = sources.file(span.file)?;
            let line = file.line(span.line);
            let column = |at: u32| {
                let before = line.get(..(at as usize).min(line.len())).unwrap_or_default();
                String::from_utf8_lossy(before).chars().count() + 1
            };
            let exact = span.end > span.start;
            Some(Place {
                file: file.name.clone(),
                line: span.line,
                column: exact.then(|| column(span.start)),
                end_column: exact.then(|| column(span.end)),
            })
        });
        Self {
            severity,
            code: diagnostic.code.filter(|code| *code != crate::config::DIAG),
            message: diagnostic.message.clone(),
            place,
            help: diagnostic.help.clone(),
            replacement: diagnostic.replacement.clone(),
        }
    }
}

/// The program, the verdict, the findings, and how many of each severity there are.
pub fn json(findings: &[Finding], verdict: Verdict) -> Value {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.severity).or_default() += 1;
    }
    json!({
        "program": "proxyd",
        "version": version::full(),
        "verdict": verdict.name(),
        "exit_status": verdict.exit_status(),
        "counts": counts,
        "diagnostics": findings,
    })
}

/// A rule for findings without a code.
fn rule_of(finding: &Finding) -> &'static str {
    finding.code.unwrap_or(match finding.severity {
        "alert" => "config-error",
        "warning" => "config-warning",
        _ => "config-notice",
    })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        "alert" => "error",
        "warning" => "warning",
        _ => "note",
    };
    let mut text = finding.message.clone();
    for help in &finding.help {
        text = format!("{text}\n{help}");
    }
    let mut result = json!({ "ruleId": rule_of(finding), "level": level, "message": { "text": text } });
    let (Some(place), Some(fields)) = (&finding.place, result.as_object_mut()) else { return result };
    let mut region = json!({ "startLine": place.line });
    if let (Some(start), Some(end), Some(region)) = (place.column, place.end_column, region.as_object_mut()) {
        region.insert("startColumn".into(), start.into());
        region.insert("endColumn".into(), end.into());
    }
    let artifact = json!({ "uri": place.file });
    let physical = json!({ "artifactLocation": artifact, "region": region });
    fields.insert("locations".into(), json!([{ "physicalLocation": physical }]));
    if let (Some(replacement), Some(_)) = (&finding.replacement, place.column) {
        let change = json!({ "deletedRegion": region, "insertedContent": { "text": replacement } });
        let fix = json!({
            "description": { "text": format!("write '{replacement}'") },
            "artifactChanges": [{ "artifactLocation": artifact, "replacements": [change] }],
        });
        fields.insert("fixes".into(), json!([fix]));
    }
    result
}

/// One run of the program.
pub fn sarif(findings: &[Finding]) -> Value {
    let general = [
        ("config-error", "the configuration is wrong"),
        ("config-warning", "the configuration is doubtful"),
        ("config-notice", "a remark about the configuration"),
    ];
    let general = general.iter().map(|(id, text)| json!({ "id": id, "shortDescription": { "text": text } }));
    let lints = LINTS.iter().map(|lint| {
        json!({
            "id": lint.code,
            "shortDescription": { "text": lint.title },
            "fullDescription": { "text": format!("{}: {}.", lint.title, lint.why) },
            "defaultConfiguration": { "level": "note" },
        })
    });
    json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{
            "tool": { "driver": {
                "name": "proxyd",
                "version": version::full(),
                "rules": general.chain(lints).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, LoadOptions, load_text};

    fn findings(text: &str) -> Vec<Finding> {
        let loaded = load_text("t.cfg", text, LoadOptions::default(), Environment::default());
        loaded.diagnostics.iter().map(|d| Finding::new(d, &loaded.sources)).collect()
    }

    #[test]
    fn json_has_the_place_in_characters_and_the_replacement() {
        let value = json(&findings("global\n \tmaxcon 10 # ä\n"), Verdict::Invalid);
        let first = &value["diagnostics"][0];
        assert_eq!((&value["verdict"], &value["exit_status"]), (&json!("invalid"), &json!(1)));
        assert_eq!((&first["severity"], &first["line"]), (&json!("alert"), &json!(2)));
        assert_eq!((&first["column"], &first["end_column"]), (&json!(3), &json!(9)));
        assert_eq!(first["replacement"], json!("maxconn"));
    }

    #[test]
    fn sarif_names_rule_level_region_and_fix() {
        let value = sarif(&findings("global\n maxcon 10\n"));
        let result = &value["runs"][0]["results"][0];
        assert_eq!((&result["ruleId"], &result["level"]), (&json!("config-error"), &json!("error")));
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert_eq!(region, &json!({ "startLine": 2, "startColumn": 2, "endColumn": 8 }));
        let fix = &result["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!(fix["insertedContent"]["text"], json!("maxconn"));
    }
}
