//! Kvali by raw Postgres, as ratios of one run. `cargo bench -p kvali-benches -- [--quick] [a b c d e f g h i j k]`
//!
//! Names of read models confine (f) to them: `-- f duplicate_candidates search`.

use kvali_benches::ground::Ground;
use kvali_benches::measure::{peak_memory, reset_peak_memory};
use kvali_benches::{
    Scale, batch, cycle, duplicates, follow, live, models, open_stream, rebuild, replay, standing,
};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scale = if arguments.iter().any(|word| word == "--quick") { Scale::QUICK } else { Scale::FULL };
    // Cargo adds `--bench`.
    let words = arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--"));
    let known = kvali_projections::all();
    let (named, chosen): (Vec<&str>, Vec<&str>) =
        words.partition(|word| known.iter().any(|model| model.name() == *word));
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let chosen = if chosen.is_empty() { all.to_vec() } else { chosen };
    let rebuilt: Vec<_> =
        known.into_iter().filter(|model| named.is_empty() || named.contains(&model.name())).collect();
    for letter in chosen {
        // A database of its own, so that none measures what those before it left behind.
        let ground = Ground::prepare().await;
        println!("{}; {scale:?}", ground.describe().await);
        reset_peak_memory();
        match letter {
            "a" => open_stream::run(&ground, scale).await,
            "b" => cycle::run(&ground, scale).await,
            "c" => batch::run(&ground, scale).await,
            "d" => replay::run(&ground, scale).await,
            "e" => rebuild::run(&ground, scale).await,
            "f" => models::run(&ground, scale, &rebuilt).await,
            "g" => live::full_rate(&ground, scale).await,
            "h" => live::visible(&ground, scale).await,
            "i" => duplicates::run(&ground, scale).await,
            "j" => standing::run(&ground, scale).await,
            "k" => follow::run(&ground, scale).await,
            other => panic!("{other:?} is neither a read model nor one of a, b, c, d, e, f, g, h, i, j, k"),
        }
        println!("    {}\n", peak_memory());
        ground.store.close().await;
    }
}
