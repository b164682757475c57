//! A certificate authority of one's own: made by `engine init`, issues the server's certificate.
//!
//! It can issue certificates of servers only, not of other authorities (path length 0).

use std::net::IpAddr;

use protocol::certificate::{CertificateFacts, Fingerprint};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::fingerprint;
use crate::domain::time::Timestamp;
use crate::domain::token::Secret;
use crate::id_source::{RandomFault, SystemIds};

/// A length of life, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(pub u32);

/// Tills pin the authority: another one means pairing all of them again.
const AUTHORITY_LIFE: Days = Days(3_650);
/// The longest that was accepted in public certificates up to 2026, renewed once a year with a month
/// to spare.
pub const SERVER_LIFE: Days = Days(397);
/// How far before now a life begins: clocks of tills differ.
const EARLIER_S: i64 = 3_600;
/// Names under which the machine itself reaches the engine.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The library refuses.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// Not a name or address that a certificate can be for.
    #[error("{0} is not a DNS name or an address")]
    Name(String),
    /// The authority's certificate cannot be read.
    #[error("the authority's certificate cannot be read")]
    Unreadable,
    /// The key is that of another authority.
    #[error("the key is not that of the authority's certificate")]
    Mismatch,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomFault),
}

/// An authority with its key.
pub struct Authority {
    key: KeyPair,
    name: String,
    not_after_s: i64,
    pem: String,
    fingerprint: Fingerprint,
}

/// A server's certificate.
pub struct Issued {
    /// The certificate and its authority's, as files hold them.
    pub chain_pem: String,
    /// The certificate's private key.
    pub key_pem: Secret,
}

impl Authority {
    /// Makes a new one.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn make(now: Timestamp, ids: SystemIds) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut tag = [0; 4];
        ids.fill(&mut tag)?;
        // No two authorities have one name: a till with the pin of another says so at once.
        let name = format!("Tillway CA {}", hex::encode(tag));
        let not_after_s = end_of_life(now, AUTHORITY_LIFE);
        let mut params = life(now, not_after_s, ids)?;
        params.distinguished_name = common_name(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            fingerprint: fingerprint(certificate.der()),
            pem: certificate.pem(),
            name,
            not_after_s,
            key,
        })
    }

    /// One that was made before.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn from_pem(certificate: &str, key: &Secret) -> Result<Self, AuthorityError> {
        let unreadable = |_| AuthorityError::Unreadable;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(unreadable)?;
        let facts = CertificateFacts::read(&der).map_err(|_| AuthorityError::Unreadable)?;
        let key = KeyPair::from_pem(key.expose())?;
        let holds_key = der
            .windows(key.public_key_raw().len())
            .any(|part| part == key.public_key_raw());
        if !holds_key {
            return Err(AuthorityError::Mismatch);
        }
        Ok(Self {
            fingerprint: fingerprint(&der),
            pem: certificate.to_owned(),
            name: facts.subject,
            not_after_s: facts.not_after_s,
            key,
        })
    }

    /// Its certificate, for everybody.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key.
    pub fn key_pem(&self) -> Secret {
        Secret::new(self.key.serialize_pem())
    }

    /// What tills pin.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Issues a certificate for DNS names and addresses, and for those of this machine itself. With
    /// `key`, for that key; otherwise for a new one.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(
        &self,
        names: &[String],
        key: Option<&Secret>,
        now: Timestamp,
        life_time: Days,
        ids: SystemIds,
    ) -> Result<Issued, AuthorityError> {
        let key = match key {
            Some(key) => KeyPair::from_pem(key.expose())?,
            None => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
        };
        let not_after_s = end_of_life(now, life_time).min(self.not_after_s);
        let mut params = life(now, not_after_s, ids)?;
        let own = OWN_NAMES.iter().map(|name| (*name).to_owned());
        for name in names.iter().cloned().chain(own) {
            let name = alternative_name(&name)?;
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        let subject = names.first().map_or("localhost", String::as_str);
        params.distinguished_name = common_name(subject);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer())?;
        Ok(Issued {
            chain_pem: certificate.pem() + &self.pem,
            key_pem: Secret::new(key.serialize_pem()),
        })
    }

    /// As the library wants it; it takes no more than name, usage and key of it.
    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&self.name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Issuer::new(params, &self.key)
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn end_of_life(now: Timestamp, life_time: Days) -> i64 {
    now.0
        .div_euclid(1_000)
        .saturating_add(i64::from(life_time.0) * 86_400)
}

