//! What differs between two configurations, as lines for people: a reload says what it does.

use serde_json::{Map, Value};

use super::Config;

/// Lines at most; a file that was replaced as a whole needs no more.
const LINES_MAX: usize = 200;
/// Fields whose values are nobody's business.
const SECRET: [&str; 2] = ["auth", "auth_hmac"];
/// Lists of named blocks, and the word their block begins with.
const NAMED: [(&str, &str); 6] = [
    ("vrrp_instances", "vrrp_instance"),
    ("sync_groups", "vrrp_sync_group"),
    ("scripts", "vrrp_script"),
    ("track_files", "track_file"),
    ("track_processes", "vrrp_track_process"),
    ("track_groups", "track_group"),
];

/// One line for each block that is new, gone or changed; empty when both mean the same.
pub fn differences(before: &Config, after: &Config) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let (before, after) = (object(before), object(after));
    let mut lines = Vec::new();
    for (key, new) in &after {
        let old = before.get(key).unwrap_or(&Value::Null);
        if old == new {
            continue;
        }
        match NAMED.iter().find(|(list, _)| list == key) {
            Some((_, word)) => named(word, list(old), list(new), &mut lines),
            None => {
                let mut changes = Vec::new();
                fields("", old, new, &mut changes);
                let title = if key == "global" { "global_defs" } else { key };
                lines.push(format!("~ {title}: {}", changes.join("; ")));
            }
        }
    }
    let left_out = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if left_out > 0 {
        lines.push(format!("… and {left_out} more"));
    }
    lines
}

fn object(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn name(block: &Value) -> &str {
    block.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn named(word: &str, before: &[Value], after: &[Value], lines: &mut Vec<String>) {
    for old in before.iter().filter(|old| !after.iter().any(|new| name(new) == name(old))) {
        lines.push(format!("- {word} {}", name(old)));
    }
    for new in after {
        match before.iter().find(|old| name(old) == name(new)) {
            None => lines.push(format!("+ {word} {}", name(new))),
            Some(old) if old != new => {
                let mut changes = Vec::new();
                fields("", old, new, &mut changes);
                lines.push(format!("~ {word} {}: {}", name(new), changes.join("; ")));
            }
            Some(_) => {}
        }
    }
}

/// The changed fields of an object, by their path.
fn fields(path: &str, old: &Value, new: &Value, changes: &mut Vec<String>) {
    let shown_path = if path.is_empty() { "all" } else { path };
    match (old, new) {
        (Value::Object(before), Value::Object(after)) if before.keys().eq(after.keys()) => {
            for (key, new) in after {
                let old = before.get(key).unwrap_or(&Value::Null);
                if old == new {
                    continue;
                }
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if SECRET.contains(&key.as_str()) {
                    changes.push(format!("{path} changed"));
                } else {
                    fields(&path, old, new, changes);
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            let gone = before.iter().filter(|old| !after.contains(old)).map(|old| format!("-{}", show(old)));
            let come = after.iter().filter(|new| !before.contains(new)).map(|new| format!("+{}", show(new)));
            let both: Vec<String> = gone.chain(come).collect();
            let both = if both.is_empty() { "order changed".to_owned() } else { both.join(" ") };
            changes.push(format!("{shown_path} {both}"));
        }
        _ => changes.push(format!("{shown_path} {} -> {}", show(old), show(new))),
    }
}

/// A value as the file would have it, or nearly so.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str);
            if let (Some(address), Some(length)) = (text("address"), map.get("prefix_len")) {
                return format!("{address}/{length}");
            }
            if let Some(words) = map.get("argv").and_then(Value::as_array) {
                return format!("'{}'", words.iter().map(show).collect::<Vec<_>>().join(" "));
            }
            text("name").or_else(|| text("address")).map_or_else(|| value.to_string(), str::to_owned)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keepalived.conf");
        std::fs::write(&file, text).unwrap();
        let (config, diagnostics, _) = crate::config::load(&[file], &crate::config::LoadOptions::default());
        config.unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    fn instance(name: &str, vrid: u8, body: &str) -> String {
        format!("vrrp_instance {name} {{\n interface lo\n virtual_router_id {vrid}\n {body}\n}}\n")
    }

    #[test]
    fn what_changed_is_said_in_the_words_of_the_file() {
        let before = instance(
            "A",
            1,
            "priority 100\n virtual_ipaddress {\n 10.0.0.1/24\n }\n authentication {\n auth_type PASS\n auth_pass a1\n }",
        ) + &instance("B", 2, "virtual_ipaddress {\n 10.0.0.2\n }");
        let after = instance(
            "A",
            1,
            "priority 90\n virtual_ipaddress {\n 10.0.0.3/24\n }\n authentication {\n auth_type PASS\n auth_pass b2\n }",
        ) + &instance("C", 3, "virtual_ipaddress {\n 10.0.0.2\n }");
        let lines = differences(&config(&before), &config(&after));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "- vrrp_instance B");
        assert!(lines[1].starts_with("~ vrrp_instance A: "), "{}", lines[1]);
        for part in ["priority 100 -> 90", "vips -10.0.0.1/24 +10.0.0.3/24", "auth changed"] {
            assert!(lines[1].contains(part), "{part} in {}", lines[1]);
        }
        assert_eq!(lines[2], "+ vrrp_instance C");
        assert_eq!(differences(&config(&before), &config(&before)), Vec::<String>::new());
    }
}
