//! The owner of what belongs to no merchant: partners, their allowlists, and who is boarded.

use protocol::id::{MerchantId, PartnerId};

use crate::domain::idempotency::Claim;
use crate::domain::merchant::{Merchant, Partner};
use crate::domain::permission::Allowlist;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::store::{ReadFault, Rows, Urgency};

use super::access_change::AccessChange;
use super::key;
use super::machine::{Decider, Owner};
use super::quarantine::Identity;
use super::request::{CallerId, ClaimRequest, NewMerchant, PlatformAnswer, PlatformRequest, Reply};
use super::sweep::SWEEP_ROWS;
use super::work::Work;

/// A request of the operator with the caller that waits.
#[derive(Debug, Clone)]
pub struct PlatformAsk {
    /// Who waits.
    pub caller: CallerId,
    /// The idempotency key, if one came.
    pub claim: Option<ClaimRequest<PlatformAnswer>>,
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
        reply: Result<Reply<PlatformAnswer>, Rejection>,
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
        let PlatformAsk {
            caller,
            claim,
            request,
        } = input;
        let reply = match claim {
            Some(claim) => answer_once(work, &claim, request)?,
            None => operate(work, request)?.map(Reply::Fresh),
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

    fn identity(input: &PlatformAsk) -> Identity {
        Identity::of(&input.request)
    }

    fn refuse(&mut self, input: PlatformAsk, work: &mut PlatformWork<'_>) {
        work.effect(PlatformEffect::Answer {
            caller: input.caller,
            reply: Err(Rejection::Internal),
        });
    }

    fn worth_keeping(_input: &PlatformAsk) -> Option<PlatformAsk> {
        None
    }
}

/// The first answer to this key, whether given now or before.
fn answer_once(
    work: &mut PlatformWork<'_>,
    claim: &ClaimRequest<PlatformAnswer>,
    request: PlatformRequest,
) -> Result<Result<Reply<PlatformAnswer>, Rejection>, ReadFault> {
    let row_key = key::platform_claim(claim.key);
    if let Some(found) = work.get::<Claim>(&row_key)?
        && !found.is_expired(work.now)
    {
        let is_same = found.fingerprint == claim.fingerprint;
        let answer = found.answer.filter(|_| is_same).map(Reply::Replayed);
        return Ok(answer.ok_or(Rejection::IdempotencyConflict));
    }
    let answer = operate(work, request)?;
    if let Ok(answer) = &answer {
        let row = Claim {
            fingerprint: claim.fingerprint,
            resource: String::new(),
            answer: Some((claim.render)(answer)),
            at: work.now,
        };
        work.put(row_key.clone(), &row);
        // A claim looks behind its own key, which is a hash: each old key is met once in as many
        // claims as there are keys, divided by this.
        work.sweep_claims(&key::platform_claims(), &row_key, SWEEP_ROWS)?;
    }
    Ok(answer.map(Reply::Fresh))
}

fn operate(
    work: &mut PlatformWork<'_>,
    request: PlatformRequest,
) -> Result<Result<PlatformAnswer, Rejection>, ReadFault> {
    match request {
        PlatformRequest::CreatePartner { name } => Ok(Ok(create_partner(work, name))),
        PlatformRequest::SetAllowlist {
            partner_id,
            allowlist,
        } => set_allowlist(work, partner_id, allowlist),
        PlatformRequest::CreateMerchant(new) => create_merchant(work, *new),
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
    save_partner(work, "partner.created", &partner);
    PlatformAnswer::PartnerCreated(Box::new(partner))
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
    save_partner(work, "partner.permissions_set", &partner);
    Ok(Ok(PlatformAnswer::PartnerChanged(Box::new(partner))))
}

fn save_partner(work: &mut PlatformWork<'_>, event: &str, partner: &Partner) {
    work.happened(event, &partner.id);
    work.put(key::partner(partner.id), partner);
    work.effect(PlatformEffect::Publish(AccessChange::Partner(Box::new(
        partner.clone(),
    ))));
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
    Ok(Ok(PlatformAnswer::MerchantBoarded(Box::new(merchant))))
}
