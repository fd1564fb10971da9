//! Every change that the shape of an event has been through. Stored bytes are never rewritten; older shapes
//! are read through the changes that came after them.

use crate::DecodeError;
use serde_json::Value;
use std::borrow::Cow;

/// One released shape of an event's `data`.
pub struct Shape {
    pub event_type: &'static str,
    pub version: i16,
    /// Turns `data` of the version before into this one.
    pub change: fn(Value) -> Value,
}

const fn first(event_type: &'static str) -> Shape {
    Shape { event_type, version: 1, change: std::convert::identity }
}

/// In order of version within a type; each row has an example under `schemas/events`.
pub const SHAPES: &[Shape] = &[
    first("pipeline.created"),
    first("pipeline.renamed"),
    first("pipeline.stage_added"),
    first("pipeline.stage_renamed"),
    first("pipeline.stages_reordered"),
    first("pipeline.entry_stages_set"),
    first("pipeline.movement_policy_set"),
    first("pipeline.stage_forecast_set"),
    first("pipeline.stage_requirements_set"),
    first("pipeline.stage_limits_set"),
    first("pipeline.stage_hint_set"),
    first("pipeline.stage_task_templates_set"),
    first("pipeline.stage_retired"),
    first("pipeline.archived"),
    first("pipeline.recycle_pipeline_linked"),
    first("loss_reason.defined"),
    first("loss_reason.retired"),
    first("user.registered"),
    first("user.activated"),
    first("user.deactivated"),
    first("contact.created"),
    first("contact.renamed"),
    first("contact.point_added"),
    first("contact.primary_point_set"),
    first("contact.point_verified"),
    first("contact.point_invalidated"),
    first("contact.point_removed"),
    first("contact.address_changed"),
    first("contact.fields_changed"),
    first("contact.affiliation_started"),
    first("contact.affiliation_ended"),
    first("contact.relation_set"),
    first("contact.relation_removed"),
    first("contact.assigned"),
    first("contact.lifecycle_stage_changed"),
    first("contact.tagged"),
    first("contact.untagged"),
    first("contact.archived"),
    first("contact.restored"),
    first("contact.merged"),
    first("contact.unmerged"),
    first("contact.merged_into"),
    first("contact.separated"),
    first("company.created"),
    first("company.renamed"),
    first("company.domains_set"),
    first("company.legal_ids_set"),
    first("company.parent_set"),
    first("company.fields_changed"),
    first("company.assigned"),
    first("company.territory_set"),
    first("company.contract_terms_granted"),
    first("company.contract_terms_ended"),
    first("company.archived"),
    first("company.restored"),
    first("company.merged"),
    first("company.unmerged"),
    first("company.merged_into"),
    first("company.separated"),
    first("user.invited"),
    first("user.absence_planned"),
    first("user.absence_started"),
    first("user.absence_ended"),
    first("user.absence_cancelled"),
    first("user.capacity_set"),
    first("team.created"),
    first("team.renamed"),
    first("team.member_added"),
    first("team.member_removed"),
    first("team.manager_set"),
    first("team.parent_set"),
    first("calendar.defined"),
    first("calendar.holiday_added"),
    first("handover.work_handed_over"),
    first("handover.work_returned"),
    first("deal.opened"),
    first("deal.stage_changed"),
    first("deal.pipeline_changed"),
    first("deal.stage_corrected"),
    first("deal.assigned"),
    first("deal.value_changed"),
    first("deal.expected_close_changed"),
    first("deal.won"),
    first("deal.lost"),
    first("deal.reopened"),
    first("task.created"),
    first("task.edited"),
    first("task.reassigned"),
    first("task.rescheduled"),
    first("task.snoozed"),
    first("task.started"),
    first("task.completed"),
    first("task.reopened"),
    first("task.cancelled"),
    first("task.deferred"),
    first("task.checklist_item_added"),
    first("task.checklist_item_ticked"),
    first("task.reminder_set"),
    first("task.reminder_cleared"),
    first("task.linked"),
    first("task.unlinked"),
    first("task.reminder_fired"),
    first("task.became_overdue"),
    first("task.overdue_cause_determined"),
    first("call.started"),
    first("call.answered"),
    first("call.ended"),
    first("call.missed"),
    first("call.matched"),
    first("call.ambiguous"),
    first("call.unmatched"),
    first("call.disposition_set"),
    first("call.recording_attached"),
    first("call.missed_returned"),
    first("conversation.opened"),
    first("conversation.reopened"),
    first("conversation.message_received"),
    first("conversation.message_sent"),
    first("conversation.message_delivered"),
    first("conversation.message_failed"),
    first("conversation.message_read"),
    first("conversation.assigned"),
    first("conversation.closed"),
    first("conversation.linked"),
    first("note.added"),
    first("note.revised"),
    first("note.redacted"),
    first("note.pinned"),
    first("note.unpinned"),
    first("note.file_attached"),
    first("note.file_detached"),
    first("meeting.scheduled"),
    first("meeting.rescheduled"),
    first("meeting.attendance_recorded"),
    first("meeting.held"),
    first("meeting.no_show"),
    first("meeting.cancelled"),
    first("deal.linked_to_previous"),
    first("deal.renamed"),
    first("deal.contact_added"),
    first("deal.contact_removed"),
    first("deal.primary_contact_set"),
    first("deal.company_set"),
    first("deal.line_added"),
    first("deal.line_changed"),
    first("deal.line_removed"),
    first("deal.probability_overridden"),
    first("deal.probability_override_cleared"),
    first("deal.forecast_category_set"),
    first("deal.next_step_set"),
    first("deal.put_on_hold"),
    first("deal.resumed"),
    first("deal.revived"),
    first("deal.handed_back"),
    first("deal.approval_requested"),
    first("deal.approval_granted"),
    first("deal.approval_refused"),
    first("deal.fields_changed"),
    first("deal.tagged"),
    first("deal.untagged"),
    first("deal.followed"),
    first("deal.unfollowed"),
    first("deal.archived"),
    first("deal.restored"),
    first("deal.stage_limit_exceeded"),
    first("deal.went_idle"),
    first("deal.left_without_task"),
    first("deal.merged"),
    first("deal.unmerged"),
    first("deal.merged_into"),
    first("deal.separated"),
    first("duplicate.rejected"),
    first("duplicate.confirmed"),
    first("lead.captured"),
    first("lead.point_added"),
    first("lead.renamed"),
    first("lead.fields_changed"),
    first("lead.assigned"),
    first("lead.unassigned"),
    first("lead.accepted"),
    first("lead.declined"),
    first("lead.contact_attempted"),
    first("lead.first_responded"),
    first("lead.status_changed"),
    first("lead.scored"),
    first("lead.qualified"),
    first("lead.disqualified"),
    first("lead.converted"),
    first("lead.attached_to_deal"),
    first("lead.recycled"),
    first("lead.tagged"),
    first("lead.untagged"),
    first("lead.archived"),
    first("lead.restored"),
    first("lead.merged"),
    first("lead.unmerged"),
    first("lead.merged_into"),
    first("lead.separated"),
    first("subject.erased"),
    first("field.defined"),
    first("field.options_changed"),
    first("field.renamed"),
    first("field.classified"),
    first("field.retired"),
    first("source.defined"),
    first("tag.defined"),
    first("tag.renamed"),
    first("tag.merged"),
    first("activity_type.defined"),
    first("task_template.defined"),
    first("funnel.defined"),
    first("funnel.redefined"),
    first("funnel.retired"),
    first("access.role_granted"),
    first("access.role_revoked"),
    first("access.api_key_issued"),
    first("access.api_key_revoked"),
    first("exchange_rate.set"),
    first("match_rule.defined"),
];

