//! `close_range(2)`: descriptors that no program we start may have.

/// Marks every descriptor from `first` on as closed in programs that are started from now on.
///
/// Descriptors that the standard library opens are so already; this is for those that our own parent left open.
/// Kernels before 5.11 do not know the call and say so.
pub fn close_on_exec_from(first: u32) -> std::io::Result<()> {
    // SAFETY: the call takes three integers and no pointer; it closes nothing now, so no owner loses a descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn a_program_started_afterwards_has_only_the_standard_descriptors() {
        let file = std::fs::File::open("/dev/null").unwrap();
        super::close_on_exec_from(3).unwrap();
        let output = Command::new("/bin/sh").args(["-c", "echo /proc/self/fd/*"]).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        // The fourth is the directory that the shell itself has open while it looks.
        assert!(shown.split_whitespace().count() <= 4, "{shown}");
        drop(file);
    }
}
