//! What the till can find out about the machine it runs on: reads `/proc`, `/sys` and `/etc`.
//!
//! Never speaks to a device, and decides nothing: what is worth telling is the machine's business.
//! Everything is looked up below a root, so that a made-up tree can stand for a machine.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::link::{ConnectionType, TillFacts};
use tokio::sync::{Notify, mpsc};

/// How often the machine is looked at without being asked. Twenty small files a minute.
const EVERY: Duration = Duration::from_secs(60);
/// The most that is read of one file: those that are read are far smaller.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Longest name that is kept, in characters.
const NAME_LETTERS_MAX: usize = 64;
/// Directory entries that are looked at. Arbitrary, bounded: a till has a handful.
const ENTRIES_MAX: usize = 64;
/// Wireless link quality of a perfect link, as cfg80211 gives it to `/proc/net/wireless`.
const QUALITY_MAX: u32 = 70;
/// Temperatures that a sensor can mean, in degrees Celsius: others are sensors that are not there.
const PLAUSIBLE_C: std::ops::RangeInclusive<i32> = -40..=150;

/// Looks at the machine now, every minute, and whenever it is asked, until nobody listens.
pub async fn run<E>(asked: Arc<Notify>, events: mpsc::Sender<E>, wrap: fn(Box<TillFacts>) -> E) {
    loop {
        // A sensor on a slow bus must not hold up the till.
        let read = tokio::task::spawn_blocking(|| read(Path::new("/")));
        let Ok(facts) = read.await else { return };
        if events.send(wrap(Box::new(facts))).await.is_err() {
            return;
        }
        // Ends early when it was asked meanwhile.
        drop(tokio::time::timeout(EVERY, asked.notified()).await);
    }
}

/// What the machine below `root` is like. Reads files; what is not there is left out.
pub fn read(root: &Path) -> TillFacts {
    let interface = default_interface(root);
    let connection = interface.as_deref().map(|name| connection(root, name));
    let signal = interface
        .as_deref()
        .filter(|_| connection == Some(ConnectionType::Wifi))
        .and_then(|name| signal_percent(&text(root, "proc/net/wireless")?, name));
    let (battery_percent, is_charging) = battery(root).unzip();
    TillFacts {
        maker: name(root, "sys/class/dmi/id/sys_vendor"),
        model: name(root, "sys/class/dmi/id/product_name")
            .or_else(|| name(root, "proc/device-tree/model")),
        os: text(root, "etc/os-release").and_then(|text| os_name(&text)),
        kernel: name(root, "proc/sys/kernel/osrelease"),
        uptime_s: text(root, "proc/uptime").and_then(|text| whole_seconds(&text)),
        connection,
        signal_percent: signal,
        battery_percent,
        is_charging: is_charging.flatten(),
        temperature_c: temperature_c(root),
        ..TillFacts::default()
    }
}

fn text(root: &Path, path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(root.join(path)).ok()?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A name as a vendor wrote it, without what a log or a screen could not show.
fn name(root: &Path, path: &str) -> Option<String> {
    text(root, path).and_then(|text| printable(&text))
}

fn printable(text: &str) -> Option<String> {
    let kept: String = text
        .trim_matches(|c: char| c.is_whitespace() || c == '\0')
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_LETTERS_MAX)
        .collect();
    (!kept.is_empty()).then_some(kept)
}

fn os_name(release: &str) -> Option<String> {
    let line = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    printable(line.trim().trim_matches(['"', '\'']))
}

fn whole_seconds(uptime: &str) -> Option<u64> {
    uptime.split(['.', ' ']).next()?.parse().ok()
}

/// The interface of the default route with the lowest metric.
fn default_interface(root: &Path) -> Option<String> {
    let four = text(root, "proc/net/route").and_then(|table| default_route(&table));
    four.or_else(|| text(root, "proc/net/ipv6_route").and_then(|table| default_route_six(&table)))
}

/// Of `/proc/net/route`: interface, destination, gateway, flags, references, uses, metric, …
fn default_route(table: &str) -> Option<String> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let metric: u32 = fields.get(6)?.parse().ok()?;
        (*fields.get(1)? == "00000000").then_some((metric, *fields.first()?))
    });
    routes.min().map(|(_, interface)| interface.to_owned())
}

