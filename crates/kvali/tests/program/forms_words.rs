use crate::forms::{NINO, company, id, types};
use serde_json::json;

const ANNA: &str = "0190d9c6-4a00-7000-8000-000000000023";

#[test]
fn users_are_found_by_name_before_they_have_work_and_namesakes_are_told() {
    let kvali = company("forms-names");
    let deal = ["deal", "assign", "4711"];
    kvali.json(0, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711"]);
    kvali.json(0, &["do", "RegisterUser", "--json", &json!({ "user": ANNA, "name": "Anna" }).to_string()]);
    assert_eq!(types(&kvali.json(0, &[&deal[..], &["anna"]].concat())), ["deal.assigned"]);
    kvali.json(0, &["user", "invite", "Nino", "nino@kvali.ge"]);
    let words = kvali.fails(1, &[&deal[..], &["Nino"]].concat());
    for told in ["several users", NINO, "(nino@kvali.ge)"] {
        assert!(words.contains(told), "{told} is not said in {words}");
    }
}

#[test]
fn an_id_names_a_record_of_its_kind_or_none() {
    let kvali = company("forms-kinds");
    let lead = id(&kvali.json(0, &["lead", "capture", "--email", "a@acme.ge", "--owner", NINO]));
    kvali.json(0, &["lead", "qualify", "a@acme.ge"]);
    let words = kvali.fails(1, &["lead", "convert", "a@acme.ge", "--company", ANNA]);
    assert!(words.contains("there is no company"), "{words}");
    let words = kvali.fails(1, &["lead", "convert", "a@acme.ge", "--company", &lead]);
    assert!(words.contains("is no company but a lead"), "{words}");
    let words = kvali.fails(1, &["deal", "won", &lead]);
    assert!(words.contains("is no deal but a lead"), "{words}");
}
