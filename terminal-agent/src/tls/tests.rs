//! Handshakes with engines that are as they should be, and with those that are not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::inspect::inspect_within;
use super::*;
use crate::config::{EngineConfig, EngineTrust};

struct Root {
    certificate: CertificateDer<'static>,
    pem: String,
    params: CertificateParams,
    key: KeyPair,
}

impl Root {
    fn make(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            params,
            key,
        }
    }

    fn trust(&self) -> Trust {
        Trust::Pinned(Authority(self.certificate.clone()))
    }

    /// A server that shakes hands as often as it is asked to; the results of the handshakes.
    fn serve(
        &self,
        names: &[&str],
        years: (i32, i32),
        times: usize,
    ) -> (String, JoinHandle<Vec<bool>>) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "https://127.0.0.1:{}",
            listener.local_addr().unwrap().port()
        );
        let thread = std::thread::spawn(move || {
            let handshake = |_| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut connection = ServerConnection::new(config.clone()).unwrap();
                while connection.is_handshaking() {
                    if connection.complete_io(&mut stream).is_err() {
                        return false;
                    }
                }
                true
            };
            (0..times).map(handshake).collect()
        });
        (url, thread)
    }
}

const GOOD: (i32, i32) = (2020, 2080);
const NAMES: &[&str] = &["127.0.0.1", "shop.example"];

#[test]
fn a_pinned_engine_is_described() {
    let root = Root::make("A shop's CA");
    let (url, server) = root.serve(NAMES, GOOD, 2);
    let report = inspect(&url, &root.trust()).unwrap();
    assert_eq!(report.names, NAMES);
    assert_eq!(day_of(report.not_before_s), "2020-01-01");
    assert_eq!(report.protocol, "TLS 1.3");
    assert_eq!(report.authority.unwrap().0, root.certificate);
    let short = Trust::Fingerprint(fingerprint(&root.certificate).short());
    let by_fingerprint = inspect(&url, &short).unwrap();
    assert_eq!(by_fingerprint.authority.unwrap().0, root.certificate);
    assert_eq!(server.join().unwrap(), [true, true]);
}

#[test]
fn each_fault_has_its_name() {
    let (root, other) = (Root::make("CA 1"), Root::make("CA 2"));
    let namesake = Root::make("CA 1");
    let pinned = root.trust();
    let ask = |root: &Root, names: &[&str], years, trust: &Trust| {
        let (url, server) = root.serve(names, years, 1);
        let fault = inspect(&url, trust).unwrap_err();
        assert_eq!(server.join().unwrap(), [false], "{fault}");
        fault
    };
    let wrong_name = ask(&root, &["shop.example"], GOOD, &pinned);
    let TlsFault::NameMismatch { asked, names } = &wrong_name else {
        panic!("{wrong_name}");
    };
    assert_eq!(
        (asked.as_str(), names.as_slice()),
        ("127.0.0.1", &["shop.example".to_owned()][..])
    );
    let expired = ask(&root, NAMES, (2020, 2021), &pinned);
    assert_eq!(
        expired,
        TlsFault::Expired {
            not_after_s: 1_609_459_200
        }
    );
    assert!(expired.to_string().contains("2021-01-01"), "{expired}");
    let early = ask(&root, NAMES, (2079, 2080), &pinned);
    assert_eq!(early.code(), "TLS_CERTIFICATE_NOT_YET_VALID");
    for stranger in [&other, &namesake] {
        let fault = ask(stranger, NAMES, GOOD, &pinned);
        let seen = Some(fingerprint(&stranger.certificate));
        assert!(
            matches!(&fault, TlsFault::WrongAuthority { seen: found, .. } if *found == seen),
            "{fault}"
        );
    }
    let by_fingerprint = Trust::Fingerprint(fingerprint(&root.certificate));
    let fault = ask(&other, NAMES, GOOD, &by_fingerprint);
    assert_eq!(fault.code(), "TLS_WRONG_CA");
    let fault = ask(&root, NAMES, (2020, 2021), &by_fingerprint);
    assert_eq!(fault.code(), "TLS_CERTIFICATE_EXPIRED");
    // What nobody has confirmed is looked at, and never connected with.
    let fault = ask(&root, NAMES, GOOD, &Trust::Nobody);
    assert_eq!(
        fault,
        TlsFault::NotPinned {
            seen: Some(fingerprint(&root.certificate))
        }
    );
    let fault = ask(&root, &["other.example"], GOOD, &Trust::Nobody);
    assert_eq!(fault.code(), "TLS_NAME_MISMATCH");
}