/// The shape that events of this type are written in today; 0 for a type without a row.
pub fn current(event_type: &str) -> i16 {
    SHAPES.iter().filter(|shape| shape.event_type == event_type).map(|shape| shape.version).max().unwrap_or(0)
}

/// The changes to apply to `data` of `version`; `None` if there never was such a shape.
pub fn since(event_type: &str, version: i16) -> Option<impl Iterator<Item = &'static Shape>> {
    changes(SHAPES, event_type, version)
}

fn changes<'a>(
    table: &'a [Shape],
    event_type: &str,
    version: i16,
) -> Option<impl Iterator<Item = &'a Shape>> {
    let known = table.iter().any(|shape| shape.event_type == event_type && shape.version == version);
    let event_type = event_type.to_owned();
    known.then(move || {
        table.iter().filter(move |shape| shape.event_type == event_type && shape.version > version)
    })
}

/// `data` of any shape in `table`, in the present one; bytes of the present shape are left as they are.
pub(crate) fn present<'d>(
    table: &[Shape],
    event_type: &str,
    version: i16,
    data: &'d str,
) -> Result<Cow<'d, str>, DecodeError> {
    let named = || event_type.to_owned();
    if !table.iter().any(|shape| shape.event_type == event_type) {
        return Err(DecodeError::UnknownType { event_type: named() });
    }
    let mut changes = changes(table, event_type, version)
        .ok_or_else(|| DecodeError::UnknownShape { event_type: named(), version })?
        .peekable();
    if changes.peek().is_none() {
        return Ok(data.into());
    }
    let value: Value = serde_json::from_str(data)
        .map_err(|source| DecodeError::Malformed { event_type: named(), source })?;
    Ok(changes.fold(value, |value, shape| (shape.change)(value)).to_string().into())
}

#[cfg(test)]
mod tests;
