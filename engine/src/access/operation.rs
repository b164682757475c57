//! The table of operations: who may ask, with which scope, under which partner permission.
//!
//! Doors (HTTP, terminal link) name an [`Operation`] and ask the guard; nothing else decides.

use crate::domain::permission::Permission;
use crate::domain::scope::Scope;

/// Whose credential an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Nobody's: it is open.
    Public,
    /// Any valid one.
    Any,
    /// A merchant's, or that of one of its terminals.
    Merchant,
    /// The operator's.
    Operator,
}

/// What an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Stable name, as in logs, the API description and idempotency fingerprints.
    pub name: &'static str,
    /// Whose credential.
    pub audience: Audience,
    /// The scope that the credential must have.
    pub scope: Option<Scope>,
    /// The permission that the merchant's partner must have enabled.
    pub permission: Option<Permission>,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $operation:ident =
        $name:literal, $audience:ident, $scope:expr, $permission:expr;)*) => {
        /// Something that can be asked of the engine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation { $($(#[$doc])* $operation,)* }

        impl Operation {
            /// Every operation there is.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// What it takes.
            pub const fn rule(self) -> Rule {
                use Permission as P;
                use Scope as S;
                match self {
                    $(Self::$operation => Rule {
                        name: $name,
                        audience: Audience::$audience,
                        scope: $scope,
                        permission: $permission,
                    },)*
                }
            }
        }
    };
}

