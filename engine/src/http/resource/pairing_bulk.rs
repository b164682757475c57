//! Terminals in bulk, each with a pairing code, from a list and as a list: for a roll-out.
//!
//! Rows are carried out in bounded commits. Each row is done, or named with what is wrong with it;
//! a repeat with the same key makes what is missing and nothing twice.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::pairing::LIFE_S_DEFAULT;
use crate::domain::rejection::Rejection;
use crate::domain::token::Secret;
use crate::owner::request::{Answer, NewTill, Reply, Request};

use super::super::call::{Call, Handled};
use super::super::check::{optional_text, text};
use super::super::code::{Code, ErrorAnswer};
use super::super::csv_table::{self, inert};
use super::super::envelope::Success;
use super::super::view::pairing::MadeTillView;
use super::pairing::{ca_fingerprint, life_s};
use super::terminal::location;

/// Rows in one request.
const ROWS_MAX: usize = 2_000;
/// Rows in one commit: some 30 KiB of log, so that sales of the merchant wait for no more.
const ROWS_PER_COMMIT: usize = 50;
const COLUMNS: [&str; 4] = ["label", "location", "serial_number", "life_s"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkForm {
    rows: Option<Vec<RowForm>>,
    csv: Option<String>,
    life_s: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowForm {
    label: String,
    location: Option<String>,
    serial_number: Option<String>,
    life_s: Option<u64>,
}

/// A row, by its number from 1, and what became of it.
struct Row {
    number: usize,
    label: String,
    serial_number: String,
    fate: Result<MadeTillView, ErrorAnswer>,
}

/// A row that can be carried out.
struct Good {
    number: usize,
    label: String,
    location: Option<String>,
    serial_number: Option<String>,
    life_s: u64,
}

#[derive(Serialize)]
struct BulkView {
    object: &'static str,
    created: usize,
    failed: usize,
    /// What the technician reads to the tills beside their codes, so that they know their engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_fingerprint: Option<String>,
    rows: Vec<Value>,
}

/// `POST /v1/pairing-codes/bulk`
pub(in crate::http) async fn create(call: Call) -> Handled {
    let form: BulkForm = call.form()?;
    let life_s_default = life_s(form.life_s)?;
    let asked = match (form.rows, form.csv) {
        (Some(rows), None) => rows.into_iter().map(Ok).collect(),
        (None, Some(csv)) => from_csv(&csv)?,
        (None, None) => return Err(ErrorAnswer::absent("rows")),
        (Some(_), Some(_)) => return Err(ErrorAnswer::invalid("csv", "absent where rows are")),
    };
    if !(1..=ROWS_MAX).contains(&asked.len()) {
        return Err(ErrorAnswer::invalid("rows", "1 to 2000 rows"));
    }
    let (good, mut rows) = checked(
        asked,
        form.life_s.map_or(LIFE_S_DEFAULT, |_| life_s_default),
    );
    let is_replay = carry_out(&call, good, &mut rows).await?;
    rows.sort_by_key(|row| row.number);
    let created = rows.iter().filter(|row| row.fate.is_ok()).count();
    let failed = rows.len() - created;
    tracing::info!(
        created,
        failed,
        "terminals made in bulk, with pairing codes"
    );
    let status = if failed == 0 { 201 } else { 200 };
    let answer = match call.wants_csv {
        true => Success::csv(status, table(&rows)),
        false => Success::json(
            status,
            &BulkView {
                object: "pairing_code_bulk",
                created,
                failed,
                ca_fingerprint: ca_fingerprint(&call).map(|one| one.short().to_string()),
                rows: rows.iter().map(view).collect(),
            },
        ),
    };
    Ok(Success {
        is_replay,
        ..answer
    })
}

/// A row of a form, or what is wrong with it and what it called itself.
type Asked = Result<RowForm, (ErrorAnswer, String, String)>;

fn from_csv(csv: &str) -> Result<Vec<Asked>, ErrorAnswer> {
    let rows = csv_table::read(csv, &COLUMNS, "label").map_err(|error| {
        ErrorAnswer::new(Code::ValidationError, format!("The list {error}.")).with("field", "csv")
    })?;
    let asked = rows.into_iter().map(|row| {
        let mut row = row.map_err(|_| {
            let wrong = ErrorAnswer::invalid("csv", "as many values as there are columns");
            (wrong, String::new(), String::new())
        })?;
        let label = row.remove("label").unwrap_or_default();
        let location = row.remove("location");
        let serial_number = row.remove("serial_number");
        let life_s = row.remove("life_s").map(|text| text.parse::<u64>());
        let life_s = life_s.transpose().map_err(|_| {
            let wrong = ErrorAnswer::invalid("life_s", "seconds, 60 to 90 days");
            (
                wrong,
                label.clone(),
                serial_number.clone().unwrap_or_default(),
            )
        })?;
        Ok(RowForm {
            label,
            location,
            serial_number,
            life_s,
        })
    });
    Ok(asked.collect())
}

/// The rows that can be carried out, and those that cannot with the reason.
fn checked(asked: Vec<Asked>, life_s_default: u64) -> (Vec<Good>, Vec<Row>) {
    let mut serials = BTreeSet::new();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (number, asked) in (1..).zip(asked) {
        let (label, serial_number, checked) = match asked {
            Err((wrong, label, serial_number)) => (label, serial_number, Err(wrong)),
            Ok(row) => {
                let names = (row.label.clone(), row.serial_number.clone());
                let checked = check(row, number, life_s_default, &mut serials);
                (names.0, names.1.unwrap_or_default(), checked)
            }
        };
        match checked {
            Ok(row) => good.push(row),
            Err(error) => bad.push(Row {
                number,
                label,
                serial_number,
                fate: Err(error),
            }),
        }
    }
    (good, bad)
}

fn check(
    row: RowForm,
    number: usize,
    life_s_default: u64,
    serials: &mut BTreeSet<String>,
) -> Result<Good, ErrorAnswer> {
    let good = Good {
        number,
        label: text("label", row.label)?,
        location: row.location.map(location).transpose()?,
        serial_number: optional_text("serial_number", row.serial_number)?,
        life_s: life_s(Some(row.life_s.unwrap_or(life_s_default)))?,
    };
    if let Some(serial_number) = &good.serial_number
        && !serials.insert(serial_number.clone())
    {
        let expected = "a serial number that is not in the list twice";
        return Err(ErrorAnswer::invalid("serial_number", expected));
    }
    Ok(good)
}

/// Makes what can be made. Whether all of it had been made before.
async fn carry_out(call: &Call, good: Vec<Good>, rows: &mut Vec<Row>) -> Result<bool, ErrorAnswer> {
    let merchant_id = call.merchant_id()?;
    let mut replays = 0;
    let parts = good.len().div_ceil(ROWS_PER_COMMIT);
    for (part, some) in good.chunks(ROWS_PER_COMMIT).enumerate() {
        let tills: Result<Vec<NewTill>, _> = some.iter().map(|row| till(call, row)).collect();
        let request = Request::CreateTills(tills?);
        let fates = match call.reply_of_part(merchant_id, part, request).await {
            Ok(Reply::Fresh(Answer::TillsCreated(tills))) => {
                let views = tills.iter().map(|till| Ok(MadeTillView::of(till, true)));
                views.collect()
            }
            Ok(Reply::Replayed(stored)) => {
                replays += 1;
                again(&stored.body)?
            }
            Ok(Reply::Fresh(_)) => {
                tracing::error!("an owner answered something else than was asked");
                return Err(ErrorAnswer::internal());
            }
            // Another request has this key: nothing was made of this one.
            Err(error) if part == 0 => return Err(error),
            Err(error) => vec![Err(error); some.len()],
        };
        for (row, fate) in some.iter().zip(fates) {
            rows.push(Row {
                number: row.number,
                label: row.label.clone(),
                serial_number: row.serial_number.clone().unwrap_or_default(),
                fate,
            });
        }
    }
    Ok(parts > 0 && replays == parts)
}

fn till(call: &Call, row: &Good) -> Result<NewTill, ErrorAnswer> {
    let code: Secret = call.parts().ids.pairing_code()?;
    Ok(NewTill {
        label: row.label.clone(),
        location: row.location.clone(),
        serial_number: row.serial_number.clone(),
        life_s: row.life_s,
        code,
    })
}

#[derive(Deserialize)]
struct Stored {
    data: Vec<MadeTillView>,
}

/// What was made by the first request with this key; without the codes, which are shown once.
fn again(body: &[u8]) -> Result<Vec<Result<MadeTillView, ErrorAnswer>>, ErrorAnswer> {
    match serde_json::from_slice::<Stored>(body) {
        Ok(stored) => Ok(stored.data.into_iter().map(Ok).collect()),
        // The key stands for another operation with the same fingerprint, which there is not.
        Err(_) => Err(Rejection::Internal.into()),
    }
}

fn view(row: &Row) -> Value {
    match &row.fate {
        Ok(made) => {
            let mut view = json!(made);
            view["row"] = json!(row.number);
            view["status"] = json!("created");
            view
        }
        Err(error) => json!({
            "row": row.number,
            "status": "failed",
            "label": row.label,
            "serial_number": row.serial_number,
            "error": {
                "code": error.code.text(),
                "message": error.message,
                "details": error.details,
            },
        }),
    }
}

fn table(rows: &[Row]) -> Vec<u8> {
    let header = [
        "terminal_id",
        "label",
        "serial_number",
        "code",
        "expires_at",
        "error",
    ];
    let line = |row: &Row| {
        let (label, serial_number) = (inert(&row.label), inert(&row.serial_number));
        match &row.fate {
            Ok(made) => [
                made.terminal_id.to_string(),
                label,
                serial_number,
                made.code.clone().unwrap_or_default(),
                made.expires_at.clone(),
                String::new(),
            ],
            Err(error) => {
                let what = format!(
                    "row {}: {} {}",
                    row.number,
                    error.code.text(),
                    error.message
                );
                let empty = String::new;
                [empty(), label, serial_number, empty(), empty(), what]
            }
        }
    };
    csv_table::write(header, rows.iter().map(line).collect())
}
