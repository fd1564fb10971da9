//! Clusters: whoever is joined by likely pairs, the likeliest first, unless somebody said that two of them are two.

use std::collections::{BTreeMap, BTreeSet};

/// Each record with the first of its cluster, for every record that an edge names. `may_join` sees the members of both
/// sides before they become one.
pub(super) fn clusters<I: Copy + Ord>(
    edges: &[(I, I, i32)],
    mut may_join: impl FnMut(&[I], &[I]) -> bool,
) -> BTreeMap<I, I> {
    let mut strongest: Vec<_> = edges.to_vec();
    strongest.sort_unstable_by(|(a, b, score), (c, d, other)| other.cmp(score).then((a, b).cmp(&(c, d))));
    let mut root: BTreeMap<I, I> = BTreeMap::new();
    let mut members: BTreeMap<I, Vec<I>> = BTreeMap::new();
    for id in edges.iter().flat_map(|(a, b, _)| [*a, *b]) {
        root.insert(id, id);
        members.insert(id, vec![id]);
    }
    for (a, b, _) in strongest {
        let (into, from) = (root[&a].min(root[&b]), root[&a].max(root[&b]));
        if into == from || !may_join(&members[&into], &members[&from]) {
            continue;
        }
        let joined = members.remove(&from).expect("every root has members");
        root.extend(joined.iter().map(|id| (*id, into)));
        members.get_mut(&into).expect("every root has members").extend(joined);
    }
    root
}

/// Whether none of the pairs that were told apart would come together.
pub(super) fn keeps_apart<I: Copy + Ord>(apart: &BTreeSet<(I, I)>, one: &[I], other: &[I]) -> bool {
    apart.is_empty() || !one.iter().any(|a| other.iter().any(|b| apart.contains(&(*a.min(b), *a.max(b)))))
}

/// Whether two sides agree on the whole: the mean score of all pairs across is not against it.
pub(super) fn agree<I: Copy>(one: &[I], other: &[I], score: &mut impl FnMut(I, I) -> i32) -> bool {
    let mut sum = 0_i64;
    for a in one {
        for b in other {
            sum += i64::from(score(*a, *b));
        }
    }
    sum >= 0
}
