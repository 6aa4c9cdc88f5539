//! What is installed beside the command: completions and manual pages, in the
//! programs that use them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::rig::{ferrevent, peer};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn printed(arguments: &[&str]) -> String {
    let output = ferrevent(arguments);
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// Types at a shell on a terminal, Tab and all, and prints what it shows up to
/// the word DONE.
const TYPIST: &str = r#"
import os, pty, select, sys, time
setup, keys = sys.argv[1].encode(), sys.argv[2].encode().decode("unicode_escape").encode()
child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM="dumb", HOME="/nowhere", INPUTRC="/dev/null")
    os.execvp(sys.argv[3], sys.argv[3:])
shown, end = b"", time.time() + 30
def until(wanted):
    global shown
    while wanted not in shown:
        left = end - time.time()
        if left < 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit("no %r in %r" % (wanted, shown))
        shown += os.read(terminal, 65536)
os.write(terminal, setup + b"; echo REA''DY\n")
until(b"READY")
shown = b""
os.write(terminal, keys)
until(b"DONE")
print(shown.decode())
"#;

#[test]
fn bash_completes_commands_options_and_values() {
    let script = std::env::temp_dir().join(format!("ferrevent-bash-{}", std::process::id()));
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    // The command itself is not run: what it would be told is printed.
    let setup = format!(
        "source {}; ferrevent() {{ echo \"GOT:$*:DO\"NE; }}",
        script.display()
    );
    let keys = r"ferrevent rel\t--max-c\t7 --log-f\tjs\t:1 :2\n";
    let output = peer("python3", "python3")
        .args([
            "-c",
            TYPIST,
            &setup,
            keys,
            "bash",
            "--norc",
            "--noprofile",
            "-i",
        ])
        .output()
        .unwrap();
    let shown = text(&output);
    assert!(
        shown.contains("GOT:relay --max-connections 7 --log-format json :1 :2:DONE"),
        "{shown}"
    );
    std::fs::remove_file(script).unwrap();
}

#[test]
fn zsh_and_fish_take_their_completions() {
    for (shell, package) in [("zsh", "zsh"), ("fish", "fish")] {
        let script = printed(&["completions", shell]);
        let mut command = peer(shell, package);
        command.arg("-n");
        let output = with_input(command, &script);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(text(&output), "");
        for option in [
            "max-connections",
            "log-format",
            "reuse-port",
            "listen-tls",
            "connect-tls",
        ] {
            assert!(script.contains(option), "{option} in {shell}");
        }
    }
    let script = printed(&["completions", "fish"]);
    let ask = "\ncomplete -C 'ferrevent relay --max'\n";
    let mut fish = peer("fish", "fish");
    fish.args(["--no-config", "--private"]);
    let shown = text(&with_input(fish, &(script + ask)));
    assert!(shown.contains("--max-connections"), "{shown}");
}

#[test]
fn the_pages_render_without_a_warning() {
    for page in [
        &["man"][..],
        &["man", "relay"],
        &["man", "demo"],
        &["man", "man"],
    ] {
        let roff = printed(page);
        let mut groff = peer("groff", "groff-base");
        groff.args(["-man", "-ww", "-K", "utf8", "-T", "utf8", "-z"]);
        let output = with_input(groff, &roff);
        assert!(output.status.success());
        assert_eq!(text(&output), "", "{page:?}");
    }
    let mut man = peer("man", "man-db");
    man.args(["--warnings", "-l", "-"]).env("MANWIDTH", "80");
    let output = with_input(man, &printed(&["man", "relay"]));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let shown = text(&output);
    for wanted in [
        "ferrevent-relay - Relay every connection",
        "--max-connections <N>",
        "--listen-tls <CERT> <KEY>",
        "--connect-tls [<NAME>]",
        "SIGNALS",
        "COMING FROM STUNNEL OR SOCAT",
        "EXIT STATUS",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

#[test]
fn the_help_names_everything_the_page_does() {
    let (help, page) = (printed(&["relay", "--help"]), printed(&["man", "relay"]));
    for option in help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 4)
    {
        let option: String = option
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-')
            .collect();
        let escaped = option.replace('-', "\\-");
        assert!(page.contains(&escaped), "{option}");
    }
    let unknown = ferrevent(&["man", "nothing"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown).contains("there are those of relay, demo"));
}
