//! Headers, data and trailers on their way through the filters: Envoy's filter manager, for both directions.

use crate::context::Action;
use crate::effect::{Effect, ResetReason};
use crate::guest::DataVerdict;
use crate::stream::{Iteration, Lane, SharedVm, Stream};
use crate::stream_data::{Direction, Half};
use std::rc::Rc;

/// A stream while something moves through it.
pub(crate) struct Chain<'a> {
    pub(crate) stream: &'a mut Stream,
    /// What guests asked for on behalf of other streams.
    pub(crate) elsewhere: &'a mut Vec<(SharedVm, u32, Action)>,
}

impl Chain<'_> {
    /// Nothing may move in this direction any more.
    fn is_over(&self, direction: Direction) -> bool {
        let side = self.stream.sides.of(direction);
        self.stream.reset || side.aborted || (direction == Direction::Request && self.stream.replied)
    }

    fn lane(&mut self, direction: Direction, index: usize) -> Option<&mut Lane> {
        self.stream.filters.get_mut(index).map(|filter| filter.lanes.of_mut(direction))
    }

    pub(crate) fn with_half<T>(&self, direction: Direction, work: impl FnOnce(&mut Half) -> T) -> T {
        work(self.stream.data.borrow_mut().halves.of_mut(direction))
    }

    pub(crate) fn has_trailers(&self, direction: Direction) -> bool {
        self.with_half(direction, |half| half.trailers.is_some())
    }

    /// Headers go to the filters from a position on, then out.
    pub(crate) fn headers(&mut self, direction: Direction, start: usize, end: bool) {
        let mut position = start;
        while let Some(index) = self.stream.index(direction, position) {
            if self.is_over(direction) {
                return;
            }
            if let Some(lane) = self.lane(direction, index) {
                lane.ended = end;
            }
            let verdict = self.call_headers(direction, index, end);
            if self.finish_callback(direction) {
                return;
            }
            let Some(lane) = self.lane(direction, index) else { return };
            if verdict != Iteration::Continue {
                lane.state = verdict;
                return;
            }
            lane.headers_continued = true;
            position += 1;
        }
        if !self.is_over(direction) {
            self.emit_headers(direction, end);
        }
    }

    /// Data goes to the filters from a position on, then out. It is the chunk that came in, or what was held back.
    pub(crate) fn data(&mut self, direction: Direction, start: usize, from_buffer: bool, end: bool) {
        let outer = self.with_half(direction, |half| std::mem::replace(&mut half.flows_from_buffer, from_buffer));
        self.flow_data(direction, start, end);
        self.with_half(direction, |half| half.flows_from_buffer = outer);
    }

    fn flow_data(&mut self, direction: Direction, start: usize, end: bool) {
        let had_trailers = self.has_trailers(direction);
        let mut trailers_from = None;
        let mut position = start;
        while let Some(index) = self.stream.index(direction, position) {
            if self.is_over(direction) {
                return;
            }
            let has_trailers = self.has_trailers(direction);
            let Some(lane) = self.lane(direction, index) else { return };
            if lane.state.stops_all() {
                let streaming = lane.state == Iteration::StopAllWatermark;
                self.hold_back(direction, streaming);
                return;
            }
            if lane.ended {
                return;
            }
            let lane_end = end && !has_trailers;
            lane.ended = lane_end;
            let verdict = self.call_data(direction, index, lane_end);
            if self.finish_callback(direction) {
                return;
            }
            if !had_trailers && trailers_from.is_none() && self.has_trailers(direction) {
                trailers_from = Some(position + 1);
            }
            if !self.after_data(direction, index, verdict) {
                return;
            }
            position += 1;
        }
        if self.is_over(direction) {
            return;
        }
        let has_trailers = self.has_trailers(direction);
        self.emit_data(direction, end && !has_trailers);
        if let Some(from) = trailers_from {
            self.trailers(direction, from);
        }
    }

    /// True: the next filter gets the data.
    fn after_data(&mut self, direction: Direction, index: usize, verdict: DataVerdict) -> bool {
        let ended = self.stream.sides.of(direction).ended;
        let Some(lane) = self.lane(direction, index) else { return false };
        match verdict {
            DataVerdict::Continue if lane.state == Iteration::Continue => return true,
            DataVerdict::Continue => {
                self.with_half(direction, Half::hold_back);
                self.resume(direction, index);
            }
            DataVerdict::Buffer | DataVerdict::Watermark => {
                lane.state = Iteration::StopSingle;
                self.hold_back(direction, verdict == DataVerdict::Watermark);
            }
            DataVerdict::NoBuffer => {
                lane.state = Iteration::StopSingle;
                self.with_half(direction, |half| {
                    half.chunk.clear();
                    // So that the end is passed on when the filter resumes.
                    if ended && half.trailers.is_none() {
                        half.buffer.get_or_insert_default();
                    }
                });
            }
        }
        false
    }

    fn hold_back(&mut self, direction: Direction, streaming: bool) {
        self.stream.sides.of_mut(direction).streaming = streaming;
        self.with_half(direction, Half::hold_back);
        self.check_limit(direction);
    }

    /// Trailers go to the filters from a position on, then out.
    pub(crate) fn trailers(&mut self, direction: Direction, start: usize) {
        let mut position = start;
        while let Some(index) = self.stream.index(direction, position) {
            if self.is_over(direction) {
                return;
            }
            let Some(lane) = self.lane(direction, index) else { return };
            if lane.state.stops_all() {
                return;
            }
            lane.ended = true;
            let go_on = self.call_trailers(direction, index);
            if self.finish_callback(direction) {
                return;
            }
            let Some(lane) = self.lane(direction, index) else { return };
            match (go_on, lane.state) {
                (true, Iteration::Continue) => {}
                (true, _) => {
                    self.resume(direction, index);
                    return;
                }
                (false, Iteration::Continue) => {
                    lane.state = Iteration::StopSingle;
                    return;
                }
                (false, _) => return,
            }
            position += 1;
        }
        if !self.is_over(direction) {
            self.emit_trailers(direction);
        }
    }

    /// A filter that stopped goes on: what was held back moves to the next filter, or to itself after a full stop.
    pub(crate) fn resume(&mut self, direction: Direction, index: usize) {
        if self.is_over(direction) || self.stream.sides.of(direction).finished {
            return;
        }
        let position = self.stream.position(direction, index);
        let ended = self.stream.sides.of(direction).ended;
        let Some(lane) = self.lane(direction, index) else { return };
        lane.from_current = lane.state.stops_all();
        lane.state = Iteration::Continue;
        let start = if lane.from_current { position } else { position + 1 };
        if !std::mem::replace(&mut lane.headers_continued, true) {
            let empty = self.with_half(direction, |half| half.buffer.is_none() && half.trailers.is_none());
            self.headers(direction, position + 1, ended && empty);
        }
        let had_trailers = self.has_trailers(direction);
        let held = self.with_half(direction, |half| half.buffer.is_some());
        if held && !self.is_over(direction) {
            self.data(direction, start, true, ended && !had_trailers);
        }
        if had_trailers && !self.is_over(direction) && !self.stream.sides.of(direction).finished {
            self.trailers(direction, start);
        }
        if let Some(lane) = self.lane(direction, index) {
            lane.from_current = false;
        }
    }

    /// After a callback: sends a local reply that waits. True: this direction is over.
    fn finish_callback(&mut self, direction: Direction) -> bool {
        if let Some(reply) = self.stream.prepared.take() {
            self.send_reply(reply);
        }
        self.is_over(direction)
    }

    /// Does what guests of a VM asked for during the callback that has just returned.
    pub(crate) fn run_actions(&mut self, vm: &SharedVm) {
        let actions = std::mem::take(&mut vm.borrow_mut().state().actions);
        for (context, action) in actions {
            match self.stream.find(vm, context) {
                Some(index) => self.act(index, action),
                None => self.elsewhere.push((Rc::clone(vm), context, action)),
            }
        }
    }

    pub(crate) fn act(&mut self, index: usize, action: Action) {
        match action {
            Action::Continue(direction) => self.resume(direction, index),
            Action::Reply(reply) => self.local_reply(reply),
            Action::Close => self.reset(ResetReason::Filter),
        }
    }

    pub(crate) fn reset(&mut self, reason: ResetReason) {
        if !std::mem::replace(&mut self.stream.reset, true) {
            self.stream.effects.push(Effect::Reset(reason));
        }
    }
}
