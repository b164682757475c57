//! The guard: turns a credential into a principal, and says whether it may do an operation.
//!
//! Both questions are answered from the index at the moment of asking; nothing is cached, so that
//! a revoked key, an expired one and a changed allowlist count at once.

use crate::domain::permission::{Allowlist, Permission};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::token::{ApiKey, SecretHash};

use super::index::AccessIndex;
use super::operation::{Audience, Operation};
use super::principal::Principal;

/// The credential is missing, malformed, unknown, expired or revoked; callers cannot tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("missing, malformed, expired or revoked credential")]
pub struct Unauthorized;

/// Why an authenticated caller may not do an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The operation belongs to another kind of credential.
    #[error("wrong kind of credential")]
    Audience(Audience),
    /// The credential lacks a scope.
    #[error("scope '{}' is missing", .0.code())]
    Scope(Scope),
    /// The merchant's partner has disabled a permission.
    #[error("permission '{}' is disabled", .0.name())]
    Permission(Permission),
}

/// Decides on every door.
#[derive(Debug, Clone)]
pub struct Guard {
    index: AccessIndex,
    operator: SecretHash,
}

impl Guard {
    /// A guard over an index; `operator` is the hash of the operator's token text.
    pub const fn new(index: AccessIndex, operator: SecretHash) -> Self {
        Self { index, operator }
    }

    /// What the guard decides from.
    pub const fn index(&self) -> &AccessIndex {
        &self.index
    }

    /// Finds out who sends a bearer token.
    ///
    /// # Errors
    /// [`Unauthorized`].
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Principal, Unauthorized> {
        if let Some((key_id, secret)) = ApiKey::parse(token) {
            let key = self.index.api_key(key_id).ok_or(Unauthorized)?;
            if !key.hash.matches(secret.as_bytes()) || !key.is_usable(now) {
                return Err(Unauthorized);
            }
            return Ok(Principal::Merchant {
                merchant_id: key.merchant_id,
                key_id,
                scopes: key.scopes.clone(),
            });
        }
        if self.operator.matches(token.as_bytes()) {
            return Ok(Principal::Operator);
        }
        Err(Unauthorized)
    }

    /// Says whether a principal may do an operation now: kind of credential, then scope, then the
    /// partner's allowlist.
    ///
    /// # Errors
    /// [`Denied`] with what is missing first.
    pub fn authorize(&self, principal: &Principal, operation: Operation) -> Result<(), Denied> {
        let rule = operation.rule();
        let is_expected = match rule.audience {
            Audience::Public | Audience::Any => true,
            Audience::Merchant => principal.merchant_id().is_some(),
            Audience::Operator => *principal == Principal::Operator,
        };
        if !is_expected {
            return Err(Denied::Audience(rule.audience));
        }
        if let Some(scope) = rule.scope
            && !principal.scopes().contains(&scope)
        {
            return Err(Denied::Scope(scope));
        }
        match rule.permission {
            Some(permission) if !self.allows(principal, permission) => {
                Err(Denied::Permission(permission))
            }
            _ => Ok(()),
        }
    }

    /// The allowlist over a principal's merchant; `None` when nothing is restricted.
    pub fn allowlist(&self, principal: &Principal) -> Option<Allowlist> {
        let merchant_id = principal.merchant_id()?;
        // A merchant or partner that the index does not know may do nothing: fail closed.
        let Some(merchant) = self.index.merchant(merchant_id) else {
            return Some(Allowlist::of([]));
        };
        let partner_id = merchant.partner_id?;
        let allowlist = self
            .index
            .partner(partner_id)
            .map_or_else(|| Allowlist::of([]), |partner| partner.allowlist.clone());
        Some(allowlist)
    }

