//! `engine init`: an authority, a certificate and a configuration for an engine that tills reach
//! over a network; `--renew`: another certificate of the same authority.
//!
//! Overwrites nothing that somebody may need: what is there already is an error, except the
//! certificate that is renewed.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use protocol::certificate::{CertificateFacts, Fingerprint};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::config::{self, ConfigError, OPERATOR_TOKEN_FILE, write_durably};
use crate::domain::time::Timestamp;
use crate::domain::token::Secret;
use crate::id_source::SystemIds;
use crate::tls::authority::{Authority, AuthorityError, Issued, SERVER_LIFE};

/// Where certificates and keys are, in the data directory.
const TLS_DIR: &str = "tls";
/// Where they are made, so that they appear together.
const TLS_DIR_NEW: &str = "tls.new";
const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";
const CONFIG: &str = "engine.toml";
/// Tills come from other machines: that is what `init` is for.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7437);

/// Command line of `engine init`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct InitArgs {
    /// Data directory, created if absent.
    #[arg(long, visible_alias = "data", env = "TILLWAY_DATA_DIR")]
    pub data_dir: PathBuf,
    /// DNS name under which tills reach the engine; can be given more than once.
    #[arg(long = "name")]
    pub names: Vec<String>,
    /// Address under which tills reach the engine; can be given more than once.
    #[arg(long = "address")]
    pub addresses: Vec<IpAddr>,
    /// Address to listen on, for the configuration; port 7437 of every address if absent.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Issues another certificate of the authority that was made before; for the names and
    /// addresses of the certificate so far, unless others are given.
    #[arg(long)]
    pub renew: bool,
    /// Where the authority's key is, if it is no longer in the data directory.
    #[arg(long, requires = "renew")]
    pub ca_key: Option<PathBuf>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It was made before.
    #[error(
        "{} is there already, and nothing was changed; for another certificate of the same authority use \
         `engine init --renew`", .0.display()
    )]
    Exists(PathBuf),
    /// A certificate must be for something.
    #[error("give the name or the address under which tills reach the engine: --name, --address")]
    NoName,
    /// There is no authority to issue with.
    #[error(
        "{} is not there: without `--renew`, `engine init` makes an authority; if its key was moved \
         away, name it with --ca-key", .0.display()
    )]
    NoAuthority(PathBuf),
    /// Nothing was issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Data directory or operator token.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    data_dir: PathBuf,
    names: Vec<String>,
    not_after_s: i64,
    ca_fingerprint: Fingerprint,
    port: u16,
    is_renewal: bool,
    has_ca_key: bool,
}

/// Makes what `args` ask for.
///
/// # Errors
/// [`InitError`]; then nothing that was there before has changed.
pub fn init(args: &InitArgs, now: Timestamp, ids: SystemIds) -> Result<Made, InitError> {
    config::prepare_data_dir(&args.data_dir)?;
    let data_dir = args.data_dir.canonicalize().map_err(at(&args.data_dir))?;
    let given = args.names.iter().cloned();
    let given: Vec<String> = given
        .chain(args.addresses.iter().map(IpAddr::to_string))
        .collect();
    let authority = if args.renew {
        renew(args, &data_dir, &given, now, ids)?
    } else {
        create(&data_dir, &given, now, ids)?
    };
    let listen = args.listen.unwrap_or(LISTEN_DEFAULT);
    let config = data_dir.join(CONFIG);
    if !config.exists() {
        let text = configuration(&data_dir, listen);
        write_durably(&config, text.as_bytes(), 0o644).map_err(at(&config))?;
    }
    config::operator_token(&data_dir, ids)?;
    let facts = facts_of(&data_dir.join(TLS_DIR).join(CERTIFICATE))?;
    Ok(Made {
        names: facts.names,
        not_after_s: facts.not_after_s,
        ca_fingerprint: authority.fingerprint(),
        port: listen.port(),
        is_renewal: args.renew,
        has_ca_key: data_dir.join(TLS_DIR).join(CA_KEY).exists(),
        data_dir,
    })
}

