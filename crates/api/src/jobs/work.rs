//! Workers: any number of them, in any number of processes, share the jobs of all tenants. Each takes the job that has waited
//! longest, for a turn of some parts.

use super::row::{Row, Said, without_texts};
use super::verdict;
use crate::answer::Asked;
use crate::error::Problem;
use crate::principal::Principal;
use crate::{Api, batch::Item};
use kvali_domain::Order;
use kvali_domain::access::Permission;
use kvali_eventstore::job::{Ended, Leased, Proof, RowVerdict, Verdict};
use kvali_eventstore::{Envelope, Error, Outcome, Plan, Rehearsal};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Parts of a job that are carried out before others have their turn.
const PARTS_OF_TURN: usize = 8;
/// For jobs that other processes received, and those whose holder is gone.
const LOOK: Duration = Duration::from_millis(500);
/// Old jobs are forgotten so often.
const FORGET: Duration = Duration::from_secs(60);

/// How a process works at jobs.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Jobs that are worked at at once.
    pub at_once: usize,
    /// Whoever shows no sign of life for so long is taken for gone.
    pub lease: Duration,
}

impl Default for Work {
    fn default() -> Self {
        Self { at_once: 2, lease: Duration::from_secs(15) }
    }
}

/// Workers of this process. Dropped, they break off where they are, as a process that is killed does.
pub struct Worker {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Worker {
    pub fn start(api: &Api, how: Work) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        for _ in 0..how.at_once.max(1) {
            running.spawn(work(api.clone(), how, stopped.clone()));
        }
        running.spawn(forget(api.clone(), stopped));
        Self { stop, running }
    }

    /// Waits until the parts that are under way are done.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a worker at jobs ended early");
            }
        }
    }
}

async fn work(api: Api, how: Work, mut stopped: watch::Receiver<bool>) {
    let mut came = api.inner.job_came.subscribe();
    while !*stopped.borrow() {
        came.borrow_and_update();
        match api.store().lease_job(how.lease).await {
            Ok(Some(job)) => {
                // A task of its own, so that a panic in it ends no worker; the lease of the job runs out then.
                let mut turn = JoinSet::new();
                turn.spawn(take_turn(api.clone(), job, how.lease / 3, stopped.clone()));
                if let Some(Err(error)) = turn.join_next().await {
                    tracing::error!(%error, "the turn of a job ended early");
                }
            }
            Ok(None) => {
                tokio::select! {
                    _ = came.changed() => {}
                    () = wait(LOOK, &mut stopped) => {}
                }
            }
            Err(error) => {
                tracing::warn!(error = kvali_eventstore::chain(&error), "no job could be looked for");
                wait(LOOK, &mut stopped).await;
            }
        }
    }
}

async fn forget(api: Api, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = api.store().forget_jobs().await {
            tracing::warn!(error = kvali_eventstore::chain(&error), "old jobs were not forgotten");
        }
        wait(FORGET, &mut stopped).await;
    }
}

async fn wait(pause: Duration, stopped: &mut watch::Receiver<bool>) {
    // Told to stop, or left alone by whoever would tell: both end the wait.
    let _over = tokio::time::timeout(pause, stopped.changed()).await;
}

async fn take_turn(api: Api, job: Leased, sign_of_life: Duration, stopped: watch::Receiver<bool>) {
    let (api, job) = (&api, &job);
    let Leased { cancelled, in_doubt, next_part, .. } = *job;
    // Of a dry run only the one who carries it out knows what it has come to, so another begins anew.
    let part = if job.dry_run { 0 } else { next_part };
    let rehearsal = Rehearsal::default();
    let mut turn = Turn { api, job, sign_of_life, rehearsal, part, cancelled, in_doubt };
    let Err(error) = turn.run(&stopped).await else { return };
    tracing::warn!(job = %job.id, tenant = %job.tenant, error = kvali_eventstore::chain(&error), "a job rests");
    let rests = if job.dry_run && !passes(&error) {
        // One row after the other cannot be tried out, for each builds on those before it.
        job.end(Ended::Stopped, Some("a row cannot be tried out; the server's log says why")).await
    } else {
        job.rest().await
    };
    if let Err(error) = rests {
        tracing::warn!(job = %job.id, error = kvali_eventstore::chain(&error), "its lease has to run out");
    }
}

struct Turn<'a> {
    api: &'a Api,
    job: &'a Leased,
    sign_of_life: Duration,
    rehearsal: Rehearsal,
    /// The next one.
    part: i32,
    cancelled: bool,
    in_doubt: bool,
}

#[derive(PartialEq, Eq)]
enum Step {
    More,
    /// The job has ended, or is somebody else's by now.
    Over,
}

