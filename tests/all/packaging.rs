//! What the packages are made of, without building them: files that are named exist, places agree
//! with each other, and every setting of the shipped configuration files is understood.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::config::ConfigArgs;
use toml::Value;

const CRATES: [&str; 2] = ["terminal-agent", "engine"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What cargo-deb is told of a crate.
fn package(krate: &str) -> Value {
    let manifest: Value = toml::from_str(&read(&format!("{krate}/Cargo.toml"))).unwrap();
    manifest["package"]["metadata"]["deb"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Sources, by where they are installed; patterns and names of directories resolved.
fn installed(krate: &str) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for asset in package(krate)["assets"].as_array().unwrap() {
        let (source, place) = (text(&asset[0]), text(&asset[1]));
        let mode = u32::from_str_radix(asset[2].as_str().unwrap(), 8).unwrap();
        assert!(mode == 0o644 || mode == 0o755, "{source}");
        let source = root().join(krate).join(source);
        let (directory, name) = (source.parent().unwrap(), source.file_name().unwrap());
        let name = name.to_str().unwrap().to_owned();
        let names = match name.strip_prefix('*') {
            Some(end) => matching(directory, end),
            None => vec![name],
        };
        assert!(!names.is_empty(), "nothing is like {}", source.display());
        for name in names {
            let place = match place.ends_with('/') {
                true => format!("/{place}{name}"),
                false => format!("/{place}"),
            };
            let before = files.insert(place.clone(), directory.join(name));
            assert!(before.is_none(), "{place} is installed twice");
        }
    }
    files
}

fn matching(directory: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(end)).collect()
}

/// Whether a build makes it.
fn is_built(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "target")
}

#[test]
fn every_file_of_a_package_exists_and_every_file_of_packaging_is_in_one() {
    let mut used = BTreeSet::new();
    for krate in CRATES {
        let package = package(krate);
        for (place, source) in installed(krate) {
            if is_built(&source) {
                continue;
            }
            assert!(source.is_file(), "{place}: {} is absent", source.display());
            used.insert(source.canonicalize().unwrap());
        }
        let scripts = root()
            .join(krate)
            .join(text(&package["maintainer-scripts"]));
        for script in ["postinst", "prerm", "postrm"] {
            let script = scripts.join(script);
            let mode = fs::metadata(&script).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{} is executable", script.display());
            let checked = Command::new("sh").arg("-n").arg(&script).status().unwrap();
            assert!(checked.success(), "{}", script.display());
            used.insert(script.canonicalize().unwrap());
        }
        for named in [&package["changelog"], &package["license-file"][0]] {
            let path = root().join(krate).join(text(named));
            used.insert(path.canonicalize().unwrap());
        }
    }
    for part in [
        "agent",
        "engine",
        "systemd",
        "udev",
        "sysusers",
        "modules-load",
    ] {
        for entry in fs::read_dir(root().join("packaging").join(part)).unwrap() {
            let path = entry.unwrap().path().canonicalize().unwrap();
            assert!(used.contains(&path), "{} is in no package", path.display());
        }
    }
}

