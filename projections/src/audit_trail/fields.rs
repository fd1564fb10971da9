//! What each event changes, as fields of its record: one row per event type.

/// How an event says what becomes of a field. Its members are those of `data` and its sealed texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// Every member that no other rule of the row uses is a field of that name.
    Members,
    /// The same, of one of several things: `points.2.value`.
    Item {
        of: &'static str,
        key: &'static str,
    },
    /// One of several things is no more.
    Gone {
        of: &'static str,
        key: &'static str,
    },
    /// Members that are fields, and empty where they are absent.
    Replaces(&'static [&'static str]),
    /// The same, if the first one is true.
    ReplacesIf(&'static str, &'static [&'static str]),
    /// A field goes from one member to another; empty, where it goes from or to nothing.
    Change {
        field: &'static str,
        from: &'static str,
        to: &'static str,
    },
    /// The same, of one of several things; without a field, the thing itself.
    ItemChange {
        of: &'static str,
        key: &'static str,
        field: &'static str,
        from: &'static str,
        to: &'static str,
    },
    /// A member under another name.
    Set {
        field: &'static str,
        to: &'static str,
    },
    /// A field of that word.
    Is(&'static str, &'static str),
    Yes(&'static str),
    No(&'static str),
    Cleared(&'static str),
    /// A word for one of several things.
    Mark {
        of: &'static str,
        key: &'static str,
        field: &'static str,
        word: &'static str,
    },
    /// One more of several things, which the members say, and one fewer.
    Added(&'static str),
    Removed(&'static str),
    /// `changes`, each of a field from a value to another, and what is sealed of them.
    Listed,
    /// Members that only keep the books, or say what another rule says.
    Aside(&'static [&'static str]),
}

use Rule::{
    Added, Aside, Change, Cleared, Gone, Is, Item, ItemChange, Listed, Mark, Members, No, Removed, Replaces,
    ReplacesIf, Set, Yes,
};

const fn change(field: &'static str) -> Rule {
    Change { field, from: "from", to: "to" }
}

const fn item(of: &'static str, key: &'static str) -> Rule {
    Item { of, key }
}

const fn gone(of: &'static str, key: &'static str) -> Rule {
    Gone { of, key }
}

const fn set(field: &'static str, to: &'static str) -> Rule {
    Set { field, to }
}

const fn mark(of: &'static str, key: &'static str, field: &'static str, word: &'static str) -> Rule {
    Mark { of, key, field, word }
}

const NAMES: &[&str] = &["given", "family", "full"];
const OPEN: Rule = Is("state", "open");
const MERGED: &[Rule] = &[Listed, Aside(&["before", "after"]), Members];
const MERGED_INTO: &[Rule] = &[set("merged_into", "survivor")];
const SEPARATED: &[Rule] = &[Cleared("merged_into")];

/// What an event only reports, it does not change.
const REPORT: &[Rule] = &[];

/// In the order of `kvali_domain::history::SHAPES`.
pub(super) const TABLE: &[(&str, &[Rule])] = &[
    ("pipeline.created", &[Members]),
    ("pipeline.renamed", &[change("name")]),
    ("pipeline.stage_added", &[Added("stages")]),
    ("pipeline.stage_renamed", &[stage_change("name")]),
    ("pipeline.stages_reordered", &[Members]),
    ("pipeline.entry_stages_set", &[set("entry_stages", "stages")]),
    ("pipeline.movement_policy_set", &[Members]),
    ("pipeline.stage_forecast_set", &[item("stages", "stage")]),
    ("pipeline.stage_requirements_set", &[REQUIREMENTS, item("stages", "stage")]),
    ("pipeline.stage_limits_set", &[item("stages", "stage")]),
    ("pipeline.stage_hint_set", &[item("stages", "stage")]),
    ("pipeline.stage_task_templates_set", &[item("stages", "stage")]),
    (
        "pipeline.stage_retired",
        &[mark("stages", "stage", "state", "retired"), REQUIREMENTS, item("stages", "stage")],
    ),
    ("pipeline.archived", &[Yes("archived")]),
    ("pipeline.recycle_pipeline_linked", &[change("recycle_pipeline")]),
    ("loss_reason.defined", &[item("loss_reasons", "reason")]),
    ("loss_reason.retired", &[mark("loss_reasons", "reason", "state", "retired")]),
    ("user.registered", &[Members]),
    ("user.activated", &[Yes("active")]),
    ("user.deactivated", &[No("active")]),
    ("contact.created", &[NAMED, Members]),
    ("contact.renamed", &[Replaces(NAMES)]),
    ("contact.point_added", POINT_ADDED),
    ("contact.primary_point_set", &[item("primary_point", "kind")]),
    ("contact.point_verified", &[mark("points", "point", "state", "verified")]),
    ("contact.point_invalidated", &[mark("points", "point", "state", "invalid")]),
    ("contact.point_removed", &[gone("points", "point")]),
    ("contact.address_changed", &[Replaces(&["country", "lines"])]),
    ("contact.fields_changed", &[Listed]),
    ("contact.affiliation_started", &[item("affiliations", "company")]),
    ("contact.affiliation_ended", &[item("affiliations", "company")]),
    ("contact.relation_set", &[Added("relations")]),
    ("contact.relation_removed", &[Removed("relations")]),
    ("contact.assigned", &[change("owner")]),
    ("contact.lifecycle_stage_changed", &[change("lifecycle_stage")]),
    ("contact.tagged", &[Added("tags")]),
    ("contact.untagged", &[Removed("tags")]),
    ("contact.archived", &[Yes("archived")]),
    ("contact.restored", &[No("archived")]),
    ("contact.merged", MERGED),
    ("contact.unmerged", MERGED),
    ("contact.merged_into", MERGED_INTO),
    ("contact.separated", SEPARATED),
    ("company.created", &[Members]),
    ("company.renamed", &[Members]),
    ("company.domains_set", &[Change { field: "domains", from: "removed", to: "added" }]),
    (
        "company.legal_ids_set",
        &[
            Change { field: "legal_ids", from: "replaced", to: "known" },
            Change { field: "tax_id", from: "old_tax_id", to: "tax_id" },
            Change { field: "registration_id", from: "old_registration_id", to: "registration_id" },
        ],
    ),
    ("company.parent_set", &[change("parent")]),
    ("company.fields_changed", &[Listed]),
    ("company.assigned", &[change("owner")]),
    ("company.territory_set", &[change("territory")]),
    ("company.contract_terms_granted", &[Aside(&["holds"]), item("contract_terms", "terms")]),
    ("company.contract_terms_ended", &[Aside(&["releases"]), item("contract_terms", "terms")]),
    ("company.archived", &[Yes("archived")]),
    ("company.restored", &[No("archived")]),
    ("company.merged", MERGED),
    ("company.unmerged", MERGED),
    ("company.merged_into", MERGED_INTO),
    ("company.separated", SEPARATED),
    ("user.invited", &[Members]),
    ("user.absence_planned", &[item("absences", "absence")]),
    ("user.absence_started", &[mark("absences", "absence", "state", "started")]),
    ("user.absence_ended", &[mark("absences", "absence", "state", "ended")]),
    ("user.absence_cancelled", &[mark("absences", "absence", "state", "cancelled")]),
    ("user.capacity_set", &[item("capacity", "work")]),
    ("team.created", &[Members]),
    ("team.renamed", &[change("name")]),
    ("team.member_added", &[Added("members")]),
    ("team.member_removed", &[Removed("members")]),
    ("team.manager_set", &[change("manager")]),
    ("team.parent_set", &[change("parent")]),
    ("calendar.defined", &[Members]),
    ("calendar.holiday_added", &[Added("holidays")]),
    ("handover.work_handed_over", &[Members]),
    ("handover.work_returned", &[Set { field: "returned_to", to: "to" }, set("returned", "items"), Members]),
    ("deal.opened", &[OPEN, Members]),
    ("deal.stage_changed", STAGE_CHANGE),
    (
        "deal.pipeline_changed",
        &[Change { field: "pipeline", from: "from_pipeline", to: "to_pipeline" }, change("stage")],
    ),
    ("deal.stage_corrected", STAGE_CHANGE),
    ("deal.assigned", &[change("owner")]),
    ("deal.value_changed", &[change("value")]),
    ("deal.expected_close_changed", &[change("expected_close")]),
    ("deal.won", &[Is("state", "won"), CLOSED, set("value", "value")]),
    ("deal.lost", &[Is("state", "lost"), CLOSED, set("loss_reason", "reason")]),
    ("deal.reopened", &[OPEN, change("stage")]),
    ("task.created", &[OPEN, Members]),
    ("task.edited", &[Members]),
    ("task.reassigned", &[change("assignee")]),
    ("task.rescheduled", &[change("due")]),
    ("task.snoozed", &[set("snoozed_until", "until")]),
    ("task.started", &[Is("state", "started")]),
    ("task.completed", &[Is("state", "completed"), set("result", "result"), set("late", "late")]),
    ("task.reopened", &[OPEN]),
    ("task.cancelled", &[Is("state", "cancelled")]),
    ("task.deferred", &[Is("state", "deferred"), set("deferred_until", "until")]),
    ("task.checklist_item_added", &[item("checklist", "item")]),
    ("task.checklist_item_ticked", &[mark("checklist", "item", "state", "done")]),
    ("task.reminder_set", &[Added("reminders")]),
    ("task.reminder_cleared", &[Removed("reminders")]),
    ("task.linked", &[Added("targets")]),
    ("task.unlinked", &[Removed("targets")]),
    ("task.reminder_fired", REPORT),
    ("task.became_overdue", REPORT),
    ("task.overdue_cause_determined", REPORT),
    ("call.started", &[Is("state", "started"), Members]),
    ("call.answered", &[Is("state", "answered"), set("answered_by", "by")]),
    ("call.ended", &[Is("state", "ended"), Members]),
    ("call.missed", &[Is("state", "missed"), Members]),
    ("call.matched", &[Change { field: "contact", from: "from", to: "contact" }, Members]),
    ("call.ambiguous", &[Members]),
    ("call.unmatched", &[Cleared("contact")]),
    ("call.disposition_set", &[change("disposition")]),
    ("call.recording_attached", &[item("recordings", "number")]),
    ("call.missed_returned", &[set("returned_by", "by")]),
    ("conversation.opened", &[OPEN, Members]),
    ("conversation.reopened", &[OPEN]),
    ("conversation.message_received", &[item("messages", "number")]),
    ("conversation.message_sent", &[item("messages", "number")]),
    ("conversation.message_delivered", &[mark("messages", "message", "state", "delivered")]),
    (
        "conversation.message_failed",
        &[mark("messages", "message", "state", "failed"), item("messages", "message")],
    ),
    ("conversation.message_read", &[mark("messages", "message", "state", "read")]),
    ("conversation.assigned", &[change("owner")]),
    ("conversation.closed", &[Is("state", "closed")]),
    ("conversation.linked", &[set("about", "to")]),
    ("note.added", &[Members]),
    ("note.revised", &[Members]),
    ("note.redacted", &[Yes("redacted")]),
    ("note.pinned", &[Yes("pinned")]),
    ("note.unpinned", &[No("pinned")]),
    ("note.file_attached", &[item("files", "file")]),
    ("note.file_detached", &[gone("files", "file")]),
    ("meeting.scheduled", &[Is("state", "scheduled"), Members]),
    ("meeting.rescheduled", &[Is("state", "scheduled"), change("time")]),
    ("meeting.attendance_recorded", &[item("attendance", "attendee")]),
    ("meeting.held", &[Is("state", "held"), set("result", "result")]),
    ("meeting.no_show", &[Is("state", "no_show")]),
    ("meeting.cancelled", &[Is("state", "cancelled")]),
    ("deal.linked_to_previous", &[Members]),
    ("deal.renamed", &[Members]),
    ("deal.contact_added", &[Aside(&["sole_before"]), item("contacts", "contact")]),
    ("deal.contact_removed", &[gone("contacts", "contact")]),
    ("deal.primary_contact_set", &[change("primary_contact")]),
    ("deal.company_set", &[change("company")]),
    ("deal.line_added", &[line("", "is")]),
    ("deal.line_changed", &[line("from", "to")]),
    ("deal.line_removed", &[line("was", "")]),
    ("deal.probability_overridden", &[Members]),
    ("deal.probability_override_cleared", &[Change { field: "probability", from: "from", to: "" }]),
    ("deal.forecast_category_set", &[change("forecast_category")]),
    ("deal.next_step_set", &[set("next_step", "text"), set("next_task", "task")]),
    ("deal.put_on_hold", &[Yes("on_hold"), set("on_hold_until", "until")]),
    ("deal.resumed", &[No("on_hold"), Cleared("on_hold_until")]),
    ("deal.revived", &[Members]),
    ("deal.handed_back", &[set("handed_back_as", "deal"), set("handed_back_to", "pipeline")]),
    ("deal.approval_requested", &[mark("approvals", "approval", "state", "requested"), APPROVAL]),
    ("deal.approval_granted", &[mark("approvals", "approval", "state", "granted"), APPROVAL]),
    ("deal.approval_refused", &[mark("approvals", "approval", "state", "refused"), APPROVAL]),
    ("deal.fields_changed", &[Listed]),
    ("deal.tagged", &[Added("tags")]),
    ("deal.untagged", &[Removed("tags")]),
    ("deal.followed", &[Added("followers")]),
    ("deal.unfollowed", &[Removed("followers")]),
    ("deal.archived", &[Yes("archived")]),
    ("deal.restored", &[No("archived")]),
    ("deal.stage_limit_exceeded", REPORT),
    ("deal.went_idle", REPORT),
    ("deal.left_without_task", REPORT),
    ("deal.merged", MERGED),
    ("deal.unmerged", MERGED),
    ("deal.merged_into", MERGED_INTO),
    ("deal.separated", SEPARATED),
    ("duplicate.rejected", &[Is("decision", "rejected"), Members]),
    ("duplicate.confirmed", &[Is("decision", "confirmed"), Members]),
    ("lead.captured", &[NAMED, Members]),
    ("lead.point_added", POINT_ADDED),
    ("lead.renamed", &[ReplacesIf("named", NAMES), ReplacesIf("of_company", &["company_name"])]),
    ("lead.fields_changed", &[Listed]),
    ("lead.assigned", &[change("owner")]),
    ("lead.unassigned", &[Change { field: "owner", from: "from", to: "" }]),
    ("lead.accepted", &[set("accepted_by", "by")]),
    ("lead.declined", &[set("declined_by", "by")]),
    ("lead.contact_attempted", &[item("attempts", "attempt")]),
    ("lead.first_responded", &[Yes("responded")]),
    ("lead.status_changed", &[change("status")]),
    ("lead.scored", &[Members]),
    ("lead.qualified", &[Is("state", "qualified")]),
    ("lead.disqualified", &[Is("state", "disqualified"), set("loss_reason", "reason")]),
    ("lead.converted", &[Is("state", "converted"), Aside(&["owner"]), Members]),
    ("lead.attached_to_deal", &[Is("state", "attached"), Aside(&["owner"]), Members]),
    ("lead.recycled", &[Is("state", "recycled")]),
    ("lead.tagged", &[Added("tags")]),
    ("lead.untagged", &[Removed("tags")]),
    ("lead.archived", &[Yes("archived")]),
    ("lead.restored", &[No("archived")]),
    ("lead.merged", MERGED),
    ("lead.unmerged", MERGED),
    ("lead.merged_into", MERGED_INTO),
    ("lead.separated", SEPARATED),
    ("subject.erased", &[Yes("erased")]),
    ("field.defined", &[item("fields", "field")]),
    ("field.options_changed", &[item("fields", "field")]),
    ("field.renamed", &[field_change("label")]),
    ("field.classified", &[field_change("class")]),
    ("field.retired", &[mark("fields", "field", "state", "retired")]),
    ("source.defined", &[item("sources", "source")]),
    ("tag.defined", &[item("tags", "tag")]),
    ("tag.renamed", &[ItemChange { of: "tags", key: "tag", field: "name", from: "from", to: "to" }]),
    ("tag.merged", &[item("tags", "tag")]),
    ("activity_type.defined", &[item("activity_types", "activity_type")]),
    ("task_template.defined", &[item("task_templates", "template")]),
    ("funnel.defined", &[Members]),
    ("funnel.redefined", &[Members]),
    ("funnel.retired", &[Yes("retired")]),
    ("access.role_granted", &[Added("roles")]),
    ("access.role_revoked", &[Removed("roles")]),
    ("access.api_key_issued", &[Aside(&["digest"]), item("keys", "key")]),
    ("access.api_key_revoked", &[mark("keys", "key", "state", "revoked")]),
    ("exchange_rate.set", &[Added("rates")]),
    ("match_rule.defined", &[Members]),
];

const STAGE_CHANGE: &[Rule] = &[change("stage")];
const CLOSED: Rule = Change { field: "stage", from: "from", to: "stage" };
const POINT_ADDED: &[Rule] = &[Aside(&["meant"]), item("points", "point")];
const APPROVAL: Rule = item("approvals", "approval");
const REQUIREMENTS: Rule = Aside(&["newly_required", "no_longer_required"]);
const NAMED: Rule = Aside(&["named", "of_company"]);

const fn line(from: &'static str, to: &'static str) -> Rule {
    ItemChange { of: "lines", key: "line", field: "", from, to }
}

const fn stage_change(field: &'static str) -> Rule {
    ItemChange { of: "stages", key: "stage", field, from: "from", to: "to" }
}

const fn field_change(field: &'static str) -> Rule {
    ItemChange { of: "fields", key: "field", field, from: "from", to: "to" }
}

/// Why something was done: told as the entry's comment, and no field of the record.
pub(super) const WHY: [&str; 3] = ["reason", "comment", "evidence"];

/// The rules of an event type; of one that has none, every member is a field.
pub(super) fn rules(event_type: &str) -> &'static [Rule] {
    TABLE.iter().find(|(of, _)| *of == event_type).map_or(&[Members], |(_, rules)| rules)
}