/// Authority and certificate in a directory that appears whole or not at all.
fn create(
    data_dir: &Path,
    names: &[String],
    now: Timestamp,
    ids: SystemIds,
) -> Result<Authority, InitError> {
    let (tls, new) = (data_dir.join(TLS_DIR), data_dir.join(TLS_DIR_NEW));
    for path in [&tls, &data_dir.join(CONFIG)] {
        if path.exists() {
            return Err(InitError::Exists(path.clone()));
        }
    }
    if names.is_empty() {
        return Err(InitError::NoName);
    }
    let authority = Authority::make(now, ids)?;
    let issued = authority.issue(names, None, now, SERVER_LIFE, ids)?;
    // Left behind by a run that did not end.
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&new)(error)),
        Ok(()) | Err(_) => {}
    }
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&new)
        .map_err(at(&new))?;
    let key = authority.key_pem();
    for (name, text, mode) in [
        (CA_KEY, key.expose(), 0o600),
        (CA_CERTIFICATE, authority.pem(), 0o644),
        (KEY, issued.key_pem.expose(), 0o600),
        (CERTIFICATE, &issued.chain_pem, 0o644),
    ] {
        let path = new.join(name);
        write_durably(&path, text.as_bytes(), mode).map_err(at(&path))?;
    }
    fs::rename(&new, &tls).map_err(at(&tls))?;
    let directory = fs::File::open(data_dir).and_then(|directory| directory.sync_all());
    directory.map_err(at(data_dir))?;
    Ok(authority)
}

/// Another certificate for the key that there is: one file changes, at once, so that certificate
/// and key belong together at every instant.
fn renew(
    args: &InitArgs,
    data_dir: &Path,
    names: &[String],
    now: Timestamp,
    ids: SystemIds,
) -> Result<Authority, InitError> {
    let tls = data_dir.join(TLS_DIR);
    let ca_key = args.ca_key.clone().unwrap_or_else(|| tls.join(CA_KEY));
    let ca_certificate = read(&tls.join(CA_CERTIFICATE))?;
    let authority = Authority::from_pem(ca_certificate.expose(), &read(&ca_key)?)?;
    let (certificate, key) = (tls.join(CERTIFICATE), tls.join(KEY));
    let names = match names {
        [] => facts_of(&certificate)?.names,
        given => given.to_vec(),
    };
    let old_key = match read(&key) {
        Ok(key) => Some(key),
        Err(InitError::NoAuthority(_)) => None,
        Err(error) => return Err(error),
    };
    let Issued { chain_pem, key_pem } =
        authority.issue(&names, old_key.as_ref(), now, SERVER_LIFE, ids)?;
    if old_key.is_none() {
        write_durably(&key, key_pem.expose().as_bytes(), 0o600).map_err(at(&key))?;
    }
    write_durably(&certificate, chain_pem.as_bytes(), 0o644).map_err(at(&certificate))?;
    Ok(authority)
}

fn read(path: &Path) -> Result<Secret, InitError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(InitError::NoAuthority(path.to_owned()))
        }
        Err(error) => Err(at(path)(error)),
    }
}

