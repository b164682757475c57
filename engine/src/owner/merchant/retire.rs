//! Rows that history has taken over leave the state. Owns the last word on whether they may.

use crate::store::ReadFault;

use super::claim::{Answered, Outcome};
use super::{MerchantOwner, MerchantWork};
use crate::owner::key;
use crate::owner::request::{Answer, ArchivedRow};

impl MerchantOwner {
    /// Removes rows that are still what history holds. One record for all of them: their removal is
    /// a fact of this merchant's stream like any other.
    pub(super) fn retire(
        &mut self,
        work: &mut MerchantWork<'_>,
        rows: Vec<ArchivedRow>,
    ) -> Answered {
        let mut removed = 0;
        for row in rows {
            if !self.may_retire(work, &row)? {
                continue;
            }
            if removed == 0 {
                work.happened("history.archived", &self.id());
            }
            work.remove(row.key);
            removed += 1;
        }
        Ok(Outcome::Done(Answer::Retired(removed), String::new()))
    }

    fn may_retire(&self, work: &MerchantWork<'_>, row: &ArchivedRow) -> Result<bool, ReadFault> {
        let spaces = [key::POS, key::TRANSACTION, key::PRINT_JOB, key::COPY_MARK];
        let is_own = spaces
            .iter()
            .any(|space| row.key.starts_with(&key::of_merchant(*space, self.id())));
        Ok(is_own
            && !work.exists(&key::open(self.id(), &row.key))?
            && work.is_at(&row.key, &row.value)?)
    }
}
