//! What a partner lets its merchants do: the allowlist of seed 004.
//!
//! A permission attaches to an operation, never to a URL. Merchants without a partner have no
//! allowlist. Ping, Status and Configurations are always on.

use std::collections::BTreeSet;

macro_rules! permissions {
    ($($category:literal { $($name:ident = $label:literal,)* })*) => {
        /// A permission, by the name that partners know it by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission { $($(
            #[doc = $label] $name,
        )*)* }

        impl Permission {
            /// The catalogue, in the order of the categories.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            /// The name, as in the API, the console and error messages.
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$name => $label,)*)* }
            }

            /// The category that it is listed under.
            pub const fn category(self) -> &'static str {
                match self { $($(Self::$name => $category,)*)* }
            }
        }
    };
}

permissions! {
    "POS / Terminal Operations" {
        StartPosTransaction = "Start POS Transaction",
        ListPosTransactions = "Get POS Transactions",
        ReadPosTransaction = "Get POS Transaction Details",
        CancelPosTransaction = "Cancel POS Transaction",
        PrintPosReceipt = "Print POS Receipt",
        ListTerminals = "Get Terminal List",
        ReadTerminal = "Get Terminal Information",
    }
    "E-Commerce (Card Not Present)" {
        Auth = "Auth",
        Sale = "Sale",
        Capture = "Capture",
        Void = "Void",
        Refund = "Refund",
        RefundWithoutReference = "Refund Without Reference",
    }
    "ACH Transactions" {
        AchDebit = "ACH Debit",
        AchCredit = "ACH Credit",
        AchVoid = "ACH Void",
        AchHold = "ACH Hold",
        AchUnhold = "ACH Unhold",
    }
    "Payment Management & Reporting" {
        ListTransactions = "List Transactions",
        ReadTransaction = "Get Transaction Details",
        CalculateAmount = "Calculate Transaction Amount",
        SubmitTipAdjustment = "Submit Tip Adjustment",
        ListBatches = "Get Settlement Batches",
        SubmitBatch = "Submit Batch for Settlement",
        SendReceiptBySms = "Send Receipt by SMS",
    }
    "Customer Management" {
        ListCustomers = "List Customers",
        ReadCustomer = "Get Customer Details",
        ManageCustomers = "Manage Customers",
    }
    "Hosted Solutions" {
        Invoices = "Invoices",
        QuickPayments = "Quick Payments",
        Subscriptions = "Subscriptions",
        WebComponents = "Web Components",
        WooCommerce = "WooCommerce",
    }
    "Features" {
        TapToPay = "Tap to Pay on Mobile",
    }
    "General" {
        Ping = "Ping",
        Status = "Status",
        Configurations = "Configurations",
    }
}

impl Permission {
    /// Reads a name back; case matters, as in every other enumeration of the API.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.name() == name)
    }

    /// Whether it is always on and cannot be disabled.
    pub fn is_always_on(self) -> bool {
        matches!(self, Self::Ping | Self::Status | Self::Configurations)
    }
}

/// A partner's allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowlist(BTreeSet<Permission>);

impl Allowlist {
    /// Everything is allowed: what a new partner starts with.
    pub fn full() -> Self {
        Self(Permission::ALL.iter().copied().collect())
    }

    /// An allowlist of exactly these, and those that are always on.
    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Self {
        let always = Permission::ALL
            .iter()
            .copied()
            .filter(|one| one.is_always_on());
        Self(permissions.into_iter().chain(always).collect())
    }

    /// Whether the permission is on it.
    pub fn allows(&self, permission: Permission) -> bool {
        permission.is_always_on() || self.0.contains(&permission)
    }

    /// Everything on it, in the order of the catalogue.
    pub fn iter(&self) -> impl Iterator<Item = Permission> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_that_of_the_seed() {
        assert_eq!(Permission::ALL.len(), 37);
        for permission in Permission::ALL {
            assert_eq!(Permission::from_name(permission.name()), Some(*permission));
        }
        let count = |category| {
            Permission::ALL
                .iter()
                .filter(|one| one.category() == category)
                .count()
        };
        assert_eq!(count("POS / Terminal Operations"), 7);
        assert_eq!(count("Payment Management & Reporting"), 7);
        assert_eq!(count("General"), 3);
    }

    #[test]
    fn general_permissions_survive_an_empty_list() {
        let none = Allowlist::of([]);
        assert!(none.allows(Permission::Ping));
        assert!(!none.allows(Permission::StartPosTransaction));
        assert_eq!(none.iter().count(), 3);
    }
}
