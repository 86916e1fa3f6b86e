//! Statistics as text: CSV, typed lines, JSON (management manual, sections 9.1 to 9.2).

use std::fmt::Write;

use super::columns::{COLUMNS, Column};
use super::info::InfoField;
use super::row::{ObjectKind, StatRow, Value};

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// CSV for rows, `Name: value` for the process.
    #[default]
    Plain,
    Typed,
    Json,
}

/// Rows one after the other, for any encoding; the caller may write what is there away in between.
#[derive(Debug, Clone)]
pub struct RowEncoder {
    encoding: Encoding,
    with_description: bool,
    first: bool,
}

impl RowEncoder {
    /// Begins with the header line or bracket.
    pub fn begin(encoding: Encoding, with_description: bool, out: &mut String) -> Self {
        match encoding {
            Encoding::Plain => csv_header(out),
            Encoding::Typed => {}
            Encoding::Json => out.push('['),
        }
        Self { encoding, with_description, first: true }
    }

    pub fn row(&mut self, row: &StatRow, out: &mut String) {
        let first = std::mem::replace(&mut self.first, false);
        match self.encoding {
            Encoding::Plain => csv_row(row, out),
            Encoding::Typed => typed_row(row, self.with_description, out),
            Encoding::Json => {
                if !first {
                    out.push(',');
                }
                json_row(row, self.with_description, out);
            }
        }
    }

    pub fn end(self, out: &mut String) {
        if self.encoding == Encoding::Json {
            out.push_str("]\n");
        }
    }
}

/// Where HAProxy's modules have their columns; `-` stands before them.
const MODULES_START: usize = Column::SplicedIn as usize;

/// `# pxname,svname,…,-,…,` and a line break.
fn csv_header(out: &mut String) {
    out.push_str("# ");
    for (place, info) in COLUMNS.iter().enumerate() {
        if place == MODULES_START {
            out.push_str("-,");
        }
        out.push_str(info.name);
        out.push(',');
    }
    out.push('\n');
}

fn csv_row(row: &StatRow, out: &mut String) {
    for (place, (_, value)) in row.values().enumerate() {
        if place == MODULES_START {
            out.push_str("-,");
        }
        match value {
            Some(Value::Text(text)) => csv_text(text, out),
            Some(value) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{value}");
            }
            None => {}
        }
        out.push(',');
    }
    out.push('\n');
}

/// Quotes a text that would break the row (RFC 4180).
fn csv_text(text: &str, out: &mut String) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for part in text.chars() {
        if part == '"' {
            out.push('"');
        }
        out.push(part);
    }
    out.push('"');
}

fn typed_row(row: &StatRow, with_description: bool, out: &mut String) {
    for (place, (info, value)) in row.values().enumerate() {
        let Some(value) = value else { continue };
        let tag = info.tag(row.kind == ObjectKind::Backend);
        let _ = write!(
            out,
            "{}.{}.{}.{place}.{}.1:{tag}:{}:{value}",
            row.kind.letter(),
            row.proxy_number,
            row.object_number,
            info.name,
            value.type_name(),
        );
        if with_description {
            let _ = write!(out, ":\"{}\"", info.doc);
        }
        out.push('\n');
    }
}

fn json_row(row: &StatRow, with_description: bool, out: &mut String) {
    out.push('[');
    let mut first = true;
    for (place, (info, value)) in row.values().enumerate() {
        let Some(value) = value else { continue };
        if !std::mem::replace(&mut first, false) {
            out.push(',');
        }
        let _ = write!(
            out,
            "{{\"objType\":\"{}\",\"proxyId\":{},\"id\":{},",
            row.kind.name(),
            row.proxy_number,
            row.object_number
        );
        let tag = info.tag(row.kind == ObjectKind::Backend);
        json_field(place, info.name, tag, value, with_description.then_some(info.doc), out);
    }
    out.push(']');
}

/// The part of a JSON value that rows and process figures share, with the closing brace.
fn json_field(place: usize, name: &str, tag: &str, value: &Value, doc: Option<&str>, out: &mut String) {
    let mut letters = tag.chars();
    let (origin, nature, scope) = (letters.next(), letters.next(), letters.next());
    let _ = write!(
        out,
        "\"field\":{{\"pos\":{place},\"name\":\"{name}\"}},\"processNum\":1,\"tags\":{{\"origin\":\"{}\",\
         \"nature\":\"{}\",\"scope\":\"{}\"}},",
        origin_name(origin),
        nature_name(nature),
        scope_name(scope),
    );
    if let Some(doc) = doc {
        let _ = write!(out, "\"desc\":\"{doc}\",");
    }
    let _ = write!(out, "\"value\":{{\"type\":\"{}\",\"value\":", value.type_name());
    match value {
        // A JSON number holds 53 bits exactly.
        Value::U64(n) => {
            let _ = write!(out, "{}", (*n).min((1 << 53) - 1));
        }
        Value::Text(text) => out.push_str(&serde_json::Value::from(text.as_ref()).to_string()),
        number => {
            let _ = write!(out, "{number}");
        }
    }
    out.push_str("}}");
}

