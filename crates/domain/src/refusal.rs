//! Which part of a command a refusal is about, and every refusal there is.

use crate::registry::Refusal;
use serde_json::Value;
use std::collections::BTreeSet;

/// By the codes of refusals: the members of commands that they can be about. A command is refused for the first of them
/// that it has; whatever is not listed, or finds none, is about the record itself.
const MEMBERS: &[(&[&str], &[&str])] = &[
    // Pipelines, funnels
    (&["incomplete"], &["stages"]),
    (&["stage_twice"], &["stages", "steps", "name"]),
    (&["unknown_stage"], &["stage", "to", "stages", "order", "steps"]),
    (&["stage_retired"], &["stage", "to", "stages"]),
    (&["wrong_class"], &["stage", "to"]),
    (&["other_class"], &["before"]),
    (&["no_entry_stage", "not_an_entry"], &["entry_stages", "stages"]),
    (&["second_success"], &["stage"]),
    (&["not_a_permutation"], &["order"]),
    (&["probability", "probability_out_of_range"], &["probability"]),
    (&["category", "closed_category"], &["category"]),
    (&["hint_too_long"], &["hint"]),
    (&["no_such_task_template", "task_template_twice"], &["templates"]),
    (&["last_of_class", "only_entry_stage", "not_an_entry_stage"], &["stage"]),
    (&["not_a_successor", "successor_missing"], &["to"]),
    (&["no_such_recycle_pipeline", "recycles_into_itself"], &["to"]),
    (&["no_step", "too_many_steps", "empty_step"], &["steps"]),
    (&["window_on_rule"], &["window"]),
    (&["impute_lost_on_rule"], &["impute_lost"]),
    // Dictionaries
    (&["code_taken"], &["code"]),
    (&["key_taken"], &["key"]),
    (&["name_taken"], &["name"]),
    (&["id_taken"], &["reason", "source", "tag", "activity_type", "field"]),
    (&["no_such_reason", "loss_reason_missing", "loss_reason_unknown"], &["reason"]),
    (&["no_such_field", "retired_field"], &["field"]),
    (&["options_missing", "options_unasked", "option_twice", "default_option"], &["options"]),
    (&["unknown_field"], &["default", "entry", "exit", "fields"]),
    (&["field_retired", "wrong_type", "text_length", "unknown_option", "nothing_chosen"], &["default"]),
    (&["chosen_twice"], &["choices", "default"]),
    (&["no_such_tag"], &["tag"]),
    (&["merged_tag", "same_tag"], &["into", "tag"]),
    (&["lead_time"], &["minimum_lead_minutes"]),
    (&["offset"], &["offset_days"]),
    (&["same_currency"], &["to"]),
    (&["unknown_currency"], &["from"]),
    (&["rate_not_positive"], &["rate"]),
    (&["source_unknown"], &["source"]),
    (&["tag_unknown"], &["tag"]),
    (&["activity_type_unknown"], &["activity_type"]),
    (&["disposition_unknown"], &["code"]),
    (&["template_unknown", "template_version", "no_such_template_version"], &["template"]),
    // Matching
    (&["weight_too_great"], &["fields"]),
    (&["possible_above_likely"], &["possible"]),
    (&["no_keys"], &["keys"]),
    (&["too_many_values"], &["rarity"]),
    (&["worse_than_before"], &["hold_out"]),
    (&["same_record"], &["other"]),
    (&["no_losers", "too_many_losers", "survivor_is_loser", "loser_twice", "no_such_record"], &["losers"]),
    (&["merged_away", "archived_record", "erased_apart", "not_merged_away"], &["losers"]),
    (&["waits_for_approval", "other_pipeline", "other_parent"], &["losers"]),
    (&["stale_preview"], &["seen"]),
    (&["undecided", "no_conflict", "no_value"], &["choices"]),
    (&["no_such_merge", "later_merges"], &["merge"]),
    (&["not_by_itself", "still_merged"], &["survivor"]),
    // People
    (&["blank_name"], &["name", "full"]),
    (&["no_mail_address"], &["mail"]),
    (&["ends_before_it_begins", "overlaps"], &["to"]),
    (&["own_substitute", "substitute_not_active", "substitute_absent"], &["substitute"]),
    (&["no_such_absence", "wrong_progress"], &["absence"]),
    (&["negative_capacity"], &["count"]),
    (&["owner_not_active", "owner_absent"], &["owner", "assignee", "user", "to"]),
    (&["user_not_active"], &["user", "by"]),
    (&["not_active"], &["member", "manager"]),
    (&["no_such_parent", "parent_not_active", "cycle", "chain_too_long"], &["parent"]),
    (&["broken_chain"], &["chain"]),
    (&["last_admin", "own_role"], &["user"]),
    (&["key_exists", "no_such_key"], &["key"]),
    (&["not_the_owners_role"], &["role"]),
    (&["expires_in_the_past"], &["expires"]),
    (&["scope_beyond_role", "no_scopes"], &["scopes"]),
    (&["nothing_named", "named_twice", "to_oneself", "not_open", "other_owner"], &["scope", "items"]),
    (&["not_handed_over"], &["items"]),
    (&["touched"], &["confirmed"]),
    (&["no_working_time", "no_interval", "intervals_meet"], &["week"]),
    (&["holiday_twice"], &["date"]),
    // Records
    (&["reason_missing", "back_needs_reason", "not_the_author", "force_without_reason"], &["reason"]),
    (&["step_back"], &["reason", "stage"]),
    (&["no_identifier", "nothing_known"], &["full"]),
    (&["no_such_point", "point_invalid", "only_identifier"], &["point"]),
    (&["bad_contact_point", "same_point_twice", "too_many_points"], &["points", "contact_point", "value"]),
    (&["evidence_missing"], &["evidence"]),
    (&["bad_fields"], &["fields"]),
    (&["company_not_active", "role_open", "role_not_open"], &["company"]),
    (&["ends_before_start"], &["until", "time"]),
    (&["ends_in_the_future"], &["until"]),
    (&["same_contact", "other_not_active"], &["other"]),
    (&["not_a_domain", "free_mail", "too_many_domains"], &["domains"]),
    (&["no_legal_id", "bad_legal_id"], &["ids", "legal_ids"]),
    (&["replaces_missing", "nothing_to_replace"], &["replaces"]),
    (&["stale_ancestors", "ancestors_without_parent"], &["ancestors"]),
    (&["not_a_territory"], &["territory"]),
    (&["exclusive_for_all"], &["product"]),
    (&["exclusive_already"], &["exclusive"]),
    (&["no_such_terms", "terms_ended"], &["terms"]),
    (&["score_out_of_range"], &["score"]),
    (&["stays_with_owner"], &["owner"]),
    (&["no_such_contact", "not_linked", "last_contact"], &["contact", "party"]),
    (&["already_matched"], &["contact"]),
    (&["no_such_company"], &["company", "party"]),
    (&["deal_with_other"], &["party"]),
    (&["deal_not_open"], &["deal", "belongs_to"]),
    (&["other_party"], &["deal"]),
    // Deals
    (&["no_such_pipeline", "pipeline_archived", "same_pipeline", "party_required_there"], &["pipeline"]),
    (&["backward", "skips", "requirements"], &["to", "stage"]),
    (&["rules_changed", "no_such_version"], &["pipeline_version"]),
    (&["party_required", "name_without_party"], &["party"]),
    (&["negative_value", "value_required", "value_from_lines"], &["value", "unit_price"]),
    (&["quantity_not_positive"], &["quantity"]),
    (&["discount_out_of_range"], &["discount_percent"]),
    (&["other_currency", "too_large"], &["unit_price"]),
    (&["no_such_line"], &["number", "line"]),
    (&["no_next_step"], &["text"]),
    (&["hold_not_in_future"], &["until"]),
    (&["no_limit", "within_limit"], &["limit"]),
    (&["no_such_previous", "previous_open", "previous_of_other"], &["previous"]),
    (&["not_revived_so", "repeat_by_opening"], &["origin"]),
    (&["no_such_approval", "approval_decided", "own_approval"], &["approval"]),
    (&["no_such_visit", "closing_visit"], &["visit"]),
    // What is to be done, and what was said
    (&["no_such_target"], &["targets", "target", "about", "other", "to", "belongs_to"]),
    (&["too_many_targets", "target_erased"], &["targets", "target"]),
    (&["starts_after_due"], &["start"]),
    (&["no_estimate"], &["estimate_minutes"]),
    (&["result_missing"], &["result"]),
    (&["not_later"], &["until", "at"]),
    (&["reminder_after_due", "no_such_reminder", "reminder_not_due"], &["at"]),
    (&["no_such_item"], &["item"]),
    (&["other_due", "never_overdue", "due_before_missed", "not_overdue_yet"], &["due"]),
    (&["cause_known"], &["facts"]),
    (&["no_attendees", "too_many_attendees"], &["attendees"]),
    (&["not_invited"], &["attendee"]),
    (&["no_number"], &["to"]),
    (&["negative_duration"], &["duration_s"]),
    (&["candidates"], &["several"]),
    (&["consent_refused", "consent_missing"], &["consent"]),
    (&["not_a_return"], &["by"]),
    (&["comment_missing"], &["comment"]),
    (&["blank_message"], &["text"]),
    (&["no_such_message", "not_sent_by_us", "out_of_order"], &["message"]),
    (&["file_size"], &["size_bytes"]),
    (&["media_type"], &["media_type"]),
    (&["no_such_file"], &["file"]),
];

