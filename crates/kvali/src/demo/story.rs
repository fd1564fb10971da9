//! What happens to the sample company in two years: every command, in the order of time.

use super::life::Life;
use super::scene::Scene;
use super::{absence, customers, leads, setup};

/// The whole story. The first `n` deals are the same in every story of at least `n`.
pub(crate) fn tell(deals: u32) -> Vec<Scene> {
    let first = [setup::script(), customers::script(), absence::script()];
    let lives = (0..deals).map(|nth| Life::new(nth).live());
    let others = (0..deals / 3 + 12).map(leads::peter_out);
    let scripts = first.into_iter().chain(lives).chain(others);
    let mut scenes: Vec<Scene> = scripts.flat_map(|script| script.scenes).collect();
    // A stable sort: what happens at one moment stays in its order.
    scenes.sort_by_key(|scene| scene.at);
    scenes
}
