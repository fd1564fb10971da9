//! Records that may be one: listed, explained, decided upon, learnt from; and judging the engine on files of one's own.

use crate::support::Kvali;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Namesakes behind one switchboard, who are two.
const TWO: [&str; 8] = [
    "Nino Beridze",
    "Giorgi Kapanadze",
    "Ana Lomidze",
    "Luka Gelashvili",
    "Mariam Abashidze",
    "Davit Maisuradze",
    "Tamar Giorgadze",
    "Irakli Chkheidze",
];
/// People with one mailbox and two telephones, who are one.
const ONE: [&str; 6] =
    ["Olga Petrova", "Peter Schmidt", "Yusuf Yilmaz", "Anna Kowalska", "Marco Rossi", "Jan Novak"];
/// As the first, and nobody has decided.
const OPEN: &str = "Ketevan Tsereteli";

/// Every person twice.
fn office(tenant: &str) -> Kvali {
    let kvali = Kvali::new(tenant);
    let mut file = "id,name,email,phone\n".to_owned();
    let people =
        TWO.iter().chain([&OPEN]).map(|name| (name, false)).chain(ONE.iter().map(|name| (name, true)));
    for (at, (name, shares_mail)) in people.enumerate() {
        for (twin, box_of_ones_own) in ["sales", "kitchen"].into_iter().enumerate() {
            let (mailbox, firm, line) = if shares_mail {
                ("office", at, 100 + 2 * at + twin)
            } else {
                (box_of_ones_own, 200 + 2 * at + twin, at)
            };
            let number = line * 3_571;
            writeln!(file, "{at}-{twin},{name},{mailbox}@firm{firm}.ge,+995555{number:06}").unwrap();
        }
    }
    kvali.import_records(0, "contacts", &kvali.file("people.csv", &file), &["--duplicates", "keep"]);
    kvali
}

fn pairs(kvali: &Kvali, args: &[&str]) -> Vec<Value> {
    let listed = kvali.json(0, &[&["duplicates"], args].concat());
    listed.as_array().unwrap().clone()
}

/// The two records of that name.
fn of<'a>(pairs: &'a [Value], name: &str) -> [&'a str; 2] {
    let pair = pairs.iter().find(|pair| pair["a_name"] == name && pair["b_name"] == name);
    let pair = pair.unwrap_or_else(|| panic!("no pair of {name} among {pairs:?}"));
    ["a", "b"].map(|side| pair[side].as_str().unwrap())
}

fn decide(kvali: &Kvali, command: &str, [one, other]: [&str; 2]) {
    let mut body = json!({ "one": { "contact": one }, "other": { "contact": other } });
    if command == "RejectDuplicate" {
        body["reason"] = "two people".into();
    }
    kvali.json(0, &["do", command, "--json", &body.to_string()]);
}

/// What `field` adds to the score of the pair.
fn adds(kvali: &Kvali, [a, b]: [&str; 2], field: &str) -> i64 {
    let told = kvali.json(0, &["duplicates", "explain", a, b]);
    let addends = told["score"]["addends"].as_array().unwrap();
    let found = addends.iter().find(|addend| addend["field"] == field);
    found.unwrap_or_else(|| panic!("no {field} in {told}"))["adds"].as_i64().unwrap()
}

