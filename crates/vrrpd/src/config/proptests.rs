//! Whatever a file holds, reading it ends, without a panic, with messages that can be shown.

use hacore::diag::render::render;
use proptest::prelude::*;

use super::tests::Machine;
use super::{KeepalivedStyle, LoadOptions, load_text};

fn read(text: &[u8]) -> usize {
    let (_, diagnostics, sources) = load_text(text, &LoadOptions::default(), &Machine);
    diagnostics.iter().map(|diagnostic| render(&KeepalivedStyle, diagnostic, &sources, true).len()).sum()
}

/// Lines that look like a configuration: keywords with arguments that may or may not fit them.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<String> = super::keywords().into_iter().map(|keyword| keyword.name.to_owned()).collect();
    let argument = prop_oneof![
        Just("eth0".to_owned()),
        Just("10.0.0.1/24".to_owned()),
        Just("fe80::1".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\"".to_owned()),
        Just("${A}".to_owned()),
        Just("~SEQ(A, 1, 3)".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[ -~]{0,12}",
    ];
    (proptest::sample::select(names), proptest::collection::vec(argument, 0..4))
        .prop_map(|(name, arguments)| format!("{name} {}", arguments.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&text);
    }

    #[test]
    fn lines_of_keywords_never_panic(lines in proptest::collection::vec(line(), 0..30)) {
        read(lines.join("\n").as_bytes());
    }

    #[test]
    fn instances_of_keywords_never_panic(lines in proptest::collection::vec(line(), 0..30)) {
        read(format!("vrrp_instance V {{\n{}\n}}\n", lines.join("\n")).as_bytes());
        read(format!("$A= \\\n{}\n$A $A\n~SEQ(Q, 1, 3) $A", lines.join("\\\n")).as_bytes());
    }

    #[test]
    fn comments_and_blank_lines_change_nothing(priority in 1_u8.., comment in "[ -~]{0,20}") {
        let plain = format!("vrrp_instance V {{\ninterface eth0\nvirtual_router_id 5\npriority {priority}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n");
        let commented = plain.replace('\n', &format!("   # {comment}\n\n\t\n! {comment}\n"));
        let load = |text: &str| load_text(text.as_bytes(), &LoadOptions::default(), &Machine).0;
        prop_assert!(load(&plain).is_some());
        prop_assert_eq!(load(&plain), load(&commented));
    }
}
