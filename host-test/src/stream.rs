//! A stream's filters and how far each direction has come.

use crate::effect::{Effect, LocalReply};
use crate::plugin::PluginConfig;
use crate::stream_data::{Both, Direction, SharedStream};
use crate::vm::Vm;
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) type SharedVm = Rc<RefCell<Vm>>;

/// One stream: its filters in request order.
pub(crate) struct Stream {
    pub(crate) data: SharedStream,
    pub(crate) filters: Vec<Filter>,
    pub(crate) sides: Both<Side>,
    /// A local reply that waits for the running request callback to return.
    pub(crate) prepared: Option<LocalReply>,
    /// The host has answered: nothing more goes to or comes from the upstream.
    pub(crate) replied: bool,
    /// The response headers have left the chain.
    pub(crate) response_started: bool,
    /// Cut off.
    pub(crate) reset: bool,
    pub(crate) is_head: bool,
    pub(crate) is_grpc: bool,
    pub(crate) effects: Vec<Effect>,
}

/// How far one direction has come.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// The end has come in.
    pub(crate) ended: bool,
    /// The headers have left the chain.
    pub(crate) headers_left: bool,
    /// The end has left the chain.
    pub(crate) finished: bool,
    /// A local reply stops this direction's filters.
    pub(crate) aborted: bool,
    /// What is held back may grow: the sender is slowed down instead of being answered with an error.
    pub(crate) streaming: bool,
    /// How many callbacks of this direction run now.
    pub(crate) depth: u32,
}

/// One filter of one stream.
pub(crate) struct Filter {
    pub(crate) plugin: Rc<PluginConfig>,
    pub(crate) vm: SharedVm,
    pub(crate) root: u32,
    pub(crate) context: u32,
    /// The guest knows the context.
    pub(crate) created: bool,
    /// The filter has seen the request headers.
    pub(crate) started: bool,
    /// The filter has answered 503 because its VM is dead.
    pub(crate) failure_answered: bool,
    pub(crate) lanes: Both<Lane>,
}

/// A filter's state in one direction.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) state: Iteration,
    /// It is just being resumed and gets itself what was held back.
    pub(crate) from_current: bool,
    pub(crate) headers_continued: bool,
    /// The filter has seen the end.
    pub(crate) ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Iteration {
    #[default]
    Continue,
    /// Later filters wait; this one sees what follows.
    StopSingle,
    /// This filter waits too; too much held back is an error.
    StopAllBuffer,
    /// This filter waits too; too much held back slows the sender down.
    StopAllWatermark,
}

impl Iteration {
    pub(crate) fn stops_all(self) -> bool {
        matches!(self, Self::StopAllBuffer | Self::StopAllWatermark)
    }
}

impl Stream {
    /// The filter at a position on the way of a direction: responses go backwards.
    pub(crate) fn index(&self, direction: Direction, position: usize) -> Option<usize> {
        match direction {
            Direction::Request => (position < self.filters.len()).then_some(position),
            Direction::Response => self.filters.len().checked_sub(position + 1),
        }
    }

    pub(crate) fn position(&self, direction: Direction, index: usize) -> usize {
        match direction {
            Direction::Request => index,
            Direction::Response => self.filters.len().saturating_sub(index + 1),
        }
    }

    pub(crate) fn find(&self, vm: &SharedVm, context: u32) -> Option<usize> {
        self.filters.iter().position(|filter| filter.context == context && Rc::ptr_eq(&filter.vm, vm))
    }

    /// More than the limit is held back while the filter only wants the sender to slow down.
    pub(crate) fn is_full(&self, direction: Direction) -> bool {
        let data = self.data.borrow();
        let held = data.halves.of(direction).buffer.as_ref().map_or(0, Vec::len);
        held > data.attributes.limit(direction) && self.sides.of(direction).streaming
    }
}