#[test]
fn pairs_are_listed_with_their_reasons_and_hidden_once_decided_upon() {
    let kvali = office("candidates-listed");
    let all = pairs(&kvali, &[]);
    assert_eq!(all.len(), TWO.len() + ONE.len() + 1, "{all:?}");
    assert!(all.iter().all(|pair| pair["level"] == "likely" && pair["state"] == "candidate"), "{all:?}");
    assert!(all.is_sorted_by(|one, other| one["bits"].as_f64() >= other["bits"].as_f64()));
    assert!(all[0]["because"].as_str().unwrap().contains("email equal +9.5"), "{}", all[0]);
    assert_eq!(pairs(&kvali, &["--limit", "2"]), all[..2]);
    assert_eq!(pairs(&kvali, &["--kind", "company"]), [] as [Value; 0]);
    assert_eq!(pairs(&kvali, &["--level", "possible"]), [] as [Value; 0]);
    decide(&kvali, "RejectDuplicate", of(&all, TWO[0]));
    decide(&kvali, "ConfirmDuplicate", of(&all, ONE[0]));
    assert_eq!(pairs(&kvali, &[]).len(), all.len() - 2);
    let decided: Vec<_> = pairs(&kvali, &["--all"]);
    let states = |state: &str| decided.iter().filter(|pair| pair["state"] == state).count();
    assert_eq!((states("rejected"), states("confirmed"), decided.len()), (1, 1, all.len()));
    let csv = kvali.run(&["--format", "csv", "duplicates", "--limit", "1"]);
    csv.ended_with(0);
    assert!(
        csv.stdout()
            .starts_with("level,bits,a,a_kind,a_name,b,b_kind,b_name,owners,state,cluster,because\nlikely,")
    );
    assert!(
        kvali.fails(2, &["duplicates", "--level", "certain"]).contains("possible values: likely, possible")
    );
    assert!(kvali.fails(2, &["duplicates", "--limit", "0"]).contains("--limit"));
    assert!(kvali.fails(1, &["duplicates", "--owner", "Nobody"]).contains("Nobody"));
}