fn life(
    now: Timestamp,
    not_after_s: i64,
    ids: SystemIds,
) -> Result<CertificateParams, AuthorityError> {
    let at = |seconds: i64| {
        let since = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        date_time_ymd(1970, 1, 1) + since
    };
    let mut serial = [0; 16];
    ids.fill(&mut serial)?;
    let mut params = CertificateParams::default();
    params.not_before = at(now.0.div_euclid(1_000).saturating_sub(EARLIER_S));
    params.not_after = at(not_after_s);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn alternative_name(name: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let refused = || AuthorityError::Name(name.to_owned());
    rustls::pki_types::DnsName::try_from(name).map_err(|_| refused())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| refused())?))
}

#[cfg(test)]
mod tests {
    use super::super::pair::tests::NOW;
    use super::*;

    fn names(issued: &Issued) -> Vec<String> {
        let der = CertificateDer::from_pem_slice(issued.chain_pem.as_bytes()).unwrap();
        CertificateFacts::read(&der).unwrap().names
    }

    #[test]
    fn certificates_are_for_the_names_given_and_this_machine() {
        let authority = Authority::make(NOW, SystemIds).unwrap();
        let given = [
            "shop.example".to_owned(),
            "10.0.0.5".to_owned(),
            "::1".to_owned(),
        ];
        let issue = |names: &[String]| authority.issue(names, None, NOW, SERVER_LIFE, SystemIds);
        let issued = issue(&given).unwrap();
        assert_eq!(
            names(&issued),
            ["shop.example", "10.0.0.5", "::1", "localhost", "127.0.0.1"]
        );
        for bad in ["", "a b", "-", "shop..example", "*.example", "http://x"] {
            let refused = issue(&[bad.to_owned()]);
            assert!(matches!(refused, Err(AuthorityError::Name(_))), "{bad}");
        }
    }

    #[test]
    fn a_stored_authority_issues_for_the_same_key_with_another_serial_number() {
        let made = Authority::make(NOW, SystemIds).unwrap();
        let read = Authority::from_pem(made.pem(), &made.key_pem()).unwrap();
        assert_eq!(read.fingerprint(), made.fingerprint());
        let first = made.issue(&[], None, NOW, SERVER_LIFE, SystemIds).unwrap();
        let again = read
            .issue(&[], Some(&first.key_pem), NOW, SERVER_LIFE, SystemIds)
            .unwrap();
        assert_eq!(first.key_pem.expose(), again.key_pem.expose());
        assert_ne!(first.chain_pem, again.chain_pem);
        // An authority at its end issues nothing that outlives it.
        let late = NOW.plus_ms(3_600 * 86_400_000);
        let issued = read.issue(&[], None, late, SERVER_LIFE, SystemIds).unwrap();
        let der = CertificateDer::from_pem_slice(issued.chain_pem.as_bytes()).unwrap();
        let not_after_s = CertificateFacts::read(&der).unwrap().not_after_s;
        assert_eq!(not_after_s, NOW.0 / 1_000 + 3_650 * 86_400);
        let other = Authority::make(NOW, SystemIds).unwrap();
        let mismatch = Authority::from_pem(made.pem(), &other.key_pem());
        assert!(matches!(mismatch, Err(AuthorityError::Mismatch)));
    }
}