#[test]
fn what_is_not_tls_is_told_from_what_is_silent_and_what_is_not_there() {
    let root = Root::make("CA");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut plain, _) = listener.accept().unwrap();
        plain
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        drop(plain.read(&mut [0; 4_096]));
        drop(plain);
        drop(listener.accept().unwrap());
        // Held until the till gives up.
        let (mut silent, _) = listener.accept().unwrap();
        while silent.read(&mut [0; 4_096]).is_ok_and(|read| read > 0) {}
    });
    let fault = |ms| inspect_within(ms, &url, &root.trust()).unwrap_err();
    assert_eq!(fault(10_000).code(), "TLS_NOT_SPOKEN");
    assert_eq!(fault(10_000).code(), "ENGINE_UNREACHABLE");
    assert_eq!(fault(50).code(), "TLS_TIMED_OUT");
    server.join().unwrap();
    assert_eq!(fault(10_000).code(), "ENGINE_UNREACHABLE");
    for url in ["http://127.0.0.1:1", "https://", "https://a@b", "nonsense"] {
        let fault = inspect(url, &root.trust()).unwrap_err();
        assert_eq!(fault.code(), "TLS_ADDRESS", "{url}");
    }
}

#[test]
fn what_is_pinned_is_what_somebody_has_named() {
    let (root, other) = (Root::make("CA 1"), Root::make("CA 2"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &root.pem).unwrap();
    let (of_root, of_other) = (
        fingerprint(&root.certificate),
        fingerprint(&other.certificate),
    );
    let pinned = Authority(root.certificate.clone());
    let (url, server) = root.serve(NAMES, GOOD, 9);
    let engine = EngineConfig {
        url,
        ..EngineConfig::default()
    };
    let ask = |fingerprint, file: Option<&Path>, earlier: Option<&Authority>, agrees| {
        let choice = PinChoice {
            fingerprint,
            file: file.map(Path::to_owned),
        };
        let established = establish(&engine, &choice, earlier, |shown| {
            assert_eq!(shown, of_root);
            agrees
        });
        established
            .map(|trust| trust.pinned().cloned())
            .map_err(|fault| fault.code())
    };
    let good = Ok(Some(pinned.clone()));
    assert_eq!(ask(Some(of_root.short()), None, None, false), good);
    assert_eq!(ask(None, Some(&file), None, false), good);
    assert_eq!(ask(Some(of_root), Some(&file), None, false), good);
    assert_eq!(ask(None, None, Some(&pinned), false), good);
    assert_eq!(ask(None, None, None, true), good);
    assert_eq!(ask(None, None, None, false), Err("TLS_CA_NOT_PINNED"));
    assert_eq!(
        ask(Some(of_other), None, Some(&pinned), true),
        Err("TLS_WRONG_CA")
    );
    let foreign = Authority(other.certificate.clone());
    assert_eq!(ask(None, None, Some(&foreign), true), Err("TLS_WRONG_CA"));
    // These ask nobody.
    assert_eq!(
        ask(Some(of_other), Some(&file), None, true),
        Err("TLS_WRONG_CA")
    );
    let missing = directory.path().join("missing.pem");
    assert_eq!(ask(None, Some(&missing), None, true), Err("TLS_NO_CA"));
    server.join().unwrap();
    let plain = EngineConfig::default();
    let nobody = establish(&plain, &PinChoice::default(), None, |_| {
        panic!("nothing to confirm")
    });
    assert!(matches!(nobody, Ok(Trust::Nobody)));
    assert_eq!(plain.trust, EngineTrust::Pinned);
}

#[test]
fn a_pinned_authority_is_kept_as_text() {
    let root = Root::make("CA");
    let authority = Authority(root.certificate.clone());
    let text = serde_json::to_string(&authority).unwrap();
    assert_eq!(serde_json::from_str::<Authority>(&text).unwrap(), authority);
    for bad in ["\"\"", "\"zz\"", "\"3003020101\"", "5"] {
        assert!(serde_json::from_str::<Authority>(bad).is_err(), "{bad}");
    }
    assert!(Trust::Nobody.client_config().is_err());
    assert!(
        Trust::Fingerprint(authority.fingerprint())
            .client_config()
            .is_err()
    );
    assert!(root.trust().client_config().is_ok());
}
