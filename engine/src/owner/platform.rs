//! The owner of what belongs to no merchant: partners, their allowlists, and who is boarded.

use protocol::id::{MerchantId, PartnerId};

use crate::domain::merchant::{Merchant, Partner};
use crate::domain::permission::Allowlist;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::store::{ReadFault, Rows, Urgency};

use super::access_change::AccessChange;
use super::key;
use super::machine::{Decider, Owner};
use super::request::{CallerId, NewMerchant, PlatformAnswer, PlatformRequest};
use super::work::Work;

/// A request of the operator with the caller that waits.
#[derive(Debug, Clone)]
pub struct PlatformAsk {
    /// Who waits.
    pub caller: CallerId,
    /// What is asked.
    pub request: PlatformRequest,
}

/// What the platform's owner causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformEffect {
    /// The one answer to a caller.
    Answer {
        /// Who waits.
        caller: CallerId,
        /// What it gets.
        reply: Result<PlatformAnswer, Rejection>,
    },
    /// A change in who may do what.
    Publish(AccessChange),
}

type PlatformWork<'a> = Work<'a, PlatformEffect>;

/// The platform's owner. It keeps nothing in memory: its work is rare.
#[derive(Debug, Default)]
pub struct PlatformOwner;

impl PlatformOwner {
    /// Loads the owner.
    ///
    /// # Errors
    /// [`ReadFault`].
    pub fn load(rows: &dyn Rows) -> Result<Owner<Self>, ReadFault> {
        let stream = key::platform_stream();
        Ok(Owner::new(Self, stream, rows.head(stream)?))
    }
}

impl Decider for PlatformOwner {
    type Input = PlatformAsk;
    type Effect = PlatformEffect;

    fn decide(&mut self, input: PlatformAsk, work: &mut PlatformWork<'_>) -> Result<(), ReadFault> {
        let PlatformAsk { caller, request } = input;
        let reply = match request {
            PlatformRequest::CreatePartner { name } => Ok(create_partner(work, name)),
            PlatformRequest::SetAllowlist {
                partner_id,
                allowlist,
            } => set_allowlist(work, partner_id, allowlist)?,
            PlatformRequest::CreateMerchant(new) => create_merchant(work, *new)?,
        };
        work.effect(PlatformEffect::Answer { caller, reply });
        Ok(())
    }

    fn deadline(&mut self, _work: &mut PlatformWork<'_>) -> Result<(), ReadFault> {
        Ok(())
    }

    fn resume(&mut self, _work: &mut PlatformWork<'_>) -> Result<(), ReadFault> {
        Ok(())
    }

    fn poll_deadline(&self) -> Option<Timestamp> {
        None
    }

    fn urgency(_input: &PlatformAsk) -> Urgency {
        Urgency::New
    }
}

fn create_partner(work: &mut PlatformWork<'_>, name: String) -> PlatformAnswer {
    let partner = Partner {
        id: PartnerId::from_uuid(work.id()),
        name,
        allowlist: Allowlist::full(),
        created_at: work.now,
        updated_at: work.now,
    };
    save_partner(work, "partner.created", partner)
}

fn set_allowlist(
    work: &mut PlatformWork<'_>,
    partner_id: PartnerId,
    allowlist: Allowlist,
) -> Result<Result<PlatformAnswer, Rejection>, ReadFault> {
    let Some(mut partner) = work.get::<Partner>(&key::partner(partner_id))? else {
        return Ok(Err(Rejection::NotFound));
    };
    partner.allowlist = allowlist;
    partner.updated_at = work.now;
    Ok(Ok(save_partner(work, "partner.permissions_set", partner)))
}

fn save_partner(work: &mut PlatformWork<'_>, event: &str, partner: Partner) -> PlatformAnswer {
    work.happened(event, &partner.id);
    work.put(key::partner(partner.id), &partner);
    work.effect(PlatformEffect::Publish(AccessChange::Partner(Box::new(
        partner.clone(),
    ))));
    PlatformAnswer::Partner(Box::new(partner))
}

fn create_merchant(
    work: &mut PlatformWork<'_>,
    new: NewMerchant,
) -> Result<Result<PlatformAnswer, Rejection>, ReadFault> {
    if let Some(partner_id) = new.partner_id
        && !work.exists(&key::partner(partner_id))?
    {
        return Ok(Err(Rejection::invalid("partner_id", "an existing partner")));
    }
    let merchant = Merchant {
        id: MerchantId::from_uuid(work.id()),
        partner_id: new.partner_id,
        name: new.name,
        address: new.address,
        phone: new.phone,
        currencies: new.currencies,
        utc_offset_minutes: new.utc_offset_minutes,
        created_at: work.now,
    };
    work.happened("merchant.created", &merchant.id);
    work.put(key::merchant(merchant.id), &merchant);
    work.effect(PlatformEffect::Publish(AccessChange::Merchant(Box::new(
        merchant.clone(),
    ))));
    Ok(Ok(PlatformAnswer::Merchant(Box::new(merchant))))
}
