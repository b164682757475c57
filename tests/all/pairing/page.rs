//! The page that a till's QR symbol leads to, in a real browser. Skipped with a clear line where
//! there is none.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use harness::hand::{ask_to_pair, fresh_key};

use super::Site;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn browser() -> Option<&'static str> {
    BROWSERS.into_iter().find(|name| {
        let asked = Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    })
}

/// The page's tree after its script has run, and what the browser complained of.
fn visit(browser: &str, profile: &Path, url: &str) -> (String, String) {
    let mut program = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--enable-logging=stderr", "--window-size=360,780"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut complaints = String::new();
    let stderr = BufReader::new(program.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if line.contains("CONSOLE") {
                complaints.push_str(&line);
            }
        }
        complaints
    });
    let mut tree = String::new();
    let mut stdout = program.stdout.take().unwrap();
    stdout.read_to_string(&mut tree).unwrap();
    program.wait().unwrap();
    (tree, reader.join().unwrap())
}

#[test]
fn the_page_runs_under_its_own_policy() {
    let Some(browser) = browser() else {
        println!("skipped: no browser on this machine (apt-get install chromium)");
        return;
    };
    let site = Site::open("page", super::CONFIG);
    let asked = ask_to_pair(site.base(), "SN-7", &fresh_key());
    let url = format!(
        "{}{}",
        site.base(),
        asked.field("verification_path_complete")
    );
    let (tree, complaints) = visit(browser, &site.dir.join("profile"), &url);
    assert!(tree.contains("Pair a till"), "{tree}");
    assert!(!complaints.contains("Refused"), "{complaints}");
    assert!(!complaints.contains("Uncaught"), "{complaints}");
}