impl Refusal {
    /// The permanent word for this refusal, such as `backward`.
    pub fn code(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["code"].as_str().unwrap_or("refused").to_owned()
    }

    /// What of a command it can be about: the first that the command has. None: the record itself.
    pub fn members(&self) -> Vec<String> {
        let json = serde_json::to_value(self).unwrap_or_default();
        let text = |name: &str| json[name].as_str();
        // Some say it themselves: by its name, or as what must be unique.
        let own = ["field", "threshold"].into_iter().filter_map(text);
        let unique = text("kind").and_then(|kind| kind.rsplit('.').next());
        let holds: &[&str] = match unique {
            Some("external_id") => &["external"],
            Some("domain") => &["domains"],
            Some("point" | "point_number" | "contact_point") => &["points", "contact_point"],
            _ => &[],
        };
        let listed = members_of(text("code").unwrap_or_default());
        let all = own.chain(unique).chain(holds.iter().copied()).chain(listed.iter().copied());
        all.map(str::to_owned).collect()
    }
}

fn members_of(code: &str) -> &'static [&'static str] {
    MEMBERS.iter().find(|(codes, _)| codes.contains(&code)).map_or(&[], |(_, members)| members)
}

/// What the outside may know of a refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusalType {
    /// The permanent word, such as `backward`.
    pub code: String,
    /// None: any command can meet it.
    pub aggregate: Option<&'static str>,
    /// What it tells beside its code.
    pub tells: Vec<String>,
    /// As of [`Refusal::members`], without what a refusal says of itself.
    pub members: &'static [&'static str],
}