#[test]
fn configuration_files_keep_what_a_person_has_changed() {
    for krate in CRATES {
        let kept: BTreeSet<String> = package(krate)["conf-files"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        let files = installed(krate);
        let places = files.keys().filter(|place| place.starts_with("/etc/"));
        assert_eq!(kept, places.cloned().collect(), "{krate}");
    }
}

/// The values of a key of a unit file.
fn values(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines();
    let values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[test]
fn units_start_what_is_installed_as_users_that_are_made() {
    for krate in CRATES {
        let files = installed(krate);
        let of = |start: &str, end: &str| -> Vec<String> {
            let is_it = |place: &&String| place.starts_with(start) && place.ends_with(end);
            let places = files.keys().filter(is_it);
            places
                .map(|place| fs::read_to_string(&files[place]).unwrap())
                .collect()
        };
        let users = of("/usr/lib/sysusers.d/", ".conf").concat();
        let units = of("/usr/lib/systemd/system/", ".service");
        assert!(!units.is_empty());
        for unit in units {
            let command = values(&unit, "ExecStart").remove(0);
            let program = command.split(' ').next().unwrap();
            assert!(files.contains_key(program), "{command}");
            if let Some((_, config)) = command.split_once("--config ") {
                assert!(files.contains_key(config), "{command}");
            }
            let user = values(&unit, "User").remove(0);
            assert!(users.contains(&format!("\nu {user} - ")), "{user}");
            for group in values(&unit, "SupplementaryGroups") {
                for group in group.split(' ') {
                    assert!(users.contains(&format!("m {user} {group}\n")), "{group}");
                }
            }
            for key in ["WatchdogSec", "Restart", "ProtectSystem", "NoNewPrivileges"] {
                assert_eq!(values(&unit, key).len(), 1, "{key} in {command}");
            }
            assert_eq!(values(&unit, "Type"), ["notify"], "{command}");
        }
    }
}

#[test]
fn files_are_installed_where_they_say_they_are() {
    let mut found = 0;
    for krate in CRATES {
        for (place, source) in installed(krate) {
            if is_built(&source) || source.extension().is_some_and(|end| end == "png") {
                continue;
            }
            let text = fs::read_to_string(&source).unwrap();
            if let Some((_, said)) = text.split_once("Installed as ") {
                let said = said.split_whitespace().next().unwrap();
                assert_eq!(said.trim_end_matches('.'), place);
                found += 1;
            }
        }
    }
    assert!(found >= 4, "sysusers twice, rules, modules: {found}");
}

/// `SUBSYSTEMS!="usb"` holds as soon as one of a device's parents is of another kind, so always.
#[test]
fn rules_for_devices_deny_nothing_of_all_parents() {
    for rule in read("packaging/udev/60-tillway.rules").lines() {
        let is_rule = !rule.starts_with('#');
        for key in ["SUBSYSTEMS!=", "KERNELS!=", "DRIVERS!=", "TAGS!="] {
            assert!(!(is_rule && rule.contains(key)), "{rule}");
        }
        let denies_attribute = rule.contains("ATTRS{") && rule.contains("}!=");
        assert!(!(is_rule && denies_attribute), "{rule}");
    }
}

/// The words of maintainer scripts that name what a package installs must name it.
#[test]
fn maintainer_scripts_name_their_own_user_directory_and_unit() {
    for (krate, directory) in [("terminal-agent", "agent"), ("engine", "engine")] {
        let script = read(&format!("packaging/{directory}/postinst"));
        let unit = values(&script, "UNIT").remove(0);
        let files = installed(krate);
        let unit = fs::read_to_string(&files[&format!("/usr/lib/systemd/system/{unit}")]).unwrap();
        assert_eq!(values(&script, "USER_NAME"), values(&unit, "User"));
        let state = values(&unit, "StateDirectory").remove(0);
        assert_eq!(values(&script, "STATE"), [format!("/var/lib/{state}")]);
        let sysusers = files.keys().find(|place| place.contains("/sysusers.d/"));
        let name = Path::new(sysusers.unwrap()).file_name().unwrap();
        assert!(script.contains(&format!("systemd-sysusers {}", name.to_str().unwrap())));
    }
}

/// A setting of a shipped file, commented out or not.
#[derive(Clone)]
struct Setting {
    section: String,
    key: String,
    line: String,
}

fn settings(text: &str) -> Vec<Setting> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.is_empty() || line.starts_with(' ') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            continue;
        }
        let (key, _) = line.split_once(" = ").unwrap_or_else(|| panic!("{line:?}"));
        found.push(Setting {
            section: section.clone(),
            key: key.to_owned(),
            line: line.to_owned(),
        });
    }
    found
}

/// The file with `chosen`, and of the other settings those that can be together with it.
fn with(chosen: &Setting, all: &[Setting]) -> String {
    let mut sections: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
    for setting in [chosen].into_iter().chain(all) {
        let kept = sections.entry(&setting.section).or_default();
        if !kept.iter().any(|other| excludes(other, setting)) {
            kept.push(setting);
        }
    }
    let mut text = String::new();
    // What is before the first section has the empty name, which is first.
    for (section, settings) in sections {
        if !section.is_empty() {
            text.push_str(&format!("[{section}]\n"));
        }
        for setting in settings {
            text.push_str(&format!("{}\n", setting.line));
        }
    }
    text
}

