//! `cargo demo`: a whole shop on this machine, from pairing to receipt, told step by step.
//!
//! `--once` plays it unattended, checks every answer, and exits with 0 or 1.

#[path = "demo/narrator.rs"]
mod narrator;
#[path = "demo/play.rs"]
mod play;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use harness::shop::Shop;
use narrator::Narrator;

/// Plays a card payment from till to receipt.
#[derive(Debug, Parser)]
#[command(name = "cargo demo --")]
struct Arguments {
    /// Ends after the play instead of staying up.
    #[arg(long)]
    once: bool,
    /// Directory for database, logs and paper; a new temporary one if absent.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<bool> {
    let dir = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => tempfile::Builder::new()
            .prefix("tillway-demo-")
            .tempdir()?
            .keep(),
    };
    std::fs::create_dir_all(&dir)?;
    let dir = dir.canonicalize()?;
    let mut narrator = Narrator::default();
    narrator.title("Tillway: one card payment from till to receipt");
    narrator.say(&format!("Everything lives in {}", dir.display()));
    narrator.say("Building the programs (the first time takes a minute or two) …");
    harness::programs::bin_dir();
    let stopped = stop_flag()?;
    let mut shop = play::open(&mut narrator, &dir)?;
    play::everything(&mut narrator, &shop)?;
    if !arguments.once {
        farewell(&narrator, &shop);
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        println!();
    }
    let is_clean = close(&mut shop);
    narrator.expect("engine and agent end cleanly", is_clean);
    narrator.verdict();
    Ok(narrator.is_good())
}

/// Set by Ctrl-C, so that children are stopped in order rather than with the terminal.
fn stop_flag() -> io::Result<std::sync::Arc<std::sync::atomic::AtomicBool>> {
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let set = flag.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::signal::ctrl_c().await.ok();
            set.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    });
    Ok(flag)
}

/// Stops agent and engine in the order in which a machine shuts down; true when both ended by
/// themselves. A Ctrl-C at the terminal reaches them too; ending twice is harmless.
fn close(shop: &mut Shop) -> bool {
    let is_till_clean = shop.till.stop();
    let is_engine_clean = shop.engine.stop();
    let are_devices_clean = shop.devices.stop();
    is_till_clean && is_engine_clean && are_devices_clean
}

fn farewell(narrator: &Narrator, shop: &Shop) {
    let base = shop.pos.base();
    let token = shop.pos.token();
    let terminal = &shop.terminal_id;
    let bin = harness::programs::bin_dir().display();
    let devices = shop.devices.dir.display();
    let paper = shop.devices.dir.join("paper").display().to_string();
    narrator.title("The shop stays open. Try this in another terminal (Ctrl-C here closes it)");
    println!(
        r#"
1. Start a sale:

curl -s {base}/v1/pos/transactions -H 'Authorization: Bearer {token}' \
  -H 'Content-Type: application/json' -H "X-Idempotency-Key: $(date +%s%N)" \
  -d '{{"terminal_id":"{terminal}","amount":1850,"currency":"USD"}}'

   … and tap a card (`{bin}/firmware-sim cards` lists them):

{bin}/firmware-sim card tap visa --dir {devices}

2. See what came of it:

curl -s '{base}/v1/pos/transactions?limit=1' -H 'Authorization: Bearer {token}'

3. See the till:

curl -s {base}/v1/terminals/{terminal}/status -H 'Authorization: Bearer {token}'

Paper lands in {paper} as text and as PNG.
"#
    );
}
