//! Process events of the kernel (`linux/cn_proc.h`): the request to hear them, and what they say.

/// Netlink family of the kernel's connector, and its group of process events.
pub(super) const NETLINK_CONNECTOR: isize = 11;
pub(super) const GROUP: u32 = 1;

/// `struct nlmsghdr` and `struct cn_msg`.
const HEADERS_BYTES: usize = 16 + 20;
const NLMSG_DONE: u16 = 3;
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;

const FORK: u32 = 1;
const EXEC: u32 = 2;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;

/// What happened to a process; threads are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessEvent {
    /// It is new, or runs another program, or has another name.
    Look(u32),
    /// It ended.
    Gone(u32),
}

/// The message that asks for the events.
pub(super) fn subscription() -> Vec<u8> {
    let length = HEADERS_BYTES + 4;
    let mut out = Vec::with_capacity(length);
    out.extend((length as u32).to_ne_bytes());
    out.extend(NLMSG_DONE.to_ne_bytes());
    out.extend([0; 10]);
    out.extend(CN_IDX_PROC.to_ne_bytes());
    out.extend(CN_VAL_PROC.to_ne_bytes());
    out.extend([0; 8]);
    out.extend(4_u16.to_ne_bytes());
    out.extend([0; 2]);
    out.extend(PROC_CN_MCAST_LISTEN.to_ne_bytes());
    out
}

/// The event of one datagram; `None` for what is of no interest here, or is no event.
pub(super) fn parse(datagram: &[u8]) -> Option<ProcessEvent> {
    let word =
        |at: usize| -> Option<u32> { Some(u32::from_ne_bytes(datagram.get(at..at + 4)?.try_into().ok()?)) };
    if word(16)? != CN_IDX_PROC || word(20)? != CN_VAL_PROC {
        return None;
    }
    // what, cpu, time in nanoseconds, then ids by kind.
    let ids = HEADERS_BYTES + 16;
    let leader = |at: usize| -> Option<u32> { word(at).filter(|pid| word(at + 4) == Some(*pid)) };
    match word(HEADERS_BYTES)? {
        FORK => leader(ids + 8).map(ProcessEvent::Look),
        EXEC | COMM => leader(ids).map(ProcessEvent::Look),
        EXIT => leader(ids).map(ProcessEvent::Gone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: u32, ids: &[u32]) -> Vec<u8> {
        let mut out = vec![0; 16];
        for word in [CN_IDX_PROC, CN_VAL_PROC, 0, 0, 40, what, 0, 0, 0] {
            out.extend(word.to_ne_bytes());
        }
        ids.iter().for_each(|id| out.extend(id.to_ne_bytes()));
        out
    }

    #[test]
    fn processes_are_told_from_threads() {
        assert_eq!(parse(&event(FORK, &[1, 1, 7, 7])), Some(ProcessEvent::Look(7)));
        assert_eq!(parse(&event(FORK, &[1, 1, 8, 7])), None);
        assert_eq!(parse(&event(EXEC, &[7, 7])), Some(ProcessEvent::Look(7)));
        assert_eq!(parse(&event(EXIT, &[7, 7])), Some(ProcessEvent::Gone(7)));
        assert_eq!(parse(&event(4, &[7, 7])), None);
    }

    #[test]
    fn nothing_that_arrives_can_hurt() {
        let whole = event(FORK, &[1, 1, 7, 7]);
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None);
        }
        assert_eq!(subscription().len(), 40);
    }
}
