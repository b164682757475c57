//! The route table: method, path, operation, idempotency rule, handler. Nothing is served that is
//! not in it, except the link of terminals.

use actix_web::http::Method;
use futures_util::future::LocalBoxFuture;

use crate::access::operation::Operation;

use super::call::{Call, Handled};
use super::idempotency::Idempotency;
use super::resource::{
    api_key, general, merchant, pairing, pairing_bulk, pairing_device, pairing_page, partner, pos,
    receipt, sandbox, terminal, terminal_configuration, transaction,
};

/// A method that routes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Reads.
    Get,
    /// Makes or moves.
    Post,
    /// Replaces.
    Put,
    /// Changes some.
    Patch,
    /// Takes back.
    Delete,
}

impl Verb {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request has a body that counts.
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }

    pub(super) const fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

pub(super) type Handler = fn(Call) -> LocalBoxFuture<'static, Handled>;

/// A route.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The one operation that it is.
    pub operation: Operation,
    /// What it does with an idempotency key.
    pub idempotency: Idempotency,
    pub(super) handler: Handler,
}

/// Path parameters with their values, in the order of the path.
pub(super) type Parameters = Vec<(String, String)>;

/// What a method and a path lead to.
pub(super) enum Found {
    /// A route.
    Route(&'static Route, Parameters),
    /// A path that has these methods only.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// Finds the route of a request.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut others: Vec<&str> = Vec::new();
    for route in ROUTES {
        let Some(parameters) = parameters(route.path, path) else {
            continue;
        };
        if route.verb.method() == method {
            return Found::Route(route, parameters);
        }
        others.push(route.verb.name());
    }
    if others.is_empty() {
        Found::Nothing
    } else {
        Found::OtherMethods(others.join(", "))
    }
}

/// The parameters of a path that follows a pattern. A parameter is never empty.
fn parameters(pattern: &'static str, path: &str) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next()?;
        let name = expected
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        match name {
            Some(name) if !part.is_empty() => parameters.push((name.to_owned(), part.to_owned())),
            None if part == expected => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(parameters)
}

macro_rules! routes {
    ($($verb:ident $path:literal $operation:ident $idempotency:ident $handler:path;)*) => {
        &[$(Route {
            verb: Verb::$verb,
            path: $path,
            operation: Operation::$operation,
            idempotency: Idempotency::$idempotency,
            handler: |call| Box::pin($handler(call)),
        },)*]
    };
}

impl Route {
    /// Largest body, in bytes. The largest form that is not a list has less than 2 KiB; a list of
    /// tills has 2,000 rows of two texts each.
    pub(super) const fn body_bytes_max(&self) -> usize {
        match self.operation {
            Operation::CreateTills => 1024 * 1024,
            _ => 64 * 1024,
        }
    }

    /// Whether the body may also come as CSV.
    pub(super) const fn takes_csv(&self) -> bool {
        matches!(self.operation, Operation::CreateTills)
    }
}

/// Every route there is.
pub static ROUTES: &[Route] = routes! {
    Get "/healthz" Health None general::health;
    Get "/v1/ping" Ping None general::ping;
    Get "/v1/status" Status None general::status;
    Get "/v1/configurations" Configurations None general::configurations;
    Get "/v1/permissions" ReadPermissions None general::permissions;

    Post "/v1/pos/transactions" StartPos Required pos::start;
    Get "/v1/pos/transactions" ListPos None pos::list;
    Get "/v1/pos/transactions/{id}" ReadPos None pos::read;
    Post "/v1/pos/transactions/{id}/cancel" CancelPos Honoured pos::cancel;
    Post "/v1/pos/transactions/{id}/print-receipt" PrintReceipt Honoured receipt::print;
    Get "/v1/pos/transactions/{id}/receipt" ReadReceipt None receipt::read;
    Get "/v1/pos/transactions/{id}/print-jobs" ListPrintJobs None receipt::list_jobs;

    Get "/v1/transactions" ListTransactions None transaction::list;
    Get "/v1/transactions/{id}" ReadTransaction None transaction::read;
    Post "/v1/transactions/{id}/tip-adjustment" AdjustTip Required transaction::adjust_tip;
    Post "/v1/transactions/{id}/void" VoidTransaction Required transaction::void;

    Post "/v1/terminals" CreateTerminal Honoured terminal::create;
    Get "/v1/terminals" ListTerminals None terminal::list;
    Get "/v1/terminals/{id}" ReadTerminal None terminal::read;
    Patch "/v1/terminals/{id}" ChangeTerminal Honoured terminal::change;
    Get "/v1/terminals/{id}/status" ReadTerminalStatus None terminal::status;
    Get "/v1/terminals/{id}/configuration" ReadTerminalConfiguration None terminal_configuration::read;
    Put "/v1/terminals/{id}/configuration" SetTerminalConfiguration Honoured terminal_configuration::set;
    Post "/v1/terminals/{id}/pairing-codes" CreatePairingCode Honoured pairing::create_code;
    Get "/v1/terminals/{id}/pairing-codes" ListTerminalPairingCodes None pairing::list_of_terminal;
    Post "/v1/terminals/{id}/unpair" UnpairTerminal Honoured pairing::unpair;
    Get "/v1/pairing-codes" ListPairingCodes None pairing::list;
    Post "/v1/pairing-codes/bulk" CreateTills Honoured pairing_bulk::create;
    Post "/v1/pairing-codes/{id}/revoke" RevokePairingCode Honoured pairing::revoke;

    Get "/pair" PairingPage None pairing_page::show;
    Post "/v1/pairing/redeem" RedeemPairingCode None pairing::redeem;
    Post "/v1/pairing/device" RequestPairing None pairing_device::ask;
    Post "/v1/pairing/device/poll" PollPairing None pairing_device::poll;
    Get "/v1/pairing/requests/{user_code}" ReadPairingRequest None pairing_device::read;
    Post "/v1/pairing/requests/{user_code}/approve" ApprovePairing None pairing_device::approve;
    Post "/v1/pairing/requests/{user_code}/deny" DenyPairing None pairing_device::deny;
    Post "/v1/pairing/release" ReleaseTill None pairing::release;

    Post "/v1/sandbox/faults" ArmFault Honoured sandbox::arm;
    Get "/v1/sandbox/faults" ListFaults None sandbox::list;
    Delete "/v1/sandbox/faults/{id}" DisarmFault None sandbox::disarm;

    Get "/v1/merchant" ReadMerchant None merchant::read_own;
    Get "/v1/merchant/terminal-configuration" ReadTerminalDefaults None terminal_configuration::read_defaults;
    Put "/v1/merchant/terminal-configuration" SetTerminalDefaults Honoured terminal_configuration::set_defaults;
    Get "/v1/merchant/api-keys" ListApiKeys None api_key::list;
    Post "/v1/merchant/api-keys" CreateApiKey Honoured api_key::create;
    Post "/v1/merchant/api-keys/{id}/revoke" RevokeApiKey Honoured api_key::revoke;

    Post "/v1/partners" CreatePartner Honoured partner::create;
    Get "/v1/partners" ListPartners None partner::list;
    Get "/v1/partners/{id}" ReadPartner None partner::read;
    Put "/v1/partners/{id}/permissions" SetPartnerPermissions Honoured partner::set_permissions;
    Post "/v1/merchants" BoardMerchant Honoured merchant::board;
    Get "/v1/merchants" ListMerchants None merchant::list;
    Get "/v1/merchants/{id}" ReadBoardedMerchant None merchant::read;
    Post "/v1/merchants/{id}/api-keys" CreateFirstApiKey Honoured api_key::create_first;
    Post "/v1/merchants/{id}/transactions/{transaction_id}/resolution" ResolveTransaction Required transaction::resolve;
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::access::operation::Audience;

    #[test]
    fn routes_and_operations_correspond_one_to_one() {
        let operations: BTreeSet<Operation> = ROUTES.iter().map(|route| route.operation).collect();
        let every: BTreeSet<Operation> = Operation::ALL.iter().copied().collect();
        assert_eq!(operations, every);
        assert_eq!(operations.len(), ROUTES.len());
        let places: BTreeSet<(Verb, &str)> = ROUTES
            .iter()
            .map(|route| (route.verb, route.path))
            .collect();
        assert_eq!(places.len(), ROUTES.len());
    }

    /// What a path leads to: the route's path and its parameters, or the methods that there are.
    fn led_to(method: &Method, path: &str) -> String {
        match find(method, path) {
            Found::Route(route, parameters) => format!("{} {parameters:?}", route.path),
            Found::OtherMethods(allowed) => format!("only {allowed}"),
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn paths_lead_to_one_route_or_none() {
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            match find(&route.verb.method(), &path) {
                Found::Route(found, _) => assert_eq!(found.path, route.path),
                _ => panic!("{path} leads nowhere"),
            }
        }
        for (method, path, expected) in [
            (Method::GET, "/v1/ping", "/v1/ping []"),
            (Method::GET, "/v1/ping/", "nothing"),
            (Method::GET, "//v1/ping", "nothing"),
            (Method::GET, "v1/ping", "nothing"),
            (Method::GET, "/v1/pos/transactions/", "nothing"),
            (
                Method::GET,
                "/v1/transactions/x",
                "/v1/transactions/{id} [(\"id\", \"x\")]",
            ),
            (Method::PUT, "/v1/terminals", "only POST, GET"),
            (Method::HEAD, "/v1/ping", "only GET"),
            (Method::GET, "/v1/transactions/x/y", "nothing"),
        ] {
            assert_eq!(led_to(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_decides_on_money_needs_a_key_and_reads_ignore_it() {
        for route in ROUTES {
            let needs_key = matches!(
                route.operation,
                Operation::StartPos
                    | Operation::AdjustTip
                    | Operation::VoidTransaction
                    | Operation::ResolveTransaction
            );
            assert_eq!(
                route.idempotency == Idempotency::Required,
                needs_key,
                "{}",
                route.path
            );
            if route.verb == Verb::Get {
                assert_eq!(route.idempotency, Idempotency::None);
            }
        }
    }

    #[test]
    fn only_health_and_pairing_are_open() {
        let open: Vec<&str> = ROUTES
            .iter()
            .filter(|route| route.operation.rule().audience == Audience::Public)
            .map(|route| route.path)
            .collect();
        assert_eq!(
            open,
            [
                "/healthz",
                "/pair",
                "/v1/pairing/redeem",
                "/v1/pairing/device",
                "/v1/pairing/device/poll",
                "/v1/pairing/release",
            ]
        );
    }
}
