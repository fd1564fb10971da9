//! Every question, from its query string to what the read model is asked.

use super::{Board, Entries, Filled, Forecast, Funnel, Overdue, Pairs, Searched, When, limited, said};
use crate::fuzz::parsed;
use kvali_domain::funnel::{Rule, Window};
use kvali_projections::conversion_funnel::Breakdown;
use kvali_projections::overdue_tasks::{Section, Sorting};
use kvali_projections::{deal_board, search, timeline};

pub(crate) fn question(route: &str, query: &str) {
    let when = match route {
        "board" => board(query),
        "search" => searched(query),
        "timeline" => entries(query),
        "completeness" => parsed::<Filled>(query).map(|asked| asked.when()),
        "duplicates" => parsed::<Pairs>(query).map(|asked| asked.when()),
        "funnel" => funnel(query),
        "forecast" => parsed::<Forecast>(query).map(|asked| asked.when()),
        "overdue" => overdue(query),
        _ => None,
    };
    if let Some(when) = when {
        let _problem = when.as_of();
    }
}

fn board(query: &str) -> Option<When> {
    let asked: Board = parsed(query)?;
    let _problem = (said::<deal_board::Sort>("sort", asked.sort.as_deref()), limited(asked.limit, 50));
    Some(asked.when())
}

fn searched(query: &str) -> Option<When> {
    let asked: Searched = parsed(query)?;
    let _problem = said::<search::Entity>("kind", asked.kind.as_deref());
    Some(asked.when())
}

fn entries(query: &str) -> Option<When> {
    let asked: Entries = parsed(query)?;
    let _problem = said::<timeline::Kind>("kind", asked.kind.as_deref());
    Some(asked.when())
}

fn funnel(query: &str) -> Option<When> {
    let asked: Funnel = parsed(query)?;
    let _problem = (
        said::<Breakdown>("by", asked.by.as_deref()),
        said::<Rule>("rule", asked.rule.as_deref()),
        said::<Window>("window", asked.window.as_deref()),
    );
    Some(asked.when())
}

fn overdue(query: &str) -> Option<When> {
    let asked: Overdue = parsed(query)?;
    let words = asked.kind.iter().flat_map(|words| words.split(','));
    let _sections: Vec<_> = words.map(|word| word.trim().parse::<Section>()).collect();
    let _problem = said::<Sorting>("sort", asked.sort.as_deref());
    Some(asked.when())
}