/// Of `/proc/net/ipv6_route`: destination, prefix length, …, metric (hexadecimal), …, interface.
fn default_route_six(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default =
            fields.first()?.bytes().all(|digit| digit == b'0') && *fields.get(1)? == "00";
        let metric = u32::from_str_radix(fields.get(5)?, 16).ok()?;
        let interface = *fields.get(9)?;
        (is_default && interface != "lo").then_some((metric, interface))
    });
    routes.min().map(|(_, interface)| interface.to_owned())
}

fn connection(root: &Path, interface: &str) -> ConnectionType {
    let directory = format!("sys/class/net/{interface}");
    let has = |entry: &str| root.join(&directory).join(entry).exists();
    let uevent = text(root, &format!("{directory}/uevent")).unwrap_or_default();
    let kind = text(root, &format!("{directory}/type")).unwrap_or_default();
    connection_of(
        interface,
        has("wireless") || has("phy80211"),
        &uevent,
        kind.trim(),
    )
}

/// What an interface is, by its name, whether it has a radio, its `uevent` and its `type`.
fn connection_of(name: &str, has_radio: bool, uevent: &str, kind: &str) -> ConnectionType {
    let device = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVTYPE="))
        .unwrap_or_default();
    // ARPHRD_ETHER and ARPHRD_PPP of <linux/if_arp.h>; modems without Ethernet framing say 65534.
    if has_radio || device == "wlan" {
        ConnectionType::Wifi
    } else if device == "wwan" || name.starts_with("wwan") || kind == "512" {
        ConnectionType::Mobile
    } else if kind == "1" {
        ConnectionType::Ethernet
    } else {
        ConnectionType::Other
    }
}

fn signal_percent(table: &str, interface: &str) -> Option<u8> {
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
    let quality = line.split_whitespace().nth(1)?.trim_end_matches('.');
    let quality: u32 = quality.parse().ok()?;
    u8::try_from(quality.min(QUALITY_MAX).saturating_mul(100) / QUALITY_MAX).ok()
}