    fn allows(&self, principal: &Principal, permission: Permission) -> bool {
        self.allowlist(principal)
            .is_none_or(|allowlist| allowlist.allows(permission))
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::{ApiKeyId, MerchantId, PartnerId, TerminalId};
    use uuid::Uuid;

    use super::*;
    use crate::domain::merchant::{Merchant, Partner};
    use crate::domain::scope::ScopeSet;
    use crate::domain::token::Secret;
    use crate::owner::access_change::AccessChange;

    const T0: Timestamp = Timestamp(1_000);

    fn merchant_id() -> MerchantId {
        MerchantId::from_uuid(Uuid::from_u128(1))
    }

    fn partner_id() -> PartnerId {
        PartnerId::from_uuid(Uuid::from_u128(2))
    }

    fn key_id() -> ApiKeyId {
        ApiKeyId::from_uuid(Uuid::from_u128(3))
    }

    fn secret() -> Secret {
        Secret::new("ab".repeat(32))
    }

    fn guard(partner_id: Option<PartnerId>) -> Guard {
        let index = AccessIndex::default();
        index.apply(AccessChange::Merchant(Box::new(Merchant {
            id: merchant_id(),
            partner_id,
            name: "Shop".into(),
            address: Vec::new(),
            phone: None,
            currencies: Vec::new(),
            utc_offset_minutes: 0,
            created_at: T0,
        })));
        Guard::new(index, SecretHash::of(b"operator"))
    }

    fn set_allowlist(guard: &Guard, allowlist: Allowlist) {
        guard.index().apply(AccessChange::Partner(Box::new(Partner {
            id: partner_id(),
            name: "Partner".into(),
            allowlist,
            created_at: T0,
            updated_at: T0,
        })));
    }

    fn key() -> ApiKey {
        ApiKey {
            id: key_id(),
            merchant_id: merchant_id(),
            label: "till".into(),
            hash: SecretHash::of(secret().expose().as_bytes()),
            scopes: Scope::defaults(),
            created_at: T0,
            expires_at: None,
            revoked_at: None,
        }
    }

    fn principal(scopes: ScopeSet) -> Principal {
        Principal::Merchant {
            merchant_id: merchant_id(),
            key_id: key_id(),
            scopes,
        }
    }

    fn every_scope() -> ScopeSet {
        Scope::ALL.iter().copied().collect()
    }

    fn every_permission_but(left_out: Permission) -> Allowlist {
        Allowlist::of(
            Permission::ALL
                .iter()
                .copied()
                .filter(|one| *one != left_out),
        )
    }

    #[test]
    fn every_operation_asks_for_its_scope_and_its_permission() {
        let standalone = guard(None);
        let boarded = guard(Some(partner_id()));
        for operation in Operation::ALL.iter().copied() {
            let rule = operation.rule();
            if rule.audience == Audience::Operator {
                continue;
            }
            let full = principal(every_scope());
            set_allowlist(&boarded, Allowlist::full());
            assert_eq!(standalone.authorize(&full, operation), Ok(()), "{rule:?}");
            assert_eq!(boarded.authorize(&full, operation), Ok(()), "{rule:?}");

            let without = match rule.scope {
                Some(scope) => every_scope()
                    .into_iter()
                    .filter(|one| *one != scope)
                    .collect(),
                None => ScopeSet::new(),
            };
            let expected = rule.scope.map_or(Ok(()), |scope| Err(Denied::Scope(scope)));
            let poor = principal(without);
            assert_eq!(standalone.authorize(&poor, operation), expected, "{rule:?}");
            assert_eq!(boarded.authorize(&poor, operation), expected, "{rule:?}");

            let Some(permission) = rule.permission else {
                set_allowlist(&boarded, Allowlist::of([]));
                assert_eq!(boarded.authorize(&full, operation), Ok(()), "{rule:?}");
                continue;
            };
            set_allowlist(&boarded, every_permission_but(permission));
            let expected = if permission.is_always_on() {
                Ok(())
            } else {
                Err(Denied::Permission(permission))
            };
            assert_eq!(boarded.authorize(&full, operation), expected, "{rule:?}");
            assert_eq!(standalone.authorize(&full, operation), Ok(()), "{rule:?}");
            // The scope is asked for first: a caller without it learns nothing of the allowlist.
            if let Some(scope) = rule.scope {
                assert_eq!(
                    boarded.authorize(&poor, operation),
                    Err(Denied::Scope(scope))
                );
            }
        }
    }

    #[test]
    fn credentials_of_one_kind_do_not_do_for_another() {
        let guard = guard(None);
        let merchant = principal(every_scope());
        for operation in Operation::ALL.iter().copied() {
            let audience = operation.rule().audience;
            let by_operator = guard.authorize(&Principal::Operator, operation);
            let by_merchant = guard.authorize(&merchant, operation);
            match audience {
                Audience::Operator => {
                    assert_eq!(by_operator, Ok(()));
                    assert_eq!(by_merchant, Err(Denied::Audience(audience)));
                }
                Audience::Merchant => {
                    assert_eq!(by_operator, Err(Denied::Audience(audience)));
                }
                Audience::Public | Audience::Any => assert_eq!(by_operator, Ok(())),
            }
        }
    }

    #[test]
    fn a_terminal_obeys_the_allowlist_of_its_merchant() {
        let guard = guard(Some(partner_id()));
        let till = Principal::Terminal {
            merchant_id: merchant_id(),
            terminal_id: TerminalId::from_uuid(Uuid::from_u128(9)),
        };
        set_allowlist(&guard, Allowlist::full());
        assert_eq!(guard.authorize(&till, Operation::StartPos), Ok(()));
        assert_eq!(
            guard.authorize(&till, Operation::CreateApiKey),
            Err(Denied::Scope(Scope::ApiKeysManage))
        );
        set_allowlist(
            &guard,
            every_permission_but(Permission::StartPosTransaction),
        );
        assert_eq!(
            guard.authorize(&till, Operation::StartPos),
            Err(Denied::Permission(Permission::StartPosTransaction))
        );
        set_allowlist(&guard, Allowlist::full());
        assert_eq!(guard.authorize(&till, Operation::StartPos), Ok(()));
    }

    #[test]
    fn an_unknown_partner_allows_nothing() {
        let guard = guard(Some(partner_id()));
        let merchant = principal(every_scope());
        assert_eq!(
            guard.authorize(&merchant, Operation::StartPos),
            Err(Denied::Permission(Permission::StartPosTransaction))
        );
    }

    #[test]
    fn keys_work_until_they_are_revoked_or_expire() {
        let guard = guard(None);
        let text = ApiKey::text(key_id(), &secret());
        let found = |now| guard.authenticate(text.expose(), now).is_ok();
        assert!(!found(T0));
        guard.index().apply(AccessChange::ApiKey(Box::new(key())));
        assert!(found(T0));
        let wrong = ApiKey::text(key_id(), &Secret::new("cd".repeat(32)));
        assert_eq!(guard.authenticate(wrong.expose(), T0), Err(Unauthorized));

        let mut expiring = key();
        expiring.expires_at = Some(Timestamp(2_000));
        guard
            .index()
            .apply(AccessChange::ApiKey(Box::new(expiring)));
        assert!(found(Timestamp(1_999)));
        assert!(!found(Timestamp(2_000)));

        let mut revoked = key();
        revoked.revoked_at = Some(T0);
        guard.index().apply(AccessChange::ApiKey(Box::new(revoked)));
        assert!(!found(T0));
    }

    #[test]
    fn the_operator_is_known_by_the_hash_of_the_token() {
        let guard = guard(None);
        assert_eq!(guard.authenticate("operator", T0), Ok(Principal::Operator));
        for token in ["", "operato", "operator ", "tw_test_"] {
            assert_eq!(guard.authenticate(token, T0), Err(Unauthorized), "{token}");
        }
    }
}
