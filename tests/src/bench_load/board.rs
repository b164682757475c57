//! Boards merchants and pairs their tills, over the API as anybody would.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use harness::api::{Api, fresh_key};
use harness::shop::{POS_SCOPES, merchant_body};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::Till;
use crate::connection::Connection;

/// Connections that board. More would only wait for the same syncs.
const AT_ONCE: usize = 64;
/// After an engine that has too much to do.
const RETRY_DELAY: Duration = Duration::from_millis(5);

/// A till with the token of its merchant's POS system.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) till: Arc<Till>,
    pub(crate) token: Arc<str>,
}

/// Boards `merchants` merchants with `terminals` tills in all, many at once. Neighbours belong to
/// different merchants.
///
/// # Errors
/// When the engine refuses something.
pub(crate) fn board(operator: &Api, merchants: usize, terminals: usize) -> io::Result<Vec<Lane>> {
    let partner = operator.post("/v1/partners", &json!({"name": "Bench"}));
    let partner: Arc<str> = partner.field("id").into();
    let address: Arc<str> = operator
        .base()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .into();
    let token: Arc<str> = operator.token().into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let tokens = at_once(&address, merchants, |engine, _| {
            let (token, partner) = (Arc::clone(&token), Arc::clone(&partner));
            async move { open_merchant(engine, &token, &partner).await }
        });
        let tokens = tokens.await?;
        let lanes = at_once(&address, terminals, |engine, number| {
            let token = Arc::clone(&tokens[number % tokens.len()]);
            async move { pair(engine, token, number).await }
        });
        lanes.await
    })
}

/// Does something `count` times over several connections; gives what came of it in order.
async fn at_once<T, F, D>(address: &Arc<str>, count: usize, mut begin: F) -> io::Result<Vec<T>>
where
    T: Send + 'static,
    F: FnMut(Connection, usize) -> D,
    D: Future<Output = io::Result<(Connection, T)>> + Send + 'static,
{
    let mut free: Vec<Connection> = (0..AT_ONCE)
        .map(|_| Connection::new(Arc::clone(address)))
        .collect();
    let mut running = JoinSet::new();
    let mut done = Vec::with_capacity(count);
    let mut next = 0;
    while done.len() < count {
        while next < count
            && let Some(connection) = free.pop()
        {
            let (number, doing) = (next, begin(connection, next));
            running.spawn(async move { (number, doing.await) });
            next += 1;
        }
        let ended = running.join_next().await.ok_or(io::ErrorKind::BrokenPipe)?;
        let (number, ended) = ended.map_err(io::Error::other)?;
        let (connection, made) = ended?;
        free.push(connection);
        done.push((number, made));
    }
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, made)| made).collect())
}

/// A merchant; gives the token of its POS system.
async fn open_merchant(
    mut engine: Connection,
    operator: &str,
    partner_id: &str,
) -> io::Result<(Connection, Arc<str>)> {
    let body = merchant_body(partner_id);
    let merchant_id = make(&mut engine, "/v1/merchants", operator, &body, "id").await?;
    let path = format!("/v1/merchants/{merchant_id}/api-keys");
    let body = json!({"label": "POS", "scopes": POS_SCOPES});
    let token = make(&mut engine, &path, operator, &body, "secret").await?;
    Ok((engine, token.into()))
}

async fn pair(
    mut engine: Connection,
    token: Arc<str>,
    number: usize,
) -> io::Result<(Connection, Lane)> {
    let body = json!({"label": format!("Lane {number}")});
    let terminal_id = make(&mut engine, "/v1/terminals", &token, &body, "id").await?;
    let path = format!("/v1/terminals/{terminal_id}/pairing-codes");
    let code = make(&mut engine, &path, &token, &json!({}), "code").await?;
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
    let path = "/v1/pairing/redeem";
    let terminal_id = make(&mut engine, path, &token, &body, "terminal_id").await?;
    let terminal_id = terminal_id.parse().map_err(io::Error::other)?;
    let till = Arc::new(Till::new(terminal_id, key));
    Ok((engine, Lane { till, token }))
}

/// POST; gives a text field of what was made.
async fn make(
    engine: &mut Connection,
    path: &str,
    token: &str,
    body: &Value,
    field: &str,
) -> io::Result<String> {
    let (body, key) = (body.to_string(), fresh_key());
    let mut answer = engine.post(path, token, &key, &body).await?;
    // Boarding merchants is one owner's work, and so many at once are more than it lets wait.
    while answer.status == 503 {
        tokio::time::sleep(RETRY_DELAY).await;
        answer = engine.post(path, token, &key, &body).await?;
    }
    let text = answer.field(field);
    if text.is_empty() {
        let (status, body) = (answer.status, &answer.body);
        let what = format!("boarding: {status} without {field}: {body}");
        return Err(io::Error::other(what));
    }
    Ok(text.to_owned())
}
