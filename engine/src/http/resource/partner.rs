//! Partners and their allowlists; the operator's.

use protocol::id::PartnerId;
use serde::Deserialize;

use crate::domain::permission::{Allowlist, Permission};
use crate::domain::rejection::Rejection;
use crate::owner::request::PlatformRequest;

use super::super::call::{Call, Handled};
use super::super::check::text;
use super::super::code::ErrorAnswer;
use super::super::envelope::Success;
use super::super::list::Paging;
use super::super::view::access::PartnerView;
use super::PlainList;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateForm {
    name: String,
}

/// `POST /v1/partners`
pub(in crate::http) async fn create(call: Call) -> Handled {
    let form: CreateForm = call.form()?;
    let name = text("name", form.name)?;
    call.ask_platform(PlatformRequest::CreatePartner { name })
        .await
}

/// `GET /v1/partners`
pub(in crate::http) async fn list(call: Call) -> Handled {
    let form: PlainList = call.query()?;
    let paging = Paging::of(&call, form.limit, form.cursor.as_deref())?;
    let listed = call.parts().query.list_partners(paging.slice).await?;
    Ok(paging.answer(&listed, PartnerView::of))
}

/// `GET /v1/partners/{id}`
pub(in crate::http) async fn read(call: Call) -> Handled {
    let partner = call.parts().query.partner(call.path_id("id")?).await?;
    let partner = partner.ok_or(Rejection::NotFound)?;
    Ok(Success::json(200, &PartnerView::of(&partner)))
}

/// Either what is on, or what is off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionsForm {
    permissions: Option<Vec<String>>,
    disabled: Option<Vec<String>>,
}

/// `PUT /v1/partners/{id}/permissions`
pub(in crate::http) async fn set_permissions(call: Call) -> Handled {
    let form: PermissionsForm = call.form()?;
    let request = PlatformRequest::SetAllowlist {
        partner_id: call.path_id::<PartnerId>("id")?,
        allowlist: allowlist(form)?,
    };
    call.ask_platform(request).await
}

fn allowlist(form: PermissionsForm) -> Result<Allowlist, ErrorAnswer> {
    let on = match (form.permissions, form.disabled) {
        (Some(names), None) => permissions(names)?,
        (None, Some(names)) => {
            let off = permissions(names)?;
            let every = Permission::ALL.iter().copied();
            every.filter(|one| !off.contains(one)).collect()
        }
        (None, None) => return Err(ErrorAnswer::absent("permissions")),
        (Some(_), Some(_)) => {
            let expected = "left out when permissions is given";
            return Err(ErrorAnswer::invalid("disabled", expected));
        }
    };
    let fixed = Permission::ALL.iter().filter(|one| one.is_always_on());
    for permission in fixed {
        if !on.contains(permission) {
            return Err(refused(permission.name(), "it is always on"));
        }
    }
    Ok(Allowlist::of(on))
}

fn permissions(names: Vec<String>) -> Result<Vec<Permission>, ErrorAnswer> {
    let named = |name: String| {
        let unknown = || refused(&name, "there is no such permission");
        Permission::from_name(&name).ok_or_else(unknown)
    };
    names.into_iter().map(named).collect()
}

fn refused(name: &str, why: &'static str) -> ErrorAnswer {
    // What a caller made up may be of any length.
    let name = name.chars().take(64).collect();
    Rejection::PermissionFixed { name, why }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn lists_of_what_is_off_and_of_what_is_on() {
        let off = allowlist(PermissionsForm {
            permissions: None,
            disabled: names(&["Start POS Transaction"]),
        })
        .unwrap();
        assert!(!off.allows(Permission::StartPosTransaction));
        assert_eq!(off.iter().count(), 36);
        let on = allowlist(PermissionsForm {
            permissions: names(&["Ping", "Status", "Configurations", "Void"]),
            disabled: None,
        })
        .unwrap();
        assert_eq!(on.iter().count(), 4);
    }

    #[test]
    fn what_is_always_on_stays_on_and_names_must_be_known() {
        for (on, off) in [
            (None, names(&["Ping"])),
            (None, names(&["Configurations", "Void"])),
            (names(&["Void"]), None),
            (names(&["Ping", "Status"]), None),
            (None, names(&["start pos transaction"])),
            (None, names(&[""])),
            (names(&["Ping"]), names(&["Void"])),
            (None, None),
        ] {
            let form = PermissionsForm {
                permissions: on,
                disabled: off,
            };
            assert!(allowlist(form).is_err());
        }
    }
}
