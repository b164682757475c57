//! Who may open a device file, and what to do when somebody may not.
//!
//! The judgement is pure; beside it only look-ups of names, groups and modes. Capabilities and
//! access lists are not known here: they can only allow more.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

const READ_AND_WRITE: u32 = 0o6;
/// Owners of device files to whom nobody should be added.
const ROOT: u32 = 0;
/// The group of terminals that somebody logs in at; `agetty` gives them to it.
const CONSOLE_GROUP: &str = "tty";

/// Somebody who opens device files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The name; the number, if it has none.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// Numbers of all groups that count.
    pub groups: BTreeSet<u32>,
}

/// A device file's owner and mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ownership {
    /// The device file.
    pub node: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The owner's name.
    pub owner: String,
    /// The group's number.
    pub gid: u32,
    /// The group's name.
    pub group: String,
}

impl Ownership {
    /// Owner, group and mode as a person writes them.
    pub fn summary(&self) -> String {
        format!("{}:{} mode {:04o}", self.owner, self.group, self.mode)
    }
}

/// Whether `account` may read and write. Only the first class counts to which an account belongs,
/// as the system has it.
pub fn may_use(account: &Account, file: &Ownership) -> bool {
    let shift = if account.uid == ROOT {
        return true;
    } else if account.uid == file.uid {
        6
    } else if account.groups.contains(&file.gid) {
        3
    } else {
        0
    };
    (file.mode >> shift) & READ_AND_WRITE == READ_AND_WRITE
}

/// What makes a forbidden device file usable.
pub fn remedy(account: &str, file: &Ownership) -> String {
    let group_may = (file.mode >> 3) & READ_AND_WRITE == READ_AND_WRITE;
    if file.group == CONSOLE_GROUP {
        let node = file.node.file_name().unwrap_or_default().display();
        return format!(
            "a login console has this line: choose another port, or free this one with `sudo \
             systemctl disable --now serial-getty@{node}`"
        );
    }
    if group_may && file.gid != ROOT {
        let group = &file.group;
        format!(
            "add user {account} to group {group}: `sudo usermod -aG {group} {account}`, then start \
             the agent again (log out and in for a person)"
        )
    } else {
        "no group may use it: install Tillway's udev rules (60-tillway.rules in \
         /usr/lib/udev/rules.d), run `sudo udevadm control --reload`, and plug the device in again"
            .to_owned()
    }
}

/// The account of this process.
pub fn own_account(root: &Path) -> Account {
    let uid = rustix::process::geteuid().as_raw();
    let supplementary = rustix::process::getgroups().unwrap_or_default();
    let groups = supplementary.into_iter().map(rustix::process::Gid::as_raw);
    Account {
        name: user_name(root, uid),
        uid,
        groups: groups
            .chain([rustix::process::getegid().as_raw()])
            .collect(),
    }
}

/// The account with this number, with the groups that the system's files give it.
pub fn account(root: &Path, uid: u32) -> Account {
    let name = user_name(root, uid);
    let users = read(&root.join("etc/passwd"));
    let groups = read(&root.join("etc/group"));
    let primary = line_of(&users, &name).and_then(|fields| fields.get(3)?.parse().ok());
    let groups = member_of(&groups, &name).chain(primary).collect();
    Account { name, uid, groups }
}

/// The account with this name, with the groups that the system's files give it.
pub fn account_named(root: &Path, name: &str) -> Option<Account> {
    let users = read(&root.join("etc/passwd"));
    let uid = line_of(&users, name)?.get(2)?.parse().ok()?;
    Some(account(root, uid))
}

/// The account of a running program, with the groups that it really has: a service may be given
/// groups that no file mentions.
pub fn account_of_program(root: &Path, proc: &Path, uid: u32, program: &str) -> Option<Account> {
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    processes.into_iter().find_map(|process| {
        let directory = process.path();
        if read(&directory.join("comm")).trim_end() != program {
            return None;
        }
        let status = read(&directory.join("status"));
        let numbers = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let words = line.unwrap_or_default().split_ascii_whitespace();
            words
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<u32>>()
        };
        // The second of each is what counts: real, effective, saved, file system.
        let effective = |name: &str| numbers(name).get(1).copied();
        (effective("Uid:") == Some(uid)).then(|| Account {
            name: user_name(root, uid),
            uid,
            groups: numbers("Groups:")
                .into_iter()
                .chain(effective("Gid:"))
                .collect(),
        })
    })
}

/// Owner and mode of a device file; `None` when it is not there.
pub fn ownership(root: &Path, node: &Path) -> Option<Ownership> {
    let found = fs::metadata(node).ok()?;
    Some(Ownership {
        node: node.to_owned(),
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        owner: user_name(root, found.uid()),
        gid: found.gid(),
        group: name_of(&read(&root.join("etc/group")), found.gid()),
    })
}

/// Whether it is a device at all.
pub fn is_device(node: &Path) -> bool {
    fs::metadata(node).is_ok_and(|found| found.file_type().is_char_device())
}

