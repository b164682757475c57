//! What the small machine boots: a kernel from a package, its modules, the programs and their
//! libraries.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::Archive;
use crate::programs::bin_dir;

/// Where an unpacked kernel package is looked for, unless this variable says otherwise. `.ci/run`
/// puts it there.
const KERNEL_VARIABLE: &str = "TILLWAY_USB_KERNEL";
/// Host controllers, drivers that a till uses, gadgets, and the second pair of cables.
const MODULES: [&str; 11] = [
    "xhci_pci",
    "ftdi_sio",
    "cdc_acm",
    "usblp",
    "usbhid",
    "hid_generic",
    "dummy_hcd",
    "usb_f_acm",
    "usb_f_hid",
    "usb_f_printer",
    "libcomposite",
];
/// Readers and printers that are gadgets at once.
const GADGETS_MAX: u8 = 4;

/// Why there is no such machine here; a person can do something about it.
#[derive(Debug)]
pub struct Absent(pub String);

/// An unpacked kernel package.
#[derive(Debug)]
pub struct Kernel {
    /// What boots.
    pub image: PathBuf,
    modules: BTreeMap<String, PathBuf>,
}

impl Kernel {
    /// Looks for everything that the machine needs.
    ///
    /// # Errors
    /// [`Absent`] names what is missing.
    pub fn find() -> Result<Self, Absent> {
        for program in ["qemu-system-x86_64", "busybox"] {
            if which(program).is_none() {
                return Err(Absent(format!("{program} is not installed")));
            }
        }
        let dir = std::env::var_os(KERNEL_VARIABLE).map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/usb-kernel"),
            PathBuf::from,
        );
        let absent = |what: &str| Absent(format!("no {what} in {}", dir.display()));
        let image = find_file(&dir.join("boot"), &|name| name.starts_with("vmlinuz-"));
        let mut modules = BTreeMap::new();
        collect_modules(&dir.join("lib/modules"), &mut modules);
        if modules.is_empty() {
            return Err(absent("kernel modules"));
        }
        let image = image.ok_or_else(|| absent("kernel"))?;
        Ok(Self { image, modules })
    }

    /// The modules in the order in which they must be loaded.
    fn load_order(&self) -> io::Result<Vec<&Path>> {
        let mut order = Vec::new();
        for name in MODULES {
            self.load_before(name, &mut order)?;
        }
        Ok(order)
    }

    /// A module that is not there is part of the kernel itself, or is missed when it is used.
    fn load_before<'a>(&'a self, name: &str, order: &mut Vec<&'a Path>) -> io::Result<()> {
        let Some(path) = self.modules.get(name) else {
            return Ok(());
        };
        if order.contains(&path.as_path()) {
            return Ok(());
        }
        for needed in needed_by(&fs::read(path)?) {
            self.load_before(&needed, order)?;
        }
        order.push(path);
        Ok(())
    }
}

/// The names of the modules that a module says it depends on.
fn needed_by(module: &[u8]) -> Vec<String> {
    const MARK: &[u8] = b"\0depends=";
    let found = module.windows(MARK.len()).position(|at| at == MARK);
    let rest = found.map_or(&[][..], |at| &module[at + MARK.len()..]);
    let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = text.split(|byte| *byte == b',');
    names
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).replace('-', "_"))
        .collect()
}

/// Writes the first file system: `shop` is what runs there.
pub(super) fn write(kernel: &Kernel, shop: &Path, image: &Path) -> io::Result<()> {
    let mut archive = Archive::new(BufWriter::new(fs::File::create(image)?));
    for dir in [
        "bin", "dev", "proc", "sys", "config", "modules", "shop", "lib", "lib64",
    ] {
        archive.directory(dir)?;
    }
    let busybox = which("busybox").ok_or(io::ErrorKind::NotFound)?;
    let mut programs = vec![("bin/busybox".to_owned(), busybox)];
    for name in ["engine", "terminal-agent", "firmware-sim"] {
        programs.push((format!("bin/{name}"), bin_dir().join(name)));
    }
    programs.push(("bin/usb-shop".to_owned(), shop.to_path_buf()));
    let mut libraries = BTreeMap::new();
    for (path, program) in &programs {
        archive.file(path, 0o755, &fs::read(program)?)?;
        libraries.extend(libraries_of(program)?);
    }
    // Where the dynamic linker looks without being told.
    for (name, path) in libraries {
        let dir = if name.starts_with("ld-") {
            "lib64"
        } else {
            "lib"
        };
        archive.file(&format!("{dir}/{name}"), 0o755, &fs::read(path)?)?;
    }
    let mut load = String::new();
    for path in kernel.load_order()? {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        archive.file(&format!("modules/{name}"), 0o644, &fs::read(path)?)?;
        let options = if name == "dummy_hcd.ko" {
            format!(" num={GADGETS_MAX}")
        } else {
            String::new()
        };
        load.push_str(&format!("insmod /modules/{name}{options}\n"));
    }
    archive.file("init", 0o755, init(&load).as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// What the kernel starts. A free directory needs a file system that says how much is free.
fn init(load: &str) -> String {
    format!(
        "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/shop TILLWAY_PROGRAMS=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts && mount -t devpts pts /dev/pts
mount -t tmpfs -o size=400m shop /shop
ip link set lo up
{load}mount -t configfs config /config
cd /shop
usb-shop && echo 'usb-shop: passed' || echo 'usb-shop: failed'
poweroff -f
"
    )
}

/// Names and paths of the shared libraries that a program needs.
fn libraries_of(program: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let listed = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let paths = text.lines().filter_map(|line| {
        let word = line.split_whitespace().find(|word| word.starts_with('/'))?;
        let name = Path::new(word).file_name()?.to_str()?;
        Some((name.to_owned(), PathBuf::from(word)))
    });
    Ok(paths.collect())
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

fn find_file(dir: &Path, is_it: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.file_name().and_then(OsStr::to_str).is_some_and(is_it))
}

fn collect_modules(dir: &Path, modules: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_modules(&path, modules);
        } else if let Some(name) = path.file_name().and_then(OsStr::to_str)
            && let Some(name) = name.strip_suffix(".ko")
        {
            modules.insert(name.replace('-', "_"), path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_depends_on() {
        let module = b"\x7fELF\0license=GPL\0depends=usbcore,hid-core\0retpoline=Y\0";
        assert_eq!(needed_by(module), ["usbcore", "hid_core"]);
        assert!(needed_by(b"\0depends=\0").is_empty());
        assert!(needed_by(b"no module").is_empty());
    }
}