fn origin_name(letter: Option<char>) -> &'static str {
    match letter {
        Some('M') => "Metric",
        Some('S') => "Status",
        Some('K') => "Key",
        Some('C') => "Config",
        Some('P') => "Product",
        _ => "Unknown",
    }
}

fn nature_name(letter: Option<char>) -> &'static str {
    match letter {
        Some('G') => "Gauge",
        Some('L') => "Limit",
        Some('m') => "Min",
        Some('M') => "Max",
        Some('R') => "Rate",
        Some('C') => "Counter",
        Some('D') => "Duration",
        Some('A') => "Age",
        Some('T') => "Time",
        Some('N') => "Name",
        Some('O') => "Output",
        Some('a') => "Avg",
        _ => "Unknown",
    }
}

fn scope_name(letter: Option<char>) -> &'static str {
    match letter {
        Some('C') => "Cluster",
        Some('P') => "Process",
        Some('S') => "Service",
        Some('M') => "System",
        _ => "Unknown",
    }
}

/// `show info` in any encoding.
pub fn info(fields: &[InfoField], encoding: Encoding, with_description: bool, out: &mut String) {
    if encoding == Encoding::Json {
        out.push('[');
    }
    let mut first = true;
    for field in fields {
        let InfoField { place, name, tag, doc, value } = field;
        match encoding {
            Encoding::Plain => {
                let _ = write!(out, "{name}: {value}");
            }
            Encoding::Typed => {
                let _ = write!(out, "{place}.{name}.1:{tag}:{}:{value}", value.type_name());
            }
            Encoding::Json => {
                out.push_str(if std::mem::replace(&mut first, false) { "{" } else { ",{" });
                json_field(*place, name, tag, value, with_description.then_some(doc), out);
                continue;
            }
        }
        if with_description {
            let _ = write!(out, ":\"{doc}\"");
        }
        out.push('\n');
    }
    if encoding == Encoding::Json {
        out.push_str("]\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> StatRow {
        let mut row = StatRow::new(ObjectKind::Server, "b", "s1", 3, 1);
        row.set(Column::SessionsCurrent, Value::U32(7));
        row.set(Column::BytesIn, Value::U64(u64::MAX));
        row.set(Column::LastSession, Value::S32(-1));
        row.set(Column::LastCheck, Value::text("he said \"no\", twice"));
        row
    }

    fn encoded(encoding: Encoding, with_description: bool) -> String {
        let mut out = String::new();
        let mut encoder = RowEncoder::begin(encoding, with_description, &mut out);
        encoder.row(&server(), &mut out);
        encoder.row(&server(), &mut out);
        encoder.end(&mut out);
        out
    }

    #[test]
    fn csv_rows_end_with_a_comma_and_have_as_many_fields_as_the_header() {
        let text = encoded(Encoding::Plain, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("# pxname,svname,qcur,qmax,scur,"));
        assert!(lines[1].starts_with("b,s1,,,7,"), "{}", lines[1]);
        assert!(lines[1].contains(",\"he said \"\"no\"\", twice\","));
        assert!(lines[0].ends_with(",proto,-,h1_spliced_bytes_in,h1_spliced_bytes_out,"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.ends_with(',')));
        let commas = |line: &str| line.replace("\"\"no\"\", twice", "").matches(',').count();
        assert_eq!(commas(lines[0]), commas(lines[1]));
        assert!(commas(lines[0]) > 51, "hatop wants more than 51 fields");
    }

    #[test]
    fn typed_lines_are_object_place_tag_type_value() {
        let text = encoded(Encoding::Typed, false);
        assert!(text.starts_with(
            "S.3.1.0.pxname.1:KNS:str:b\nS.3.1.1.svname.1:KNS:str:s1\nS.3.1.4.scur.1:MGP:u32:7\n"
        ));
        assert!(text.contains("\nS.3.1.55.lastsess.1:MAP:s32:-1\n"));
        assert!(
            encoded(Encoding::Typed, true).starts_with("S.3.1.0.pxname.1:KNS:str:b:\"name of the proxy\"\n")
        );
    }

    #[test]
    fn json_is_json_and_numbers_stay_exact() {
        let text = encoded(Encoding::Json, true);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed[1][2]["field"]["name"], "scur");
        assert_eq!(parsed[0][2]["tags"]["nature"], "Gauge");
        assert_eq!(parsed[0][3]["value"]["value"], 9_007_199_254_740_991u64);
        assert!(text.ends_with("]]\n"));
    }
}