operations! {
    /// Says that the process runs.
    Health = "health", Public, None, None;
    /// Answers.
    Ping = "ping", Any, None, Some(P::Ping);
    /// Says how the service is.
    Status = "status", Any, None, Some(P::Status);
    /// Shows the limits and defaults in force.
    Configurations = "configurations", Any, None, Some(P::Configurations);
    /// Shows what the caller may do, so that a 403 can be explained.
    ReadPermissions = "read_permissions", Merchant, None, None;

    /// Starts a POS transaction.
    StartPos = "start_pos_transaction", Merchant, Some(S::PosCreate), Some(P::StartPosTransaction);
    /// Lists POS transactions.
    ListPos = "list_pos_transactions", Merchant, Some(S::PosRead), Some(P::ListPosTransactions);
    /// Reads a POS transaction.
    ReadPos = "read_pos_transaction", Merchant, Some(S::PosRead), Some(P::ReadPosTransaction);
    /// Cancels a POS transaction.
    CancelPos = "cancel_pos_transaction", Merchant, Some(S::PosCancel), Some(P::CancelPosTransaction);
    /// Prints a receipt.
    PrintReceipt = "print_receipt", Merchant, Some(S::PosPrint), Some(P::PrintPosReceipt);
    /// Reads a receipt.
    ReadReceipt = "read_receipt", Merchant, Some(S::PosRead), Some(P::ReadPosTransaction);
    /// Lists the print jobs of a POS transaction.
    ListPrintJobs = "list_print_jobs", Merchant, Some(S::PosRead), Some(P::ReadPosTransaction);

    /// Lists transactions.
    ListTransactions = "list_transactions", Merchant, Some(S::TransactionsRead), Some(P::ListTransactions);
    /// Reads a transaction.
    ReadTransaction = "read_transaction", Merchant, Some(S::TransactionsRead), Some(P::ReadTransaction);
    /// Changes a tip.
    AdjustTip = "adjust_tip", Merchant, Some(S::TransactionsTip), Some(P::SubmitTipAdjustment);
    /// Undoes an approved transaction.
    VoidTransaction = "void_transaction", Merchant, Some(S::TransactionsVoid), Some(P::Void);

    /// Makes a terminal.
    CreateTerminal = "create_terminal", Merchant, Some(S::TerminalsManage), None;
    /// Lists terminals.
    ListTerminals = "list_terminals", Merchant, Some(S::TerminalsRead), Some(P::ListTerminals);
    /// Reads a terminal.
    ReadTerminal = "read_terminal", Merchant, Some(S::TerminalsRead), Some(P::ReadTerminal);
    /// Reads what a terminal last said about itself.
    ReadTerminalStatus = "read_terminal_status", Merchant, Some(S::TerminalsRead), Some(P::ReadTerminal);
    /// Changes what people call a terminal, and where it stands.
    ChangeTerminal = "change_terminal", Merchant, Some(S::TerminalsManage), None;
    /// Reads what a terminal is told to be like.
    ReadTerminalConfiguration = "read_terminal_configuration", Merchant, Some(S::TerminalsRead), Some(P::ReadTerminal);
    /// Replaces the own settings of a terminal.
    SetTerminalConfiguration = "set_terminal_configuration", Merchant, Some(S::TerminalsManage), None;
    /// Reads what all terminals are told to be like.
    ReadTerminalDefaults = "read_merchant_terminal_configuration", Merchant, Some(S::TerminalsRead), Some(P::ReadTerminal);
    /// Replaces the settings of all terminals.
    SetTerminalDefaults = "set_merchant_terminal_configuration", Merchant, Some(S::TerminalsManage), None;
    /// Makes a pairing code.
    CreatePairingCode = "create_pairing_code", Merchant, Some(S::TerminalsManage), None;
    /// Lists the pairing codes of a terminal, without the codes.
    ListTerminalPairingCodes = "list_terminal_pairing_codes", Merchant, Some(S::TerminalsManage), None;
    /// Lists pairing codes, without the codes.
    ListPairingCodes = "list_pairing_codes", Merchant, Some(S::TerminalsManage), None;
    /// Makes terminals in bulk, each with a pairing code.
    CreateTills = "create_tills", Merchant, Some(S::TerminalsManage), None;
    /// Takes a pairing code back.
    RevokePairingCode = "revoke_pairing_code", Merchant, Some(S::TerminalsManage), None;
    /// Ends the pairing of a terminal with its till.
    UnpairTerminal = "unpair_terminal", Merchant, Some(S::TerminalsManage), None;
    /// Redeems a pairing code; the code is the credential.
    RedeemPairingCode = "redeem_pairing_code", Public, None, None;
    /// Asks for a person who approves the till; grants nothing.
    RequestPairing = "request_pairing", Public, None, None;
    /// Asks how that stands; the device code is the credential.
    PollPairing = "poll_pairing", Public, None, None;
    /// Shows a till that waits for approval to whoever can read its code.
    ReadPairingRequest = "read_pairing_request", Merchant, Some(S::TerminalsManage), None;
    /// Pairs a till that waits for approval.
    ApprovePairing = "approve_pairing", Merchant, Some(S::TerminalsManage), None;
    /// Turns a till away that waits for approval.
    DenyPairing = "deny_pairing", Merchant, Some(S::TerminalsManage), None;
    /// Ends the pairing of the till that asks; the signature of its key is the credential.
    ReleaseTill = "release_till", Public, None, None;
    /// The page on which a technician approves a till; it holds nothing and asks like anybody else.
    PairingPage = "pairing_page", Public, None, None;

    /// Arms a fault in test mode. It disturbs sales: who may not start one has nothing to disturb.
    ArmFault = "arm_fault", Merchant, Some(S::SandboxManage), Some(P::StartPosTransaction);
    /// Lists faults and the POS transactions on which they happened.
    ListFaults = "list_faults", Merchant, Some(S::SandboxManage), Some(P::ListPosTransactions);
    /// Takes a fault back. Putting trouble out needs no partner's leave.
    DisarmFault = "disarm_fault", Merchant, Some(S::SandboxManage), None;

    /// Reads the caller's merchant.
    ReadMerchant = "read_merchant", Merchant, Some(S::MerchantRead), None;
    /// Lists API keys, without their secrets.
    ListApiKeys = "list_api_keys", Merchant, Some(S::ApiKeysManage), None;
    /// Mints an API key.
    CreateApiKey = "create_api_key", Merchant, Some(S::ApiKeysManage), None;
    /// Revokes an API key.
    RevokeApiKey = "revoke_api_key", Merchant, Some(S::ApiKeysManage), None;

    /// Makes a partner.
    CreatePartner = "create_partner", Operator, None, None;
    /// Lists partners.
    ListPartners = "list_partners", Operator, None, None;
    /// Reads a partner.
    ReadPartner = "read_partner", Operator, None, None;
    /// Replaces a partner's allowlist.
    SetPartnerPermissions = "set_partner_permissions", Operator, None, None;
    /// Boards a merchant.
    BoardMerchant = "board_merchant", Operator, None, None;
    /// Lists merchants.
    ListMerchants = "list_merchants", Operator, None, None;
    /// Reads a boarded merchant.
    ReadBoardedMerchant = "read_boarded_merchant", Operator, None, None;
    /// Mints a merchant's first API key.
    CreateFirstApiKey = "create_first_api_key", Operator, None, None;
    /// Says what became of a transaction in doubt.
    ResolveTransaction = "resolve_transaction", Operator, None, None;
}

impl Operation {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        self.rule().name
    }

    /// Whether money can move, so that an error must say whether the outcome is known.
    pub const fn moves_money(self) -> bool {
        matches!(
            self,
            Self::StartPos | Self::CancelPos | Self::AdjustTip | Self::VoidTransaction
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct() {
        let names: BTreeSet<&str> = Operation::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), Operation::ALL.len());
    }

    #[test]
    fn only_merchants_have_scopes_and_permissions_that_can_be_off() {
        for operation in Operation::ALL {
            let rule = operation.rule();
            let can_be_off = rule.permission.is_some_and(|one| !one.is_always_on());
            if rule.audience != Audience::Merchant {
                assert_eq!(rule.scope, None, "{}", rule.name);
                assert!(!can_be_off, "{}", rule.name);
            }
            assert!(
                !operation.moves_money() || (rule.scope.is_some() && can_be_off),
                "{} moves money without scope or permission",
                rule.name
            );
        }
    }

    #[test]
    fn general_permissions_have_their_operation() {
        for permission in [
            Permission::Ping,
            Permission::Status,
            Permission::Configurations,
        ] {
            let operation = Operation::ALL
                .iter()
                .find(|one| one.rule().permission == Some(permission))
                .unwrap();
            assert_eq!(operation.rule().audience, Audience::Any);
            assert_eq!(operation.rule().scope, None);
        }
    }
}
