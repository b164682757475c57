//! Boards merchants and pairs their tills, over the API as anybody would.

use std::io;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use harness::api::{Answer, Api, fresh_key};
use harness::shop::{POS_SCOPES, merchant_body};
use serde_json::json;

use crate::agent::Till;

/// A till with the token of its merchant's POS system.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) till: Arc<Till>,
    pub(crate) token: Arc<str>,
}

/// What was boarded.
#[derive(Debug)]
pub(crate) struct Boarded {
    pub(crate) partner_id: String,
    /// The first merchant, for one more till.
    pub(crate) merchant_id: String,
    /// Neighbours belong to different merchants.
    pub(crate) lanes: Vec<Lane>,
}

/// Boards `merchants` merchants with `terminals` tills in all.
///
/// # Errors
/// When the engine refuses something.
pub(crate) fn board(operator: &Api, merchants: usize, terminals: usize) -> io::Result<Boarded> {
    let partner = operator.post("/v1/partners", &json!({"name": "Bench"}));
    let partner_id = made(&partner, "id")?;
    let mut shops = Vec::new();
    for _ in 0..merchants {
        let merchant_id = made(
            &operator.post("/v1/merchants", &merchant_body(&partner_id)),
            "id",
        )?;
        let path = format!("/v1/merchants/{merchant_id}/api-keys");
        let key = operator.post(&path, &json!({"label": "POS", "scopes": POS_SCOPES}));
        let token = made(&key, "secret")?;
        shops.push((
            merchant_id,
            operator.with_token(&token),
            Arc::<str>::from(token),
        ));
    }
    let mut lanes = Vec::new();
    for (number, (_, pos, token)) in (0..terminals).zip(shops.iter().cycle()) {
        let till = Arc::new(pair(pos, number)?);
        lanes.push(Lane {
            till,
            token: Arc::clone(token),
        });
    }
    let (merchant_id, ..) = shops
        .into_iter()
        .next()
        .ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Boarded {
        partner_id,
        merchant_id,
        lanes,
    })
}

fn pair(pos: &Api, number: usize) -> io::Result<Till> {
    let terminal = pos.post("/v1/terminals", &json!({"label": format!("Lane {number}")}));
    let terminal_id = made(&terminal, "id")?;
    let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
    let code = made(&pos.post(&path, &json!({})), "code")?;
    // Worth nothing beyond this run: unlike every other is enough.
    let text = fresh_key().replace('-', "");
    let mut seed = [0; 32];
    seed.copy_from_slice(text.as_bytes());
    let key = SigningKey::from_bytes(&seed);
    let body = json!({
        "code": code,
        "public_key": hex::encode(key.verifying_key().as_bytes()),
        "serial_number": format!("BENCH{number}"),
        "agent_version": "bench",
    });
    let terminal_id = made(&pos.post("/v1/pairing/redeem", &body), "terminal_id")?;
    Ok(Till::new(
        terminal_id.parse().map_err(io::Error::other)?,
        key,
    ))
}

/// A text field of what was made.
fn made(answer: &Answer, field: &str) -> io::Result<String> {
    let text = answer.field(field);
    if text.is_empty() {
        let (status, body) = (answer.status, &answer.text);
        return Err(io::Error::other(format!(
            "boarding: {status} without {field}: {body}"
        )));
    }
    Ok(text.to_owned())
}
