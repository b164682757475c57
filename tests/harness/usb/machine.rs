//! The machine itself: QEMU without hardware support, its console, and a bound on its life.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::image::{self, Kernel};
use crate::reaper;
use crate::shop::Devices;

/// A machine that runs for so long hangs. On two idle cores it takes half a minute in all.
const PATIENCE: Duration = Duration::from_secs(300);

/// Boots the machine with `shop` inside and waits for its end; what its console said.
///
/// Emulated in the guest, with the other end here: two USB serial adapters (a reader and a printer
/// of `devices`), the simulator's control socket on the second serial port, and QEMU's own control
/// on the third, so that the guest itself pulls and puts back its cables.
///
/// # Errors
/// When the machine cannot be made or started.
pub fn run(kernel: &Kernel, shop: &Path, dir: &Path, devices: &Devices) -> io::Result<String> {
    fs::create_dir_all(dir)?;
    let image = dir.join("initramfs");
    image::write(kernel, shop, &image)?;
    let control = dir.join("qemu.sock");
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-M", "q35", "-accel", "tcg", "-m", "1536", "-no-reboot"])
        .args(["-display", "none", "-nodefaults", "-net", "none"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&image)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .args(["-device", "qemu-xhci"])
        .args(["-serial", "stdio"])
        .args(serial_port("hands", &devices.dir.join("control.sock"), ""))
        .args([
            "-qmp",
            &format!("unix:{},server=on,wait=off", control.display()),
        ])
        .args(serial_port("cables", &control, ",reconnect=1"))
        .args(adapter("reader", &devices.dir.join("reader.pty")))
        .args(adapter("printer", &devices.dir.join("printer.pty")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(dir.join("qemu.log"))?)
        .spawn()?;
    reaper::note(child.id());
    let said = listen(&mut child);
    child.kill().ok();
    child.wait()?;
    reaper::forget(child.id());
    fs::remove_file(image)?;
    said
}

fn serial_port(name: &str, socket: &Path, more: &str) -> [String; 4] {
    [
        "-chardev".to_owned(),
        format!("socket,id={name},path={}{more}", socket.display()),
        "-serial".to_owned(),
        format!("chardev:{name}"),
    ]
}

/// Its serial number is the device's name in capitals, by which the agent finds it.
fn adapter(name: &str, port: &Path) -> [String; 4] {
    [
        "-chardev".to_owned(),
        format!("serial,id={name},path={}", port.display()),
        "-device".to_owned(),
        format!(
            "usb-serial,id={name},chardev={name},serial={}",
            name.to_uppercase()
        ),
    ]
}

fn listen(child: &mut Child) -> io::Result<String> {
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (lines_tx, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if lines_tx.send(line).is_err() {
                return;
            }
        }
    });
    let (mut said, end) = (String::new(), Instant::now() + PATIENCE);
    // The console closes when the machine is switched off.
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        said.push_str(String::from_utf8_lossy(&line).trim_end());
        said.push('\n');
    }
    Ok(said)
}
