//! What people do about deals: calls, messages, notes, meetings; and what they do to the deals themselves.

use super::super::clock::occurred;
use super::super::record::{ActivityRow, TalkRow};
use super::Facts;
use super::wanted::deals_among;
use kvali_domain::{ActorId, DealId, call, conversation, meeting, note};
use kvali_eventstore::Opened;
use uuid::Uuid;

impl Facts {
    /// Somebody did something about these deals; of merged ones, also about those that they are now.
    pub(super) fn worked_at(&mut self, deals: &[DealId], actor: ActorId, opened: &Opened) {
        let Some(at) = occurred(opened) else { return };
        let position = opened.recorded.position;
        let mut about = Vec::new();
        for deal in deals {
            self.up_from(*deal, |deal| {
                deal.touched_at = deal.touched_at.max(Some(at));
                about.push(deal.deal_id);
            });
        }
        about.sort();
        about.dedup();
        let row = |deal_id| ActivityRow { deal_id, actor, at, position };
        self.activities.extend(about.into_iter().map(row));
    }

    pub(super) fn call(&mut self, id: Uuid, event: &call::Event, opened: &Opened) {
        match event {
            call::Event::Answered(event) => self.talk(id, |talk| talk.answered_by = Some(event.by)),
            call::Event::Matched(event) => {
                let deals = deals_among(&[event.belongs_to.target()]);
                self.talk(id, |talk| talk.deals = deals);
                self.talked(id, opened);
            }
            call::Event::Ended(_) => self.talked(id, opened),
            _ => {}
        }
    }

    pub(super) fn conversation(&mut self, id: Uuid, event: &conversation::Event, opened: &Opened) {
        match event {
            conversation::Event::Linked(event) => {
                let deals = deals_among(&[event.to]);
                self.talk(id, |talk| talk.deals.extend(deals));
            }
            conversation::Event::MessageSent(_) | conversation::Event::MessageReceived(_) => {
                self.talked(id, opened);
            }
            _ => {}
        }
    }

    pub(super) fn note(&mut self, event: &note::Event, opened: &Opened) {
        if let note::Event::Added(event) = event {
            self.worked_at(&deals_among(&[event.about]), event.author, opened);
        }
    }

    pub(super) fn meeting(&mut self, event: &meeting::Event, opened: &Opened) {
        if let meeting::Event::Held(event) = event {
            self.worked_at(&deals_among(&event.targets), opened.recorded.actor, opened);
        }
    }

    fn talk(&mut self, id: Uuid, change: impl FnOnce(&mut TalkRow)) {
        if self.talks.get(&id).is_none() {
            self.talks.put(TalkRow { talk_id: id, deals: Vec::new(), answered_by: None });
        }
        if let Some(talk) = self.talks.get_mut(&id) {
            change(talk);
        }
    }

    fn talked(&mut self, id: Uuid, opened: &Opened) {
        let Some(talk) = self.talks.get(&id).cloned() else { return };
        let actor = talk.answered_by.map_or(opened.recorded.actor, ActorId::from);
        self.worked_at(&talk.deals, actor, opened);
    }
}
