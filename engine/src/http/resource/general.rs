//! Health, ping, status, configurations, permissions.

use serde_json::{Value, json};

use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::tip;
use crate::tls::pair::Shown;

use super::super::call::{Call, Handled};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::view::access::{PermissionsView, currency_codes, scope_codes};
use super::super::view::instant;

/// From when on a certificate's end is a reason to act: that of the first warning in the log.
const EXPIRES_SOON_DAYS: i64 = 30;

/// `GET /healthz`
pub(in crate::http) async fn health(_: Call) -> Handled {
    Ok(Success::json(200, &json!({ "status": "ok" })))
}

/// `GET /v1/ping`
pub(in crate::http) async fn ping(call: Call) -> Handled {
    Ok(Success::json(
        200,
        &json!({ "pong": true, "at": instant(call.now) }),
    ))
}

/// `GET /v1/status`
pub(in crate::http) async fn status(call: Call) -> Handled {
    let database = match call.parts().query.probe().await {
        Ok(()) => "ok",
        Err(fault) => {
            tracing::error!(%fault, "the database does not answer");
            "unavailable"
        }
    };
    let mut status = json!({
        "status": if database == "ok" { "ok" } else { "degraded" },
        "components": { "api": "ok", "database": database },
        "version": env!("CARGO_PKG_VERSION"),
        "at": instant(call.now),
    });
    if let (Some(tls), Some(fields)) = (&call.parts().tls, status.as_object_mut()) {
        fields.insert("tls".to_owned(), certificate(&tls.shown(), call.now));
    }
    Ok(Success::json(200, &status))
}

/// The certificate that new connections are shown.
fn certificate(shown: &Shown, now: Timestamp) -> Value {
    let days_left = shown.days_left(now);
    json!({
        "certificate": match days_left {
            ..0 => "expired",
            0..EXPIRES_SOON_DAYS => "expires_soon",
            _ => "ok",
        },
        "days_left": days_left,
        "not_after": instant(shown.not_after),
        "names": shown.names,
        "fingerprint": shown.fingerprint.to_string(),
        "ca_fingerprint": shown.ca_fingerprint.map(|one| one.to_string()),
    })
}

/// `GET /v1/configurations`
pub(in crate::http) async fn configurations(call: Call) -> Handled {
    let tips = call.parts().tips;
    let prompt = tip::default_prompt();
    let merchant_id = call.caller.as_ref().and_then(|one| one.merchant_id());
    let merchant = merchant_id.and_then(|id| call.parts().guard.index().merchant(id));
    Ok(Success::json(
        200,
        &json!({
            "merchant_id": merchant_id,
            "currencies": merchant.as_deref().map(currency_codes),
            "utc_offset_minutes": merchant.as_deref().map(|one| one.utc_offset_minutes),
            "tip_adjustment": {
                "tip_bps_max": tips.bps_max,
                "hours_max": tips.hours_max,
                "changes_max": tips.changes_max,
            },
            "tip_prompt": {
                "options_bps": prompt.options_bps,
                "custom": prompt.custom,
                "timeout_s": prompt.timeout_s,
            },
            "default_scopes": scope_codes(&Scope::defaults()),
            "receipt_columns": [32, 42, 48],
            "livemode": false,
        }),
    ))
}

/// `GET /v1/permissions`
pub(in crate::http) async fn permissions(call: Call) -> Handled {
    let caller = call.caller.as_ref().ok_or_else(ErrorAnswer::unauthorized)?;
    let guard = &call.parts().guard;
    let merchant = guard.index().merchant(call.merchant_id()?);
    let view = PermissionsView::of(
        merchant.and_then(|merchant| merchant.partner_id),
        guard.allowlist(caller).as_ref(),
        &caller.scopes(),
    );
    Ok(Success::json(200, &view))
}