impl Turn<'_> {
    async fn run(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), Error> {
        let mut parts = 0;
        while !*stopped.borrow() && (self.job.dry_run || parts < PARTS_OF_TURN) {
            if self.step().await? == Step::Over {
                return Ok(());
            }
            parts += 1;
        }
        self.job.release().await
    }

    async fn step(&mut self) -> Result<Step, Error> {
        if self.part >= self.job.parts {
            self.job.end(Ended::Finished, None).await?;
            return Ok(Step::Over);
        }
        if self.cancelled {
            return self.break_off(Ended::Cancelled, None).await;
        }
        let Some(principal) = Principal::again(self.api, self.job.tenant, &self.job.sender).await? else {
            return self.break_off(Ended::Stopped, Some(self.why())).await;
        };
        let Some(rows) = self.rows().await? else { return Ok(Step::Over) };
        let job = self.job;
        let sign_of_life = self.sign_of_life;
        // On the heap, for every worker's future would be as large.
        let work = Box::pin(self.carry_out(&principal, &rows));
        let carried_out = holding(job, sign_of_life, work).await?;
        let Some(verdicts) = carried_out.transpose()? else { return Ok(Step::Over) };
        // Verdicts of a dry run that was begun anew are there already.
        if self.part >= job.next_part && !self.settle(&verdicts).await? {
            return Ok(Step::Over);
        }
        self.part += 1;
        Ok(Step::More)
    }

    /// `false`, if the job is somebody else's by now.
    async fn settle(&mut self, verdicts: &[RowVerdict]) -> Result<bool, Error> {
        let Some(settled) = self.job.settle(self.part, verdicts).await? else { return Ok(false) };
        (self.cancelled, self.in_doubt) = (settled.cancelled, false);
        for verdict in Verdict::ALL {
            let rows = verdicts.iter().filter(|row| row.verdict == verdict).count();
            let rows = u64::try_from(rows).unwrap_or_default();
            metrics::counter!("kvali_job_rows_total", "verdict" => verdict.as_str()).increment(rows);
        }
        Ok(true)
    }

    /// Ends it before its last row. Rows of a part that somebody left half done, and that were carried out, are told.
    async fn break_off(&mut self, ended: Ended, reason: Option<&str>) -> Result<Step, Error> {
        if self.in_doubt
            && !self.job.dry_run
            && let Some(rows) = self.rows().await?
        {
            let verdicts = self.carried_out_before(&rows).await?;
            self.settle(&verdicts).await?;
        }
        self.job.end(ended, reason).await?;
        Ok(Step::Over)
    }

    /// Why its sender may do nothing any more.
    fn why(&self) -> &'static str {
        match self.job.sender.proof {
            Proof::Key(_) => {
                "the key that it was sent with was revoked or has expired, or its user is not active or has lost the role"
            }
            Proof::Token { .. } => "the user who sent it is not active",
        }
    }

    /// Those of the next part; `None`, if somebody else has settled it, or if it ends the job that they cannot be read.
    async fn rows(&self) -> Result<Option<Vec<Row>>, Error> {
        let Some(bytes) = self.job.part(self.part).await? else { return Ok(None) };
        let rows = serde_json::Deserializer::from_slice(&bytes).into_iter();
        if let Ok(rows) = rows.collect::<Result<_, _>>() {
            return Ok(Some(rows));
        }
        let reason = "its rows were received by another version of Kvali, and this one cannot read them";
        self.job.end(Ended::Stopped, Some(reason)).await?;
        Ok(None)
    }

    async fn carry_out(&mut self, principal: &Principal, rows: &[Row]) -> Result<Vec<RowVerdict>, Error> {
        let (mut asked, mut plans) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            asked.push(match self.prepare(principal, row).await? {
                Ok((asked, permission, plan)) => {
                    plans.push(plan);
                    Ok((asked, permission))
                }
                Err(verdict) => Err(verdict),
            });
        }
        let mut outcomes = self.outcomes(&plans).await?.into_iter();
        let mut verdicts = Vec::with_capacity(rows.len());
        for (row, asked) in rows.iter().zip(asked) {
            verdicts.push(match asked {
                Ok((asked, permission)) => {
                    let outcome = outcomes.next().expect("each plan has an outcome");
                    self.judged(principal, row, asked, permission, outcome).await?
                }
                Err(verdict) => verdict,
            });
        }
        Ok(verdicts)
    }

    async fn judged(
        &self,
        principal: &Principal,
        row: &Row,
        asked: Asked,
        permission: Permission,
        outcome: Result<Outcome, Error>,
    ) -> Result<RowVerdict, Error> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Ok(verdict::refused(row, Some(asked), &Problem::from(error))),
        };
        if !self.job.dry_run {
            self.api.told_of(principal, permission, asked.command, &outcome).await?;
            self.api.inner.access.forget_after(asked.command, principal.tenant);
        }
        Ok(verdict::of(row, asked, &outcome))
    }

    /// What a row asks for, or the verdict on it.
    async fn prepare(
        &self,
        principal: &Principal,
        row: &Row,
    ) -> Result<Result<(Asked, Permission, Plan), RowVerdict>, Error> {
        let item = match &row.said {
            Said::Item(item) => item,
            Said::Malformed(problem) => return Ok(Err(verdict::malformed(row, problem))),
        };
        let (order, envelope) = match self.order(principal, row, item) {
            Ok(ordered) => ordered,
            Err(problem) => return Ok(Err(verdict::refused(row, None, &without_texts(problem, item)))),
        };
        let asked = Asked::of(&order, envelope.command_id);
        let permission = Permission::of(&order.command);
        if !principal.may(permission) {
            if !self.job.dry_run {
                self.api.record_denial(principal, permission, asked.command).await?;
            }
            return Ok(Err(verdict::refused(row, Some(asked), &principal.forbidden(permission))));
        }
        Ok(Ok((asked, permission, Plan::new(order, envelope))))
    }

    /// A row that its sender has no name for is named after the job and its place in it, so that it is carried out once,
    /// whoever does it and however often. All of a job belong together.
    fn order(&self, principal: &Principal, row: &Row, item: &Item) -> Result<(Order, Envelope), Problem> {
        let of_row = Uuid::new_v5(&self.job.id, &row.number.to_be_bytes());
        let (order, mut envelope) = item.order(principal, Some(of_row))?;
        envelope.correlation = self.job.id;
        Ok((order, envelope))
    }

    /// In the order of the plans. One that cannot be carried out at all does not keep the others from it.
    async fn outcomes(&mut self, plans: &[Plan]) -> Result<Vec<Result<Outcome, Error>>, Error> {
        let (store, tenant) = (self.api.store(), self.job.tenant);
        let outcomes = if self.job.dry_run {
            store.rehearse(tenant, &mut self.rehearsal, plans).await
        } else {
            store.handle_all(tenant, plans).await
        };
        match outcomes {
            Ok(outcomes) => return Ok(outcomes.into_iter().map(Ok).collect()),
            Err(error) if passes(&error) || self.job.dry_run => return Err(error),
            Err(_) => {}
        }
        let mut outcomes = Vec::with_capacity(plans.len());
        for plan in plans {
            // Those that were carried out before answer as they did then.
            outcomes.push(match store.handle_all(tenant, std::slice::from_ref(plan)).await {
                Ok(mut one) => Ok(one.remove(0)),
                Err(error) if passes(&error) => return Err(error),
                Err(error) => Err(error),
            });
        }
        Ok(outcomes)
    }

    /// The verdicts on those rows that were carried out already.
    async fn carried_out_before(&self, rows: &[Row]) -> Result<Vec<RowVerdict>, Error> {
        let sender = Principal::bare(self.job.tenant, &self.job.sender);
        let ordered = |row: &Row| match &row.said {
            Said::Item(item) => self.order(&sender, row, item).ok(),
            Said::Malformed(_) => None,
        };
        let asked: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let (order, envelope) = ordered(row)?;
                Some((row, Asked::of(&order, envelope.command_id)))
            })
            .collect();
        let ids: Vec<_> = asked.iter().map(|(_, asked)| asked.command_id).collect();
        let known = self.api.store().carried_out(self.job.tenant, &ids).await?;
        let told = asked.into_iter().filter_map(|(row, asked)| {
            let answer = known.get(&asked.command_id)?;
            Some(verdict::of(row, asked, &Outcome::Accepted(answer.clone())))
        });
        Ok(told.collect())
    }
}

/// Whether it may go well the next time.
fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::Read(_)
            | Error::Keys(_)
            | Error::Append(_)
            | Error::Connect(_)
            | Error::Task(_)
            | Error::Contended { .. }
            | Error::Overtaken
    )
}

/// Works on and gives signs of life; `None`, if the job is somebody else's by now.
async fn holding<T>(
    job: &Leased,
    sign_of_life: Duration,
    mut work: impl Future<Output = T> + Unpin,
) -> Result<Option<T>, Error> {
    loop {
        tokio::select! {
            done = &mut work => return Ok(Some(done)),
            () = tokio::time::sleep(sign_of_life) => if !job.renew().await? {
                return Ok(None);
            },
        }
    }
}