/// All refusals of one enum, by its JSON Schema; with those of the enums that it passes on.
pub(crate) fn described(schema: &Value, aggregate: Option<&'static str>) -> Vec<RefusalType> {
    let mut found = Vec::new();
    collect(schema, schema, &mut |code, tells| {
        let members = members_of(code);
        found.push(RefusalType { code: code.to_owned(), aggregate, tells, members });
    });
    found
}

fn collect(root: &Value, schema: &Value, found: &mut impl FnMut(&str, Vec<String>)) {
    let referred = schema["$ref"].as_str().and_then(|path| root.pointer(path.strip_prefix('#')?));
    if let Some(code) = schema["properties"]["code"]["const"].as_str() {
        let names = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
        let all = names(schema).into_iter().chain(referred.map(names).unwrap_or_default());
        // Sorted, also where another crate of the build makes maps keep their order.
        let tells: BTreeSet<String> = all.map(|(name, _)| name).filter(|name| name != "code").collect();
        found(code, tells.into_iter().collect());
        return;
    }
    if let Some(referred) = referred {
        return collect(root, referred, found);
    }
    for several in ["oneOf", "anyOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            collect(root, one, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MEMBERS, RefusalType};
    use crate::{command_types, refusal_types};
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    fn names(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                found.extend(
                    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()),
                );
                members.values().for_each(|schema| names(schema, found));
            }
            Value::Array(schemas) => schemas.iter().for_each(|schema| names(schema, found)),
            _ => {}
        }
    }

    #[test]
    fn what_refusals_are_about_are_members_of_commands_that_meet_them() {
        let mut commands: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for known in command_types() {
            names(&known.schema, commands.entry(known.aggregate).or_default());
        }
        let all = refusal_types();
        let (mut listed, mut strange) = (BTreeSet::new(), Vec::new());
        for (codes, members) in MEMBERS {
            for code in *codes {
                assert!(listed.insert(code), "{code} is listed twice");
                let of: Vec<_> = all.iter().filter(|known| known.code == *code).collect();
                assert!(!of.is_empty(), "no refusal has the code {code}");
                let own = |known: &RefusalType| &commands[known.aggregate.expect("one aggregate's")];
                let has = |member: &str| of.iter().any(|known| own(known).contains(member));
                strange.extend(members.iter().filter(|member| !has(member)).map(|member| (code, member)));
            }
        }
        assert!(strange.is_empty(), "no command that meets these has such a member: {strange:?}");
    }
}
