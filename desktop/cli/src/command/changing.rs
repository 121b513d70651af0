//! `clavicle wallet renew` and `clavicle wallet narrow`: a grant for longer, or for less.

use std::num::NonZeroU32;
use std::time::Instant;

use clap::Args;
use clavicle_app::{App, ChangeGrant};
use clavicle_wallet::patient::{Changed, GrantChange, Narrowing};
use serde_json::json;

use super::terms::{Length, conditions, conditions_row, moment};
use super::wallet::{named, scope_of, short, verdict_row, wanted_series};
use super::{Answer, CommandError, Folder, client};

/// How a grant is made to last longer.
#[derive(Debug, Args)]
pub struct RenewArguments {
    /// Which wallet
    #[command(flatten)]
    pub folder: Folder,
    /// The grant, by the beginning of its id
    pub grant: String,
    /// For how long from now on: 30m, 12h, 7d, 4w
    #[arg(long = "for", value_name = "LENGTH")]
    pub length: Length,
    /// How often it may be opened from now on, where that was limited before
    #[arg(long, value_name = "COUNT")]
    pub openings: Option<NonZeroU32>,
    /// Let them stay although their credential has ended: if you are sure who they are
    #[arg(long)]
    pub all_the_same: bool,
}

/// How a grant is made to allow less.
#[derive(Debug, Args)]
pub struct NarrowArguments {
    /// Which wallet
    #[command(flatten)]
    pub folder: Folder,
    /// The grant, by the beginning of its id
    pub grant: String,
    /// What is to be less
    #[command(flatten)]
    pub less: LessArguments,
    /// Let them stay although their credential has ended: if you are sure who they are
    #[arg(long)]
    pub all_the_same: bool,
}

/// What is to be less; one of these at least.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct LessArguments {
    /// Only this series, and others that are named so: by its number, its description or its UID
    #[arg(long, value_name = "SERIES")]
    pub series: Vec<String>,
    /// For how long from now on: 30m, 12h, 7d, 4w
    #[arg(long = "for", value_name = "LENGTH")]
    pub length: Option<Length>,
    /// How often it may be opened from now on
    #[arg(long, value_name = "COUNT")]
    pub openings: Option<NonZeroU32>,
    /// Ask them to look at it and keep nothing: a wish, which no program can enforce
    #[arg(long)]
    pub view_only: bool,
}

pub(super) async fn renew(of: &RenewArguments) -> Result<Answer, CommandError> {
    let app = client::patient(&of.folder).await?;
    let change = GrantChange::Renew { for_ms: of.length.ms, openings: of.openings.map(Into::into) };
    changed(&app, &of.grant, change, of.all_the_same).await
}

pub(super) async fn narrow(of: &NarrowArguments) -> Result<Answer, CommandError> {
    let app = client::patient(&of.folder).await?;
    let LessArguments { series, length, openings, view_only } = &of.less;
    // Series are of the study that the grant is on; whether there is such a grant the wallet says.
    let study = {
        let state = app.subscribe();
        let state = state.borrow();
        state.grants.iter().find(|row| row.grant.to_string().starts_with(&of.grant)).map(|row| row.study)
    };
    let series = match study {
        Some(study) => wanted_series(&app, study, series).await?,
        None => None,
    };
    let change = GrantChange::Narrow(Narrowing {
        for_ms: length.map(|length| length.ms),
        series,
        view_only: *view_only,
        openings: openings.map(Into::into),
    });
    changed(&app, &of.grant, change, of.all_the_same).await
}

async fn changed(app: &App, grant: &str, change: GrantChange, all_the_same: bool) -> Result<Answer, CommandError> {
    let from = Instant::now();
    let command = ChangeGrant { grant: grant.to_owned(), change, all_the_same };
    let Changed { granted, former, ended_at } = *client::done(app, command, "").await?;
    let ms = from.elapsed().as_millis();
    let (id, terms, card) = (granted.id.to_string(), &granted.made.terms, &granted.made.card);
    let (verdict, scope) = (card.verdict(), scope_of(app, granted.id));
    let mut lines = vec![
        format!("granted to {} until {}", named(Some(card.name.as_str()), Some(&verdict)), moment(terms.expires)),
        format!("grant {id}"),
        format!(
            "in place of grant {}, which has ended, final at height {ended_at}; all after {ms} ms",
            short(&former.to_string())
        ),
    ];
    lines.extend(conditions(terms, scope.as_ref(), None));
    Ok(Answer {
        text: lines.join("\n"),
        json: json!({
            "grant": id, "study": granted.made.study.to_string(), "to": card.name.as_str(),
            "verdict": verdict_row(Some(&verdict)), "expires_ms": terms.expires.0, "replaces": former.to_string(),
            "ended_at": ended_at, "ms": ms, "terms": conditions_row(terms, scope.as_ref(), None),
        }),
    })
}
