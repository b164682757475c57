//! The page that a till's QR code leads to: one file without anything from elsewhere. It holds
//! nothing and may do nothing that the API does not let its key do.

use super::super::call::{Call, Handled};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;

/// The page. What a request says never gets into it: its script reads the address itself and
/// writes text, never markup.
const PAGE: &str = include_str!("pairing_page.html");
/// Where the page wants its nonce.
const NONCE: &str = "{{nonce}}";
/// Random bytes of a nonce: 128 bits (CSP level 3 §7.1).
const NONCE_BYTES: usize = 16;

/// `GET /pair`
pub(in crate::http) async fn show(call: Call) -> Handled {
    let mut bytes = [0; NONCE_BYTES];
    call.parts()
        .ids
        .fill(&mut bytes)
        .map_err(ErrorAnswer::from)?;
    let nonce = hex::encode(bytes);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok(Success::page(PAGE.replace(NONCE, &nonce), policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_writes_no_markup() {
        assert_eq!(PAGE.matches(NONCE).count(), 2, "one style, one script");
        for forbidden in [
            "http://",
            "https://",
            "//cdn",
            "src=",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "localStorage",
            "sessionStorage",
            "document.cookie",
            " style=",
            " onclick=",
        ] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }
}