fn excludes(one: &Setting, other: &Setting) -> bool {
    let is_place = |setting: &Setting| ["usb", "path", "tcp"].contains(&setting.key.as_str());
    let both =
        |a: &str, b: &str| (one.key == a && other.key == b) || (one.key == b && other.key == a);
    one.key == other.key || (is_place(one) && is_place(other)) || both("tcp", "kind")
}

/// What serde says that it would have expected in place of an unknown key.
fn known_keys(message: &str) -> BTreeSet<String> {
    let (_, expected) = message.split_once("expected ").unwrap();
    let words = expected.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn every_setting_is_understood_and_none_is_missing(
    file: &str,
    parse: impl Fn(&str) -> Result<(), String>,
) {
    let all = settings(&read(file));
    for chosen in &all {
        let text = with(chosen, &all);
        parse(&text).unwrap_or_else(|error| panic!("{file}: {}: {error}\n{text}", chosen.line));
    }
    let sections: BTreeSet<&str> = all.iter().map(|setting| setting.section.as_str()).collect();
    for section in &sections {
        let unknown = Setting {
            section: (*section).to_owned(),
            key: "no_such_key".to_owned(),
            line: "no_such_key = 1".to_owned(),
        };
        let error = parse(&with(&unknown, &all)).unwrap_err();
        let mine = all.iter().filter(|setting| setting.section == *section);
        let mut shown: BTreeSet<String> = mine.map(|setting| setting.key.clone()).collect();
        // Sections within this one are keys of it.
        shown.extend(sections.iter().filter_map(|inner| {
            let name = match section.is_empty() {
                true => Some(*inner),
                false => inner.strip_prefix(section)?.strip_prefix('.'),
            };
            let name = name?.split('.').next()?;
            (!name.is_empty()).then(|| name.to_owned())
        }));
        assert_eq!(shown, known_keys(&error), "{file}: [{section}]");
    }
}

#[test]
fn every_setting_of_the_agents_file_is_understood_and_none_is_missing() {
    let file = "packaging/agent/terminal-agent.toml";
    every_setting_is_understood_and_none_is_missing(file, |text| {
        let parsed = terminal_agent::config::Config::parse(Path::new(file), text);
        parsed.map(drop).map_err(|error| error.to_string())
    });
}

#[test]
fn every_setting_of_the_engines_file_is_understood_and_none_is_missing() {
    let file = "packaging/engine/engine.toml";
    let parse = |text: &str| {
        let parsed = engine::config::Config::parse(&ConfigArgs::default(), Path::new(file), text);
        parsed.map_err(|error| error.to_string())
    };
    every_setting_is_understood_and_none_is_missing(file, |text| parse(text).map(drop));
    // As it is shipped it serves this machine.
    let shipped = parse(&read(file)).unwrap();
    assert!(shipped.listen.ip().is_loopback());
    assert_eq!(shipped.data_dir, Path::new("/var/lib/tillway"));
}

/// The guide is read on a till, without the rest of the sources.
#[test]
fn the_field_guide_has_its_pictures_and_its_neighbours() {
    let files = installed("terminal-agent");
    let guide = read("docs/field-guide.md");
    let mut pictures = 0;
    for target in guide.split("](").skip(1) {
        let target = target.split([')', '#']).next().unwrap();
        if target.is_empty() || target.contains("://") {
            continue;
        }
        let place = format!("/usr/share/doc/tillway-agent/{target}");
        assert!(files.contains_key(&place), "{target} is not in the package");
        if target.starts_with("pictures/") {
            pictures += 1;
            let size = fs::metadata(&files[&place]).unwrap().len();
            assert!(size < 150 * 1024, "{target} has {size} bytes");
        }
    }
    assert!(pictures >= 4, "{pictures} pictures");
}