/// The name of a user; the number, if it has none.
pub fn user_name(root: &Path, uid: u32) -> String {
    name_of(&read(&root.join("etc/passwd")), uid)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The name with this number in a file like `/etc/passwd`; the number itself, if it has none.
fn name_of(table: &str, number: u32) -> String {
    let text = number.to_string();
    let mut lines = table.lines().map(|line| line.split(':'));
    lines
        .find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1) == Some(&text)).then(|| name.to_owned())
        })
        .unwrap_or(text)
}

fn line_of<'a>(table: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = table
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.first() == Some(&name))
}

/// Numbers of the groups that list this user.
fn member_of<'a>(table: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    table.lines().filter_map(move |line| {
        let fields: Vec<_> = line.split(':').collect();
        let is_member = fields.get(3)?.split(',').any(|member| member == user);
        is_member.then(|| fields.get(2)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::dialout_port;

    fn file(mode: u32, gid: u32) -> Ownership {
        Ownership {
            mode,
            gid,
            group: if gid == 20 { "dialout" } else { "root" }.to_owned(),
            ..dialout_port()
        }
    }

    fn account(uid: u32, groups: &[u32]) -> Account {
        Account {
            name: "terminal-agent".to_owned(),
            uid,
            groups: groups.iter().copied().collect(),
        }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let member = account(900, &[900, 20]);
        let stranger = account(900, &[900]);
        let root = account(0, &[0]);
        for (who, file, may) in [
            (&member, file(0o660, 20), true),
            (&member, file(0o640, 20), false),
            (&member, file(0o606, 20), false),
            (&stranger, file(0o660, 20), false),
            (&stranger, file(0o666, 20), true),
            (&stranger, file(0o600, 0), false),
            (&root, file(0o000, 0), true),
        ] {
            assert_eq!(may_use(who, &file), may, "{who:?} {file:?}");
        }
        let mut own = file(0o066, 20);
        own.uid = 900;
        assert!(!may_use(&member, &own), "an owner's bits are the owner's");
    }

    #[test]
    fn the_remedy_names_the_group_or_the_rules() {
        let text = remedy("terminal-agent", &file(0o660, 20));
        assert!(
            text.contains("usermod -aG dialout terminal-agent"),
            "{text}"
        );
        for file in [file(0o600, 20), file(0o660, 0), file(0o600, 0)] {
            let text = remedy("terminal-agent", &file);
            assert!(text.contains("60-tillway.rules"), "{text}");
            assert!(!text.contains("usermod"), "{text}");
        }
    }

    #[test]
    fn who_is_in_the_way_of_a_login_console_hears_how_to_end_it() {
        let console = Ownership {
            node: PathBuf::from("/dev/ttyS0"),
            group: "tty".to_owned(),
            ..file(0o600, 5)
        };
        let text = remedy("terminal-agent", &console);
        assert!(text.contains("disable --now serial-getty@ttyS0"), "{text}");
    }

    #[test]
    fn names_and_groups_come_from_the_files_of_the_system() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        fs::create_dir_all(&etc).unwrap();
        let users = "root:x:0:0::/root:/bin/sh\nagent:x:900:901::/:/bin/false\nbroken\n";
        fs::write(etc.join("passwd"), users).unwrap();
        let groups = "root:x:0:\ndialout:x:20:ann,agent\nlp:x:7:agentx\nagent:x:901:\n::\n";
        fs::write(etc.join("group"), groups).unwrap();
        let agent = super::account(root.path(), 900);
        assert_eq!((agent.name.as_str(), agent.uid), ("agent", 900));
        assert_eq!(agent.groups, BTreeSet::from([20, 901]));
        assert_eq!(account_named(root.path(), "agent"), Some(agent));
        assert_eq!(account_named(root.path(), "bob"), None);
        let nobody = super::account(root.path(), 4_242);
        assert_eq!((nobody.name.as_str(), nobody.groups.len()), ("4242", 0));
        let node = root.path().join("node");
        fs::write(&node, "").unwrap();
        let owner = ownership(root.path(), &node).unwrap();
        assert!(!is_device(&node) && is_device(Path::new("/dev/null")));
        assert_eq!(owner.node, node);
        assert_eq!(ownership(root.path(), &etc.join("none")), None);
        assert_eq!(
            own_account(root.path()).uid,
            rustix::process::geteuid().as_raw()
        );
    }

    #[test]
    fn a_running_program_has_the_groups_that_it_was_given() {
        let proc = tempfile::tempdir().unwrap();
        let add = |id: &str, comm: &str, uid: &str| {
            let process = proc.path().join(id);
            fs::create_dir_all(&process).unwrap();
            fs::write(process.join("comm"), format!("{comm}\n")).unwrap();
            let status =
                format!("Name:\tx\nUid:\t0\t{uid}\t0\t0\nGid:\t1\t901\t1\t1\nGroups:\t7 20 \n");
            fs::write(process.join("status"), status).unwrap();
        };
        add("11", "bash", "900");
        add("12", "terminal-agent", "0");
        let find = || account_of_program(proc.path(), proc.path(), 900, "terminal-agent");
        assert_eq!(find(), None);
        add("13", "terminal-agent", "900");
        assert_eq!(find().unwrap().groups, BTreeSet::from([7, 20, 901]));
    }
}