#[test]
fn an_explanation_sums_to_the_score_and_strangers_are_not_even_possible() {
    let kvali = office("candidates-explained");
    let all = pairs(&kvali, &[]);
    let [a, b] = of(&all, OPEN);
    let told = kvali.json(0, &["duplicates", "explain", a, b]);
    assert_eq!(
        (&told["level"], &told["compared"], &told["model_version"]),
        (&json!("likely"), &json!(true), &json!(0))
    );
    let score = &told["score"];
    let addends = score["addends"].as_array().unwrap();
    let sum: i64 = addends.iter().map(|addend| addend["adds"].as_i64().unwrap()).sum();
    assert_eq!(score["start"].as_i64().unwrap() + sum, score["total"].as_i64().unwrap());
    let fields: Vec<_> = addends.iter().map(|addend| addend["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["given_name", "family_name", "email", "phone"]);
    let strangers = kvali.json(0, &["duplicates", "explain", a, of(&all, ONE[0])[0]]);
    assert_eq!((&strangers["level"], &strangers["compared"]), (&json!("not even possible"), &json!(false)));
    let table = kvali.run(&["duplicates", "explain", a, of(&all, ONE[0])[0]]);
    assert!(table.stdout().contains("They share no key"), "{table}");
    let nobody = "0190d9c6-4a00-7000-8000-000000000099";
    assert!(
        kvali
            .fails(1, &["duplicates", "explain", a, nobody])
            .contains("both must be leads, contacts or companies")
    );
    assert!(kvali.fails(2, &["duplicates", "explain", a, "Nino"]).contains("Nino"));
    assert!(kvali.fails(2, &["duplicates", "explain", a]).contains("<B>"));
    assert!(kvali.fails(2, &["duplicates", "who"]).contains("--name"));
    let known =
        kvali.json(0, &["duplicates", "who", "--name", "ქეთევან წერეთელი", "--email", "sales@firm216.ge"]);
    assert_eq!(known[0]["name"], OPEN, "{known}");
    assert_eq!(kvali.json(0, &["duplicates", "who", "--name", "Zaza Pachulia"]), json!([]));
}

#[test]
fn a_refit_learns_from_decisions_and_changes_what_is_likely() {
    let kvali = office("candidates-refit");
    let all = pairs(&kvali, &[]);
    let open = of(&all, OPEN);
    let refit = ["duplicates", "refit"];
    assert!(kvali.fails(1, &refit).contains("0 decisions are too few to fit weights"));
    for name in &TWO {
        decide(&kvali, "RejectDuplicate", of(&all, name));
    }
    decide(&kvali, "ConfirmDuplicate", of(&all, ONE[0]));
    assert!(
        kvali
            .fails(1, &refit)
            .contains("9 decisions are too few to fit weights; confirm, merge or reject 1 more")
    );
    for name in &ONE[1..] {
        decide(&kvali, "ConfirmDuplicate", of(&all, name));
    }

    let before = (kvali.log().len(), adds(&kvali, open, "phone"), adds(&kvali, open, "email"));
    let foreseen = kvali.json(0, &["duplicates", "refit", "--dry-run"]);
    assert_eq!(kvali.log().len(), before.0, "a dry run writes nothing");
    let published = kvali.json(0, &refit);
    assert_eq!(foreseen, published);
    assert_eq!(published[0]["decisions"], 14);
    let surprise = |when: &str| published[0][when].as_f64().unwrap();
    assert!(surprise("surprise_after_bits") < surprise("surprise_before_bits"), "{published}");
    assert_eq!(kvali.log_types()[before.0..], ["match_rule.defined"]);

    assert!(adds(&kvali, open, "phone") < before.1, "a shared line says less");
    assert!(adds(&kvali, open, "email") < before.2, "another mailbox says more");
    let told = kvali.json(0, &["duplicates", "explain", open[0], open[1]]);
    assert_eq!(told["model_version"], 1);
    assert!(
        pairs(&kvali, &["--level", "likely"]).is_empty(),
        "namesakes behind a switchboard are not likely any more"
    );
    let confirmed = pairs(&kvali, &["--all", "--level", "likely"]);
    assert_eq!(confirmed.len(), ONE.len(), "{confirmed:?}");
}

#[test]
fn a_refit_keeps_the_kinds_of_keys_that_were_published_by_hand() {
    let kvali = office("candidates-keys");
    let all = pairs(&kvali, &[]);
    let levels = |equal: i32, different: i32| json!({ "equal": equal, "near": equal, "alike": 0, "different": different });
    let by_hand = json!({
        "start": -5_500, "likely": "0.59", "possible": "0.11", "keys": ["email", "phone", "name"], "other": levels(1_500, -1_200),
        "fields": { "given_name": levels(4_000, -5_000), "family_name": levels(4_000, -3_500), "email": levels(9_500, -2_000),
                    "phone": levels(3_000, -1_300) },
    });
    kvali.json(0, &["do", "DefineMatchRule", "--json", &by_hand.to_string()]);
    for name in &TWO {
        decide(&kvali, "RejectDuplicate", of(&all, name));
    }
    for name in &ONE {
        decide(&kvali, "ConfirmDuplicate", of(&all, name));
    }
    kvali.json(0, &["duplicates", "refit"]);
    let log = kvali.log();
    let refitted = &log.last().unwrap()["data"];
    assert_eq!(
        (&refitted["version"], &refitted["rule"]["keys"]),
        (&json!(2), &by_hand["keys"]),
        "{refitted}"
    );
}

const PEOPLE: &str = "\
id,entity,first_name,last_name,phone,Home,Notes
1,a,Nino,Beridze,+995555123456,Tbilisi,met in May
2,a,Nino,Beridze,+995555123456,Tbilisi,
3,b,Giorgi,Lomidze,+995555777777,Batumi,
4,b,Georgi,Lomidze,+995555777777,Batumi,
5,c,Anna,Smith,+995555999999,Kutaisi,
";

fn judged(kvali: &Kvali, records: &Path, more: &[&str]) -> Value {
    kvali.json(0, &[&["bench", "duplicates", "--records", records.to_str().unwrap()], more].concat())
}

#[test]
fn the_engine_is_judged_on_files_of_ones_own() {
    let kvali = Kvali::new("candidates-bench");
    let records = kvali.file("people.csv", PEOPLE);
    let truth = kvali.file("pairs.csv", "one,other\n1,2\n4,3\n");
    let by_pairs = judged(&kvali, &records, &["--truth", truth.to_str().unwrap(), "--map", "Notes=-"]);
    let meanings: Vec<_> =
        by_pairs["columns"].as_array().unwrap().iter().map(|row| row["compared_as"].clone()).collect();
    assert_eq!(
        meanings,
        ["id", "not compared", "given name", "family name", "phone", "text", "not compared"]
    );
    let candidates = &by_pairs["candidates"][0];
    assert_eq!((&candidates["records"], &candidates["true_pairs"]), (&json!(5), &json!(2)));
    assert_eq!(candidates["pair_completeness"], 1.0);
    let likely = by_pairs["likely"].as_array().unwrap();
    assert_eq!(
        (likely[0]["weights"].as_str(), likely[0]["records"].as_str()),
        (Some("shipped"), Some("all"))
    );
    assert_eq!(
        (&likely[0]["precision"], &likely[0]["recall"], &likely[0]["f1"]),
        (&json!(1.0), &json!(1.0), &json!(1.0))
    );
    // The same truth, told in the two other ways.
    let clusters = kvali.file("clusters.csv", "id,entity\n1,a\n2,a\n3,b\n4,b\n5,c\n");
    let by_clusters = judged(&kvali, &records, &["--truth", clusters.to_str().unwrap(), "--map", "Notes=-"]);
    assert_eq!(by_clusters, by_pairs);
    let by_column =
        judged(&kvali, &records, &["--cluster", "entity", "--map", "Notes=-", "--map", "home=city"]);
    assert_eq!(by_column["candidates"][0]["true_pairs"], 2);
    assert_eq!(by_column["columns"][5]["compared_as"], "city");
    let table =
        kvali.run(&["bench", "duplicates", "--records", records.to_str().unwrap(), "--cluster", "entity"]);
    table.ended_with(0);
    assert!(
        table.stdout().contains("after 25 decisions: "),
        "few decisions are refused, and it is said: {table}"
    );
}

#[test]
fn files_that_cannot_be_judged_are_refused_with_the_way_out() {
    let kvali = Kvali::new("candidates-unreadable");
    let records = kvali.file("people.csv", PEOPLE);
    let nameless = kvali.file("nameless.csv", "first_name,last_name\nNino,Beridze\n");
    let twice = kvali.file("twice.csv", "id,name\n1,Nino\n1,Anna\n");
    let truth = kvali.file("truth.csv", "one,other\n1,2\n");
    let stranger = kvali.file("stranger.csv", "one,other\n1,2\n77,1\n");
    let narrow = kvali.file("narrow.csv", "one\n1\n");
    let gone = kvali.path("gone.csv");
    let [records, nameless, twice, truth, stranger, narrow, gone] =
        [&records, &nameless, &twice, &truth, &stranger, &narrow, &gone].map(|path| path.to_str().unwrap());
    for (exit_code, of, more, said) in [
        (1, gone, &["--cluster", "entity"][..], "cannot read"),
        (1, records, &["--truth", gone], "cannot read"),
        (1, records, &["--truth", stranger], "line 3 of"),
        (1, records, &["--truth", narrow], "needs two columns"),
        (1, nameless, &["--truth", truth], "no column with the ids of records"),
        (1, twice, &["--truth", truth], "line 3 of"),
        (1, records, &["--cluster", "household"], "there is no column \"household\"; there are id, entity,"),
        (1, records, &["--cluster", "entity", "--map", "Home"], "is no COLUMN=MEANING, such as Home=city"),
        (
            1,
            records,
            &["--cluster", "entity", "--map", "Home=planet"],
            "\"planet\" is no meaning of a column; use -, id",
        ),
        (2, records, &[], "--truth"),
        (2, records, &["--truth", truth, "--cluster", "entity"], "cannot be used with"),
        (2, records, &["--cluster", "entity", "--decisions", "many"], "many"),
    ] {
        let told = kvali.fails(exit_code, &[&["bench", "duplicates", "--records", of], more].concat());
        assert!(told.contains(said), "{more:?} of {of}: {told}");
    }
}