fn facts_of(path: &Path) -> Result<CertificateFacts, InitError> {
    let malformed = || at(path)(io::ErrorKind::InvalidData.into());
    let der = CertificateDer::from_pem_file(path).map_err(|_| malformed())?;
    CertificateFacts::read(&der).map_err(|_| malformed())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InitError {
    let path = path.to_owned();
    move |error| InitError::File { path, error }
}

fn configuration(data_dir: &Path, listen: SocketAddr) -> String {
    // Strings of JSON are strings of TOML.
    let quoted = |path: PathBuf| serde_json::json!(path.display().to_string());
    let tls = data_dir.join(TLS_DIR);
    format!(
        "# Made by `engine init`. Everything that is left out has its default.\n\
         \n\
         # Database and operator's token.\n\
         data_dir = {}\n\
         # Where tills and POS software reach the engine. Without [tls] only loopback addresses.\n\
         listen = \"{listen}\"\n\
         # \"text\" or \"json\".\n\
         # log_format = \"json\"\n\
         \n\
         [tls]\n\
         # The certificate, then its authority's: tills pin the last one. A changed file is taken\n\
         # within ten seconds, or at once on SIGHUP; `engine init --renew` issues another.\n\
         certificate = {}\n\
         # Its private key: readable for the engine only.\n\
         key = {}\n",
        quoted(data_dir.to_owned()),
        quoted(tls.join(CERTIFICATE)),
        quoted(tls.join(KEY)),
    )
}

/// What a person types to call this program: in the package it has another name.
fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_name);
    name.map_or("engine".into(), |name| name.to_string_lossy().into_owned())
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |name: &str| self.data_dir.join(name).display().to_string();
        let end = chrono::DateTime::from_timestamp(self.not_after_s, 0)
            .map(|end| end.format("%Y-%m-%d").to_string())
            .unwrap_or_default();
        writeln!(f, "certificate for {}", self.names.join(", "))?;
        writeln!(
            f,
            "valid until {end}; renew it before: {} init --renew --data-dir {}",
            program(),
            self.data_dir.display()
        )?;
        writeln!(f, "CA fingerprint (SHA-256):\n  {}", self.ca_fingerprint)?;
        if self.is_renewal {
            writeln!(
                f,
                "\nA running engine takes it within ten seconds; nothing changes for paired tills."
            )?;
        } else {
            let host = self.names.first().map_or("localhost", String::as_str);
            writeln!(f, "\nNext:")?;
            writeln!(
                f,
                "1. start the engine:     {} run --config {}",
                program(),
                path(CONFIG)
            )?;
            writeln!(
                f,
                "   as a service:         put listen and [tls] of that file into \
                 /etc/tillway/engine.toml, and restart it"
            )?;
            writeln!(f, "2. the operator's token: {}", path(OPERATOR_TOKEN_FILE))?;
            writeln!(
                f,
                "3. on each till:         engine.url = \"https://{host}:{}\", then",
                self.port
            )?;
            writeln!(
                f,
                "   terminal-agent pair --code CODE --ca-fingerprint {}",
                self.ca_fingerprint.short()
            )?;
        }
        if self.has_ca_key {
            writeln!(
                f,
                "\nMove {} to a place off this machine: whoever has it can pass for this engine.\n\
                 It is needed for --renew only (--ca-key).",
                path("tls/ca.key")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Config, ConfigArgs};
    use crate::tls::serving::Serving;

    const NOW: Timestamp = Timestamp(1_795_244_594_000);

    fn args(data_dir: &Path) -> InitArgs {
        InitArgs {
            data_dir: data_dir.to_owned(),
            names: vec!["tillway.shop.example".to_owned()],
            addresses: vec!["10.0.0.5".parse().unwrap()],
            ..InitArgs::default()
        }
    }

    #[test]
    fn what_it_makes_can_be_served_and_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let made = init(&args(&data_dir), NOW, SystemIds).unwrap();
        let text = made.to_string();
        for expected in [
            "tillway.shop.example, 10.0.0.5, localhost, 127.0.0.1, ::1",
            "valid until 2027-12-23",
            "https://tillway.shop.example:7437",
            "tls/ca.key",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        for (name, mode) in [
            ("tls", 0o700),
            ("tls/ca.key", 0o600),
            ("tls/server.key", 0o600),
            ("operator-token", 0o600),
        ] {
            let metadata = fs::metadata(data_dir.join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
        }
        let config = Config::load(&ConfigArgs {
            config: Some(data_dir.join(CONFIG)),
            ..ConfigArgs::default()
        });
        let config = config.unwrap();
        assert_eq!(config.listen, LISTEN_DEFAULT);
        let serving = Serving::start(config.tls.unwrap()).unwrap();
        assert_eq!(serving.shown().ca_fingerprint, Some(made.ca_fingerprint));

        let before = fs::read(data_dir.join("tls/server.pem")).unwrap();
        let again = init(&args(&data_dir), NOW, SystemIds).unwrap_err();
        assert!(matches!(again, InitError::Exists(_)), "{again}");
        assert_eq!(fs::read(data_dir.join("tls/server.pem")).unwrap(), before);
    }

    #[test]
    fn a_renewal_keeps_authority_key_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let renewal = InitArgs {
            data_dir: data_dir.clone(),
            renew: true,
            ..InitArgs::default()
        };
        let nothing = init(&renewal, NOW, SystemIds).unwrap_err();
        assert!(matches!(nothing, InitError::NoAuthority(_)), "{nothing}");
        let nameless = InitArgs {
            data_dir: data_dir.clone(),
            ..InitArgs::default()
        };
        let nameless = init(&nameless, NOW, SystemIds).unwrap_err();
        assert!(matches!(nameless, InitError::NoName), "{nameless}");

        let made = init(&args(&data_dir), NOW, SystemIds).unwrap();
        let key = fs::read(data_dir.join("tls/server.key")).unwrap();
        let away = dir.path().join("ca.key");
        fs::rename(data_dir.join("tls/ca.key"), &away).unwrap();
        let moved = init(&renewal, NOW, SystemIds).unwrap_err();
        assert!(matches!(moved, InitError::NoAuthority(_)), "{moved}");
        let later = NOW.plus_ms(300 * 86_400_000);
        let renewal = InitArgs {
            ca_key: Some(away),
            ..renewal
        };
        let renewed = init(&renewal, later, SystemIds).unwrap();
        assert_eq!(renewed.ca_fingerprint, made.ca_fingerprint);
        assert_eq!(renewed.names, made.names);
        assert_eq!(renewed.not_after_s, made.not_after_s + 300 * 86_400);
        assert_eq!(fs::read(data_dir.join("tls/server.key")).unwrap(), key);
        let other = InitArgs {
            names: vec!["other.example".to_owned()],
            ..renewal
        };
        let other = init(&other, later, SystemIds).unwrap();
        assert_eq!(
            other.names,
            ["other.example", "localhost", "127.0.0.1", "::1"]
        );
        assert!(!other.to_string().contains("Move"));
    }
}
