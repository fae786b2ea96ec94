//! What a stream's filters share: header maps, bodies under way, filter state, the cached route.

use crate::attributes::{Attributes, RouteInfo};
use crate::headers::HeaderMap;
use crate::report::Meter;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) type SharedStream = Rc<RefCell<StreamData>>;

/// A direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request = 0,
    Response = 1,
}

/// One value per direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Both<T>([T; 2]);

impl<T> Both<T> {
    pub(crate) fn of(&self, direction: Direction) -> &T {
        let [request, response] = &self.0;
        if direction == Direction::Request { request } else { response }
    }

    pub(crate) fn of_mut(&mut self, direction: Direction) -> &mut T {
        let [request, response] = &mut self.0;
        if direction == Direction::Request { request } else { response }
    }
}

/// One direction's messages.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The data that came in last and moves through the filters.
    pub(crate) chunk: Vec<u8>,
    /// What filters hold back.
    pub(crate) buffer: Option<Vec<u8>>,
    /// What moves through the filters now is the buffer, not the chunk.
    pub(crate) flows_from_buffer: bool,
}

impl Half {
    /// The data that moves through the filters now.
    pub(crate) fn flowing(&mut self) -> &mut Vec<u8> {
        if self.flows_from_buffer { self.buffer.get_or_insert_default() } else { &mut self.chunk }
    }

    /// Moves the flowing data to what is held back, unless it comes from there.
    pub(crate) fn hold_back(&mut self) {
        if !self.flows_from_buffer {
            let buffer = self.buffer.get_or_insert_default();
            if buffer.is_empty() {
                *buffer = std::mem::take(&mut self.chunk);
            } else {
                buffer.append(&mut self.chunk);
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct StreamData {
    pub(crate) id: u64,
    pub(crate) attributes: Attributes,
    pub(crate) halves: Both<Half>,
    /// By full key, `wasm.` included.
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `None` until somebody asks; cleared by every change of a request header.
    pub(crate) route: Option<Option<RouteInfo>>,
    pub(crate) meter: Meter,
    pub(crate) start_wall: u64,
    pub(crate) start_monotonic: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) response_code: Option<u32>,
    pub(crate) details: Option<String>,
}

impl StreamData {
    /// The route by the request headers as they are now.
    pub(crate) fn route(&mut self) -> Option<&RouteInfo> {
        if self.route.is_none() {
            let headers = self.halves.of(Direction::Request).headers.as_ref();
            let resolver = self.attributes.route.as_ref();
            self.route = Some(resolver.zip(headers).and_then(|(resolve, headers)| resolve(headers)));
        }
        self.route.as_ref()?.as_ref()
    }
}
