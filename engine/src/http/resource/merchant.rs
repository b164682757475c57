//! Merchants: the caller's own; boarding, list and read by the operator.

use protocol::id::{MerchantId, PartnerId};
use protocol::money::Currency;
use serde::Deserialize;

use crate::domain::rejection::Rejection;
use crate::owner::request::{NewMerchant, PlatformRequest};

use super::super::call::{Call, Handled};
use super::super::check::{optional_text, text};
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::view::access::MerchantView;

/// Lines of an address: what fits the head of a receipt.
const ADDRESS_LINES_MAX: usize = 6;
/// Currencies of one merchant. Arbitrary, bounded.
const CURRENCIES_MAX: usize = 16;
/// Offsets from UTC go from −12 to +14 hours.
const OFFSET_MINUTES: std::ops::RangeInclusive<i16> = -720..=840;

/// `GET /v1/merchant`
pub(in crate::http) async fn read_own(call: Call) -> Handled {
    let caller = call.caller.as_ref().ok_or_else(ErrorAnswer::unauthorized)?;
    let merchant = call.parts().guard.index().merchant(call.merchant_id()?);
    let merchant = merchant.ok_or(Rejection::NotFound)?;
    let view = MerchantView::of(&merchant).with_scopes(&caller.scopes());
    Ok(Success::json(200, &view))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardForm {
    partner_id: Option<PartnerId>,
    name: String,
    #[serde(default)]
    address: Vec<String>,
    phone: Option<String>,
    currencies: Vec<String>,
    #[serde(default)]
    utc_offset_minutes: i16,
}

/// `POST /v1/merchants`
pub(in crate::http) async fn board(call: Call) -> Handled {
    let form: BoardForm = call.form()?;
    let merchant = PlatformRequest::CreateMerchant(Box::new(form.merchant()?));
    call.ask_platform(merchant).await
}

impl BoardForm {
    fn merchant(self) -> Result<NewMerchant, ErrorAnswer> {
        if self.address.len() > ADDRESS_LINES_MAX {
            return Err(ErrorAnswer::invalid("address", "at most six lines"));
        }
        if !OFFSET_MINUTES.contains(&self.utc_offset_minutes) {
            let expected = "-720 to 840 minutes";
            return Err(ErrorAnswer::invalid("utc_offset_minutes", expected));
        }
        let address: Result<Vec<String>, ErrorAnswer> = self
            .address
            .into_iter()
            .map(|line| text("address", line))
            .collect();
        Ok(NewMerchant {
            partner_id: self.partner_id,
            name: text("name", self.name)?,
            address: address?,
            phone: optional_text("phone", self.phone)?,
            currencies: currencies(&self.currencies)?,
            utc_offset_minutes: self.utc_offset_minutes,
        })
    }
}

fn currencies(codes: &[String]) -> Result<Vec<Currency>, ErrorAnswer> {
    if codes.is_empty() || codes.len() > CURRENCIES_MAX {
        return Err(ErrorAnswer::invalid("currencies", "1 to 16 currencies"));
    }
    let mut currencies = Vec::with_capacity(codes.len());
    for code in codes {
        let currency: Currency = code.parse().map_err(|_| {
            ErrorAnswer::from(Rejection::InvalidCurrency).with("field", "currencies")
        })?;
        if currencies.contains(&currency) {
            return Err(ErrorAnswer::invalid("currencies", "each currency once"));
        }
        currencies.push(currency);
    }
    Ok(currencies)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListForm {
    partner_id: Option<PartnerId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/merchants`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: ListForm = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let query = &call.parts().query;
    let listed = query.list_merchants(form.partner_id, paging.slice).await?;
    Ok(paging.answer(&listed, MerchantView::of))
}

/// `GET /v1/merchants/{id}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let merchant_id: MerchantId = call.path_id("id")?;
    let merchant = call.parts().query.merchant(merchant_id).await?;
    let merchant = merchant.ok_or(Rejection::NotFound)?;
    Ok(Success::json(200, &MerchantView::of(&merchant)))
}
