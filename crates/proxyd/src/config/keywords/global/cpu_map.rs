//! `cpu-map`: which CPUs each thread may run on. There is one group of threads, the first.

use std::collections::BTreeSet;

use crate::config::keyword::{Line, Parsed};
use crate::config::loader::Loader;

/// The most groups, and the most threads of one.
const SET_MAX: u16 = 64;
/// The largest number of a CPU, and the one at which a range ends that names no end.
const CPU_MAX: u16 = 1023;
const CPU_OPEN_END: u16 = 63;

const USAGE: &str = "cpu-map expects a process number  ('all', 'odd', 'even', a number from 1 to 64 or a range),  \
followed by a list of CPU ranges with numbers from 0 to 63.";

/// `cpu-map [auto:]<group>[/<threads>] <cpus>...`
pub(super) fn cpu_map(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let (Some(word), false) = (line.words.next(), line.words.is_empty()) else {
        return Err(line.alert(USAGE));
    };
    let (auto, place) = match word.as_str().strip_prefix("auto:") {
        Some(place) => (true, place),
        None => (false, word.as_str()),
    };
    let (groups, threads) = place.split_once('/').unwrap_or((place, "all"));
    let set = |text: &str| {
        numbers(text).map_err(|reason| line.alert_at(word, format!("cpu-map : '{text}' {reason}")))
    };
    let (groups, threads) = (set(groups)?, set(threads)?);
    let mut cpus = BTreeSet::new();
    while let Some(word) = line.words.next() {
        for range in word.as_str().split(',') {
            cpus.extend(cpu_range(range).map_err(|message| line.alert_at(word, message))?);
        }
    }
    // With one CPU for each group all threads of the group get it.
    let by_thread = auto && threads.len() == cpus.len();
    if auto && !by_thread && groups.len() != cpus.len() {
        let message =
            "cpu-map : PROC/THREAD range and CPU sets must have the same size to be automatically bound";
        return Err(line.alert(message));
    }
    if !groups.contains(&1) {
        let message = format!("'cpu-map {place}' concerns no thread: there is one group of threads.");
        loader.push(line.warning(message));
        return Ok(());
    }
    let map = &mut loader.global.cpu_map;
    if by_thread {
        map.extend(threads.into_iter().zip(cpus.into_iter().map(|cpu| vec![cpu])));
    } else {
        let first = if auto { 1 } else { cpus.len() };
        let cpus: Vec<u16> = cpus.into_iter().take(first).collect();
        map.extend(threads.into_iter().map(|thread| (thread, cpus.clone())));
    }
    Ok(())
}

/// `all`, `odd`, `even`, `N`, `N-`, `N-M`, from 1; else what is wrong with it.
fn numbers(text: &str) -> Result<BTreeSet<u16>, &'static str> {
    let wrong = "is not a valid number/range. It supports numbers from 1 to 64.";
    match text {
        "all" => return Ok((1..=SET_MAX).collect()),
        "odd" => return Ok((1..=SET_MAX).step_by(2).collect()),
        "even" => return Ok((2..=SET_MAX).step_by(2).collect()),
        _ => {}
    }
    let (low, high) = bounds(text, SET_MAX).ok_or("is not a valid number/range.")?;
    if low == 0 || high > SET_MAX {
        return Err(wrong);
    }
    Ok((low..=high).collect())
}

fn cpu_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let (low, high) =
        bounds(text, CPU_OPEN_END).ok_or_else(|| format!("cpu-map : '{text}' is not a CPU range."))?;
    if high > CPU_MAX {
        return Err(format!("cpu-map : supports CPU numbers from 0 to {CPU_MAX}."));
    }
    Ok(low..=high)
}

/// Both ends of `N`, `N-` and `N-M`, the smaller first.
fn bounds(text: &str, open_end: u16) -> Option<(u16, u16)> {
    let number = |text: &str| -> Option<u16> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u16::MAX))
    };
    let (first, last) = match text.split_once('-') {
        None => (number(text)?, number(text)?),
        Some((first, "")) => (number(first)?, open_end),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    Some((first.min(last), first.max(last)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    fn map(lines: &[&str]) -> Result<BTreeMap<u16, Vec<u16>>, String> {
        let text: String = lines.iter().map(|line| format!(" cpu-map {line}\n")).collect();
        let loaded = crate::config::load_text(
            "t.cfg",
            &format!("global\n{text}"),
            Default::default(),
            Default::default(),
        );
        loaded.config.map(|config| config.global.cpu_map).ok_or_else(|| format!("{:?}", loaded.diagnostics))
    }

    fn of(map: &BTreeMap<u16, Vec<u16>>, thread: u16) -> &[u16] {
        map.get(&thread).map_or(&[], Vec::as_slice)
    }

    #[test]
    fn a_set_of_threads_shares_a_set_of_cpus_and_the_last_line_wins() {
        let map = map(&["1/all 0-3", "1/2 5,7", "2/1 9"]).unwrap();
        assert_eq!(
            (of(&map, 1), of(&map, 2), of(&map, 64)),
            (&[0, 1, 2, 3][..], &[5, 7][..], &[0, 1, 2, 3][..])
        );
    }

    #[test]
    fn auto_binds_each_thread_to_one_cpu_from_the_lowest() {
        for line in ["auto:1/1-4 0-3", "auto:1/1-4 0-1 2-3", "auto:1/1-4 3 2 1 0"] {
            let map = map(&[line]).unwrap();
            assert_eq!((of(&map, 1), of(&map, 4), map.len()), (&[0][..], &[3][..], 4), "{line}");
        }
        let map = map(&["auto:1/even 0-31", "auto:1/odd 32-63"]).unwrap();
        assert_eq!((of(&map, 1), of(&map, 2), of(&map, 64)), (&[32][..], &[0][..], &[31][..]));
        assert!(map_of_all("auto:1/1-4 7"));
    }

    /// One CPU for the one group: all the threads named get it.
    fn map_of_all(line: &str) -> bool {
        map(&[line]).unwrap().values().all(|cpus| cpus == &[7])
    }

    /// The same lines are refused by haproxy 2.6.
    #[test]
    fn what_is_no_set_is_refused() {
        for line in ["", "1/all", "foo 0", "1/1 x", "1/0 0", "1/1-99 0", "65/1 0", "1/ 0", "1/1 9999"] {
            assert!(map(&[line]).is_err(), "{line}");
        }
        assert!(map(&["auto:1/1-2 0 1 2"]).unwrap_err().contains("must have the same size"));
    }
}
