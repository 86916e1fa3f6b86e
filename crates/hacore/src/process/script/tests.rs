use std::time::Duration;

use super::*;

fn shell(script: &str) -> ScriptCommand {
    ScriptCommand::new("/bin/sh", ["-c".to_owned(), script.to_owned()])
}

fn capture(script: &str) -> ScriptCommand {
    ScriptCommand { output: Output::Capture { bytes_max: 4096 }, ..shell(script) }
}

fn alive(pid: i32) -> bool {
    // A zombie still takes signals, so the state has to be read.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test]
async fn the_exit_status_is_what_the_script_says() {
    assert_eq!(run(&shell("exit 0")).await.outcome, Outcome::Exited(0));
    assert_eq!(run(&shell("exit 7")).await.outcome, Outcome::Exited(7));
    assert_eq!(run(&shell("kill -9 $$")).await.outcome, Outcome::Signaled(9));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_from_one_that_fails() {
    let report = run(&ScriptCommand::new("/no/such/program", [])).await;
    assert!(matches!(report.outcome, Outcome::NotStarted(std::io::ErrorKind::NotFound, _)));
}

#[tokio::test]
async fn a_script_that_hangs_is_ended_in_time() {
    let command = ScriptCommand { timeout: Some(Duration::from_millis(100)), ..shell("sleep 60") };
    let report = run(&command).await;
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert!(report.took < Duration::from_secs(2), "SIGTERM was enough: {:?}", report.took);
}

#[tokio::test]
async fn sigkill_follows_when_sigterm_is_ignored_and_reaches_the_whole_group() {
    // The children ignore SIGTERM too; only the group's SIGKILL reaches the one in the background.
    let script = "trap '' TERM; sleep 60 & echo $!; sleep 60";
    let command = ScriptCommand { timeout: Some(Duration::from_millis(200)), ..capture(script) };
    let report = run(&command).await;
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert!(report.took >= KILL_AFTER, "{:?}", report.took);
    let background: i32 = String::from_utf8_lossy(&report.output).trim().parse().unwrap();
    let gone = async {
        while alive(background) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the background process was killed");
}

#[tokio::test]
async fn endless_output_is_bounded_and_does_not_block() {
    let command = ScriptCommand {
        timeout: Some(Duration::from_millis(300)),
        output: Output::Capture { bytes_max: 100 },
        ..shell("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done")
    };
    let report = run(&command).await;
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert_eq!(report.output.len(), 100);
}

#[tokio::test]
async fn a_background_process_that_holds_the_pipe_does_not_delay_the_report() {
    let report = run(&capture("echo done; sleep 3 & exit 3")).await;
    assert_eq!((report.outcome, report.output.as_slice()), (Outcome::Exited(3), &b"done\n"[..]));
    assert!(report.took < Duration::from_secs(2), "{:?}", report.took);
}

#[tokio::test]
async fn a_script_has_no_descriptor_of_ours_and_no_dangerous_variable() {
    // What the test's own parent left open is not ours, but must not arrive either.
    crate::sys::close_on_exec_from(3).unwrap();
    let _file = std::fs::File::open("/dev/null").unwrap();
    let report =
        run(&capture("ls /proc/self/fd | tr '\\n' ' '; echo ${LD_PRELOAD-none} ${IFS_NOT-ok}")).await;
    // The fourth is the directory that ls itself has open.
    assert_eq!(String::from_utf8_lossy(&report.output), "0 1 2 3 none ok\n");
}

#[tokio::test]
async fn variables_and_arguments_arrive_as_given() {
    let mut command = capture("echo \"$WHO\" \"$0\" \"$1\"");
    command.variables.push(("WHO".into(), "a b".into()));
    command.arguments.extend(["x y".to_owned(), "$HOME;".to_owned()]);
    assert_eq!(String::from_utf8_lossy(&run(&command).await.output), "a b x y $HOME;\n");
}

#[tokio::test]
async fn a_dropped_run_is_terminated_or_left_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let pid_of = |name: &str| dir.path().join(name);
    for (name, when_dropped) in [("terminate", WhenDropped::Terminate), ("leave", WhenDropped::Leave)] {
        let file = pid_of(name);
        let script = format!("echo $$ > {0}.new && mv {0}.new {0}; exec sleep 20", file.display());
        let command = ScriptCommand { when_dropped, ..shell(&script) };
        let started = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            report = run(&command) => panic!("ended by itself: {report:?}"),
            () = started => {}
        }
        let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        match when_dropped {
            WhenDropped::Terminate => {
                let gone = async {
                    while alive(pid) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(5), gone).await.expect("terminated");
            }
            WhenDropped::Leave => {
                assert!(alive(pid));
                killpg(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn root_gives_its_rights_and_groups_away() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut command = capture("id -u; id -G");
    command.run_as = Some(Identity { uid: 65534, gid: 65534 });
    assert_eq!(String::from_utf8_lossy(&run(&command).await.output), "65534\n65534\n");
}
