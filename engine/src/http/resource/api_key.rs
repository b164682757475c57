//! API keys: list, mint, revoke.

use protocol::id::MerchantId;
use serde::Deserialize;

use crate::domain::rejection::Rejection;
use crate::domain::scope::{Scope, ScopeSet};
use crate::owner::request::Request;

use super::super::call::{Call, Handled};
use super::super::check::{Instant, text};
use super::super::code::ErrorAnswer;
use super::super::list::Paging;
use super::super::view::access::ApiKeyView;
use super::{Empty, PlainList};

/// Dotted names that another of the seeds gives the same scopes.
const ALIASES: [(&str, Scope); 2] = [
    ("payments.create", Scope::PaymentsCreate),
    ("payments.get", Scope::PaymentsRead),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateForm {
    label: String,
    scopes: Option<Vec<String>>,
    expires_at: Option<Instant>,
}

/// `GET /v1/merchant/api-keys`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: PlainList = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let merchant_id = call.merchant_id()?;
    let query = &call.parts().query;
    let listed = query.list_api_keys(merchant_id, paging.slice).await?;
    Ok(paging.answer(&listed, ApiKeyView::of))
}

/// `POST /v1/merchant/api-keys`
pub(in crate::http) async fn create(call: Call) -> Handled {
    let form: CreateForm = call.form()?;
    let own = call
        .caller
        .as_ref()
        .map(|caller| caller.scopes())
        .unwrap_or_default();
    let scopes = scopes(form.scopes.as_deref())?;
    // A key that may mint keys must not be a way to every other scope.
    if let Some(excess) = scopes.difference(&own).next() {
        let scope = excess.code();
        return Err(Rejection::ScopeExceeded { scope }.into());
    }
    let merchant_id = call.merchant_id()?;
    mint(&call, merchant_id, form, scopes).await
}

/// `POST /v1/merchants/{id}/api-keys`
pub(in crate::http) async fn create_first(call: Call) -> Handled {
    let form: CreateForm = call.form()?;
    let merchant_id: MerchantId = call.path_id("id")?;
    if call.parts().guard.index().merchant(merchant_id).is_none() {
        return Err(Rejection::NotFound.into());
    }
    let scopes = scopes(form.scopes.as_deref())?;
    mint(&call, merchant_id, form, scopes).await
}

async fn mint(call: &Call, merchant_id: MerchantId, form: CreateForm, scopes: ScopeSet) -> Handled {
    let expires_at = form.expires_at.map(|at| at.0);
    if expires_at.is_some_and(|at| at <= call.now) {
        return Err(ErrorAnswer::invalid("expires_at", "must be in the future"));
    }
    let request = Request::CreateApiKey {
        label: text("label", form.label)?,
        scopes,
        expires_at,
        secret: call.parts().ids.secret()?,
    };
    call.ask_of(merchant_id, request).await
}

/// `POST /v1/merchant/api-keys/{id}/revoke`
pub(in crate::http) async fn revoke(call: Call) -> Handled {
    let Empty {} = call.form()?;
    let key_id = call.path_id("id")?;
    call.ask(Request::RevokeApiKey { key_id }).await
}

fn scopes(names: Option<&[String]>) -> Result<ScopeSet, ErrorAnswer> {
    let Some(names) = names else {
        return Ok(Scope::defaults());
    };
    if names.is_empty() {
        return Err(ErrorAnswer::invalid("scopes", "at least one scope"));
    }
    let known = |name: &String| {
        let alias = ALIASES.iter().find(|(alias, _)| alias == name);
        Scope::from_code(name).or_else(|| alias.map(|(_, scope)| *scope))
    };
    let unknown = || ErrorAnswer::invalid("scopes", "names of known scopes");
    names
        .iter()
        .map(|name| known(name).ok_or_else(unknown))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_listed_by_name_and_never_all_at_once() {
        let read = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            scopes(Some(&names))
        };
        assert_eq!(scopes(None).unwrap(), Scope::defaults());
        assert_eq!(
            read(&["payments.get", "payments:read", "pos:create"]).unwrap(),
            [Scope::PaymentsRead, Scope::PosCreate].into()
        );
        for bad in [&[][..], &["*"], &["pos:create", "pos:creat"], &[""]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