/// The names in a directory, in order.
fn entries(root: &Path, path: &str) -> Vec<String> {
    let Ok(listing) = std::fs::read_dir(root.join(path)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = listing
        .take(ENTRIES_MAX)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Charge and charging of the first battery of the machine itself.
fn battery(root: &Path) -> Option<(u8, Option<bool>)> {
    let supplies = "sys/class/power_supply";
    entries(root, supplies).into_iter().find_map(|supply| {
        let of = |file: &str| text(root, &format!("{supplies}/{supply}/{file}"));
        // A wireless mouse has a battery too.
        let is_own = of("scope").is_none_or(|scope| scope.trim() != "Device");
        if of("type")?.trim() != "Battery" || !is_own {
            return None;
        }
        let percent: u8 = of("capacity")?.trim().parse().ok()?;
        let is_charging = of("status").and_then(|status| match status.trim() {
            "Charging" | "Full" => Some(true),
            "Discharging" | "Not charging" => Some(false),
            _ => None,
        });
        Some((percent.min(100), is_charging))
    })
}

fn temperature_c(root: &Path) -> Option<i32> {
    let zones = "sys/class/thermal";
    entries(root, zones)
        .into_iter()
        .filter(|zone| zone.starts_with("thermal_zone"))
        .filter_map(|zone| text(root, &format!("{zones}/{zone}/temp")))
        .filter_map(|millis| millis.trim().parse::<i32>().ok())
        .map(|millis| millis / 1_000)
        .filter(|degrees| PLAUSIBLE_C.contains(degrees))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t700\t00000000\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\n\
        wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\n";

    #[test]
    fn a_machine_that_says_nothing_has_no_facts() {
        assert_eq!(read(tree(&[]).path()), TillFacts::default());
        // Directories and nonsense where values should be.
        let odd = tree(&[
            ("proc/net/route/x", ""),
            ("proc/net/ipv6_route", "zz\n\n0\n"),
            ("proc/uptime", "soon"),
            ("sys/class/thermal/thermal_zone0/temp", "-274000\n"),
            ("sys/class/power_supply/BAT0/type", "Battery"),
            ("sys/class/power_supply/BAT0/capacity", "full"),
            ("etc/os-release", "PRETTY_NAME=\"\"\n"),
            ("sys/class/dmi/id/sys_vendor", "\u{1b}\n"),
        ]);
        assert_eq!(read(odd.path()), TillFacts::default());
    }

    #[test]
    fn a_till_on_wireless_lan_and_battery_says_everything() {
        let root = tree(&[
            ("sys/class/dmi/id/sys_vendor", "Acme\n"),
            ("sys/class/dmi/id/product_name", "Till\u{1b}[2J 9\n"),
            ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 13\"\n"),
            ("proc/sys/kernel/osrelease", "6.12.1\n"),
            ("proc/uptime", "12345.67 999.00\n"),
            ("proc/net/route", ROUTES),
            (
                "proc/net/wireless",
                "Inter-| sta-|   Quality\n face | tus | link level noise\n wlan0: 0000   35.  -60.  -256\n",
            ),
            ("sys/class/net/wlan0/type", "1\n"),
            (
                "sys/class/net/wlan0/uevent",
                "DEVTYPE=wlan\nINTERFACE=wlan0\n",
            ),
            ("sys/class/power_supply/AC/type", "Mains\n"),
            ("sys/class/power_supply/hid-mouse/type", "Battery\n"),
            ("sys/class/power_supply/hid-mouse/scope", "Device\n"),
            ("sys/class/power_supply/hid-mouse/capacity", "5\n"),
            ("sys/class/power_supply/BAT1/type", "Battery\n"),
            ("sys/class/power_supply/BAT1/capacity", "87\n"),
            ("sys/class/power_supply/BAT1/status", "Discharging\n"),
            ("sys/class/thermal/thermal_zone0/temp", "41000\n"),
            ("sys/class/thermal/thermal_zone1/temp", "52999\n"),
            ("sys/class/thermal/cooling_device0/temp", "99000\n"),
        ]);
        let expected = TillFacts {
            maker: Some("Acme".to_owned()),
            model: Some("Till[2J 9".to_owned()),
            os: Some("Debian 13".to_owned()),
            kernel: Some("6.12.1".to_owned()),
            uptime_s: Some(12_345),
            connection: Some(ConnectionType::Wifi),
            signal_percent: Some(50),
            battery_percent: Some(87),
            is_charging: Some(false),
            temperature_c: Some(52),
            ..TillFacts::default()
        };
        assert_eq!(read(root.path()), expected);
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_is_the_connection() {
        assert_eq!(default_route(ROUTES).as_deref(), Some("wlan0"));
        assert_eq!(default_route("Iface\n"), None);
        let six = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                   fe800000000000000000000000000001 00000400 00000001 00000000 00000003 wwan0\n\
                   00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                   00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
        assert_eq!(default_route_six(six).as_deref(), Some("wwan0"));
    }

    #[test]
    fn interfaces_are_told_apart() {
        use ConnectionType::{Ethernet, Mobile, Other, Wifi};
        for (name, has_radio, uevent, kind, expected) in [
            ("eth0", false, "INTERFACE=eth0", "1", Ethernet),
            ("enp3s0", false, "", "1", Ethernet),
            ("wlp2s0", true, "", "1", Wifi),
            ("wlan0", false, "DEVTYPE=wlan", "1", Wifi),
            ("wwan0", false, "DEVTYPE=wwan", "65534", Mobile),
            ("wwp0s20f0u6", false, "DEVTYPE=wwan", "1", Mobile),
            ("ppp0", false, "", "512", Mobile),
            ("tun0", false, "", "65534", Other),
        ] {
            let found = connection_of(name, has_radio, uevent, kind);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn signal_is_a_share_of_the_best_link() {
        let table = |quality: &str| format!("head\nhead\nwlan0: 0000   {quality}  -60.  -256\n");
        for (quality, expected) in [
            ("70.", Some(100)),
            ("99.", Some(100)),
            ("0.", Some(0)),
            ("x", None),
        ] {
            assert_eq!(signal_percent(&table(quality), "wlan0"), expected);
        }
        assert_eq!(signal_percent(&table("70."), "wlan1"), None);
    }
}
