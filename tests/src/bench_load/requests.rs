//! Plain requests in a closed loop: an idempotent create (one durable commit), and a page of a
//! list. Each client keeps its connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::board::Lane;
use crate::connection::{Answer, Connection};
use crate::measure::{Samples, per, rounded};
use crate::report::Result;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// POST of a terminal under a fresh key.
    Create,
    /// GET of the newest transactions.
    List,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list_page",
        }
    }

    async fn ask(self, to: &mut Connection, token: &str, key: &str) -> io::Result<Answer> {
        match self {
            Self::Create => {
                let body = r#"{"label":"Bench"}"#;
                to.post("/v1/terminals", token, key, body).await
            }
            Self::List => to.get("/v1/transactions?limit=50", token).await,
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::Create => 201,
            Self::List => 200,
        }
    }
}

/// Asks from `clients` connections for `seconds`. `run` makes keys unlike those of other runs.
///
/// # Errors
/// When an answer is not the expected one.
pub(crate) fn measure(
    kind: Kind,
    address: &str,
    lanes: &[Lane],
    clients: usize,
    (seconds, run): (u64, &str),
    result: &mut Result,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address: Arc<str> = address.into();
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let samples = runtime.block_on(async {
        let asking: Vec<_> = (0..clients)
            .zip(lanes.iter().cycle())
            .map(|(number, lane)| {
                let mut to = Connection::new(Arc::clone(&address));
                let (token, run) = (Arc::clone(&lane.token), run.to_owned());
                tokio::spawn(async move {
                    let mut samples = Samples::default();
                    for turn in 0_u64.. {
                        let at = Instant::now();
                        if at >= end {
                            break;
                        }
                        let key = format!("{run}-{}-{number}-{turn}", kind.name());
                        let answer = kind.ask(&mut to, &token, &key).await?;
                        if answer.status != kind.status() {
                            let (status, code) = (answer.status, answer.field("code"));
                            let name = kind.name();
                            let what = format!("{name} answered {status} {code}");
                            return Err(io::Error::other(what));
                        }
                        samples.add(at.elapsed());
                    }
                    Ok(samples)
                })
            })
            .collect();
        let mut all = Samples::default();
        for one in asking {
            all.merge(one.await.map_err(io::Error::other)??);
        }
        io::Result::Ok(all)
    })?;
    let elapsed = begun.elapsed().as_secs_f64();
    let name = format!("{}_{clients}", kind.name());
    result.insert(
        format!("{name}_per_s"),
        rounded(per(samples.count(), elapsed)),
    );
    samples.describe(&name, result);
    Ok(())
}
