//! The host's side of a context: what the guest may see of its stream at this moment.

use crate::abi::{MapType, Status};
use crate::effect::LocalReply;
use crate::grpc::GrpcAnswer;
use crate::headers::{HeaderMap, Role};
use crate::plugin::PluginConfig;
use crate::stream_data::{Both, Direction, SharedStream, StreamData};
use std::rc::Rc;

/// A root context or a stream context of a VM.
#[derive(Debug)]
pub(crate) struct Context {
    /// Its own id for a root context.
    pub(crate) root: u32,
    pub(crate) plugin: Rc<PluginConfig>,
    pub(crate) stream: Option<SharedStream>,
    pub(crate) view: View,
    /// Root contexts only: what a running callback may read.
    pub(crate) call: Option<CallResponse>,
    /// Root contexts only: how the gRPC callout ended of which a running callback is told.
    pub(crate) grpc: Option<GrpcAnswer>,
    /// Root contexts only: the status of the last gRPC callout that failed. Envoy forgets its message, but not this.
    pub(crate) grpc_status: u32,
    /// Root contexts only: the plugin configuration is readable.
    pub(crate) configuring: bool,
    /// Root contexts only: milliseconds and the moment of the next tick.
    pub(crate) timer: Option<Timer>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    pub(crate) period: u64,
    pub(crate) due: u64,
}

#[derive(Debug)]
pub(crate) struct CallResponse {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

/// What of the stream the guest may touch. Envoy hands out pointers and takes them back; so does this.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) headers: Both<bool>,
    pub(crate) trailers: Both<bool>,
    pub(crate) body: Both<BodyView>,
    /// The callback that ran last saw the end of its direction.
    pub(crate) end_of_stream: bool,
    /// `proxy_on_log` runs: headers may be read.
    pub(crate) log: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyView {
    #[default]
    Nothing,
    /// The data that moves through the filters.
    Flowing,
    /// All that is held back, because this filter asked for it.
    Buffer,
}

/// What a guest asked for and what is done once its callback has returned.
#[derive(Debug)]
pub(crate) enum Action {
    Continue(Direction),
    Reply(LocalReply),
    Close,
}

impl Context {
    pub(crate) fn new(root: u32, plugin: Rc<PluginConfig>, stream: Option<SharedStream>) -> Self {
        Self {
            root,
            plugin,
            stream,
            view: View::default(),
            call: None,
            grpc: None,
            grpc_status: 0,
            configuring: false,
            timer: None,
        }
    }

    /// Runs `read` on a map that may be read now.
    pub(crate) fn read_map<T>(
        &self,
        call: Option<&CallResponse>,
        map: MapType,
        read: impl FnOnce(&HeaderMap, Role) -> T,
    ) -> Result<T, Status> {
        let missing = if self.view.log { Status::NotFound } else { Status::BadArgument };
        let headers = match (map, call) {
            (MapType::CallResponseHeaders, Some(call)) => Some(&call.headers),
            (MapType::CallResponseTrailers, Some(call)) => Some(&call.trailers).filter(|trailers| !trailers.is_empty()),
            _ => None,
        };
        if let Some(headers) = headers {
            return Ok(read(headers, Role::Plain));
        }
        let Some(stream) = &self.stream else { return Err(missing) };
        let data = stream.borrow();
        let found = match map {
            MapType::RequestHeaders if *self.view.headers.of(Direction::Request) || self.view.log => {
                data.halves.of(Direction::Request).headers.as_ref()
            }
            MapType::ResponseHeaders if *self.view.headers.of(Direction::Response) || self.view.log => {
                data.halves.of(Direction::Response).headers.as_ref()
            }
            MapType::RequestTrailers if self.has_trailers(Direction::Request) => {
                data.halves.of(Direction::Request).trailers.as_ref()
            }
            MapType::ResponseTrailers if self.has_trailers(Direction::Response) => {
                data.halves.of(Direction::Response).trailers.as_ref()
            }
            _ => None,
        };
        found.map(|found| read(found, role(map))).ok_or(missing)
    }

    /// The trailers have come, or the guest may make some because the body ends without.
    fn has_trailers(&self, direction: Direction) -> bool {
        *self.view.trailers.of(direction) || self.may_make_trailers(direction)
    }

    fn may_make_trailers(&self, direction: Direction) -> bool {
        self.view.end_of_stream && *self.view.body.of(direction) != BodyView::Nothing
    }

    /// Runs `write` on a map that may be changed now. A change of request headers clears the route.
    pub(crate) fn write_map<T>(
        &self,
        map: MapType,
        write: impl FnOnce(&mut HeaderMap, Role) -> T,
    ) -> Result<T, Status> {
        let stream = self.stream.as_ref().ok_or(Status::BadArgument)?;
        let mut data = stream.borrow_mut();
        let StreamData { halves, route, .. } = &mut *data;
        if let Some(direction) = trailers_of(map)
            && self.may_make_trailers(direction)
        {
            // At the end of a body without trailers, a change makes them.
            let trailers = halves.of_mut(direction).trailers.get_or_insert_default();
            return Ok(write(trailers, role(map)));
        }
        let found = match map {
            MapType::RequestHeaders if *self.view.headers.of(Direction::Request) => {
                *route = None;
                halves.of_mut(Direction::Request).headers.as_mut()
            }
            MapType::ResponseHeaders if *self.view.headers.of(Direction::Response) => {
                halves.of_mut(Direction::Response).headers.as_mut()
            }
            MapType::RequestTrailers if *self.view.trailers.of(Direction::Request) => {
                halves.of_mut(Direction::Request).trailers.as_mut()
            }
            MapType::ResponseTrailers if *self.view.trailers.of(Direction::Response) => {
                halves.of_mut(Direction::Response).trailers.as_mut()
            }
            _ => None,
        };
        found.map(|found| write(found, role(map))).ok_or(Status::BadArgument)
    }
}

fn trailers_of(map: MapType) -> Option<Direction> {
    match map {
        MapType::RequestTrailers => Some(Direction::Request),
        MapType::ResponseTrailers => Some(Direction::Response),
        _ => None,
    }
}

fn role(map: MapType) -> Role {
    match map {
        MapType::RequestHeaders => Role::Request,
        MapType::ResponseHeaders => Role::Response,
        _ => Role::Plain,
    }
}
