//! Calls into a filter's guest: what it may see, what its answer means, what becomes of its VM.

use crate::chain::Chain;
use crate::context::{BodyView, View};
use crate::effect::LocalReply;
use crate::stream::{Filter, Iteration};
use crate::stream_data::Direction;
use std::rc::Rc;

/// What a body callback's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataVerdict {
    Continue,
    Buffer,
    Watermark,
    /// Stop and drop the data.
    NoBuffer,
}

/// The guest's answer, or that its VM is dead.
enum Told {
    Result(u32),
    NoCallback,
    Dead,
}

impl Filter {
    pub(crate) fn view<T>(&self, change: impl FnOnce(&mut View) -> T) -> Option<T> {
        self.vm.borrow_mut().context(self.context).map(|context| change(&mut context.view))
    }

    /// Lets the guest know the context, once.
    pub(crate) fn create(&mut self) {
        if !self.created {
            self.created = true;
            let (context, root) = (self.context, self.root);
            self.vm.borrow_mut().call(context, |callbacks| &callbacks.context_create, (context, root));
        }
    }
}

impl Chain<'_> {
    pub(crate) fn call_headers(&mut self, direction: Direction, index: usize, end: bool) -> Iteration {
        let count = {
            let data = self.stream.data.borrow();
            data.halves.of(direction).headers.as_ref().map_or(0, |headers| headers.len())
        };
        let Some(filter) = self.stream.filters.get_mut(index) else { return Iteration::Continue };
        if direction == Direction::Request {
            filter.create();
            filter.started = true;
        } else if !filter.started || filter.failure_answered {
            return Iteration::Continue;
        }
        filter.view(|view| {
            *view.headers.of_mut(direction) = true;
            view.end_of_stream = end;
        });
        let context = filter.context;
        let arguments = (context, number(count), u32::from(end));
        let stop_single = filter.plugin.allow_on_headers_stop_iteration;
        let told = self.tell(direction, index, |vm| match direction {
            Direction::Request => vm.call(context, |callbacks| &callbacks.request_headers, arguments),
            Direction::Response => vm.call(context, |callbacks| &callbacks.response_headers, arguments),
        });
        let verdict = match told {
            Told::NoCallback | Told::Result(0 | 2) => Iteration::Continue,
            Told::Result(1) if stop_single => Iteration::StopSingle,
            Told::Result(3) => Iteration::StopAllBuffer,
            Told::Result(_) | Told::Dead => Iteration::StopAllWatermark,
        };
        if verdict == Iteration::Continue {
            self.view(index, |view| *view.headers.of_mut(direction) = false);
        }
        verdict
    }

    pub(crate) fn call_data(&mut self, direction: Direction, index: usize, end: bool) -> DataVerdict {
        let Some(filter) = self.stream.filters.get(index) else { return DataVerdict::Continue };
        if !filter.started || (direction == Direction::Response && filter.failure_answered) {
            return DataVerdict::Continue;
        }
        let context = filter.context;
        let buffering = filter.view(|view| *view.body.of(direction) == BodyView::Buffer).unwrap_or(false);
        self.stream.sides.of_mut(direction).depth += 1;
        if buffering {
            self.stream.sides.of_mut(direction).streaming = false;
            self.stream.data.borrow_mut().halves.of_mut(direction).hold_back();
            self.check_limit(direction);
        }
        self.view(index, |view| {
            *view.body.of_mut(direction) = if buffering { BodyView::Buffer } else { BodyView::Flowing };
            view.end_of_stream = end;
        });
        let size = {
            let mut data = self.stream.data.borrow_mut();
            let half = data.halves.of_mut(direction);
            if buffering { half.buffer.as_ref().map_or(0, Vec::len) } else { half.flowing().len() }
        };
        let arguments = (context, number(size), u32::from(end));
        let told = self.tell(direction, index, |vm| match direction {
            Direction::Request => vm.call(context, |callbacks| &callbacks.request_body, arguments),
            Direction::Response => vm.call(context, |callbacks| &callbacks.response_body, arguments),
        });
        let verdict = match told {
            Told::NoCallback | Told::Result(0) => DataVerdict::Continue,
            Told::Result(1) => DataVerdict::Buffer,
            Told::Result(2) => DataVerdict::Watermark,
            Told::Result(_) | Told::Dead => DataVerdict::NoBuffer,
        };
        self.view(index, |view| {
            *view.body.of_mut(direction) = match verdict {
                DataVerdict::Continue => BodyView::Nothing,
                DataVerdict::Buffer => BodyView::Buffer,
                DataVerdict::Watermark | DataVerdict::NoBuffer => BodyView::Flowing,
            };
        });
        if buffering {
            // The guest may have made it larger.
            self.check_limit(direction);
        }
        self.stream.sides.of_mut(direction).depth -= 1;
        verdict
    }

    /// True: go on.
    pub(crate) fn call_trailers(&mut self, direction: Direction, index: usize) -> bool {
        let count = {
            let data = self.stream.data.borrow();
            data.halves.of(direction).trailers.as_ref().map_or(0, |trailers| trailers.len())
        };
        let Some(filter) = self.stream.filters.get(index) else { return true };
        if !filter.started || (direction == Direction::Response && filter.failure_answered) {
            return true;
        }
        let context = filter.context;
        filter.view(|view| *view.trailers.of_mut(direction) = true);
        let arguments = (context, number(count));
        let told = self.tell(direction, index, |vm| match direction {
            Direction::Request => vm.call(context, |callbacks| &callbacks.request_trailers, arguments),
            Direction::Response => vm.call(context, |callbacks| &callbacks.response_trailers, arguments),
        });
        let go_on = matches!(told, Told::NoCallback | Told::Result(0));
        if go_on {
            self.view(index, |view| *view.trailers.of_mut(direction) = false);
        }
        go_on
    }

    /// Runs a callback, then what the guest asked for while it ran.
    fn tell(
        &mut self,
        direction: Direction,
        index: usize,
        call: impl FnOnce(&mut crate::vm::Vm) -> Option<u32>,
    ) -> Told {
        let Some(filter) = self.stream.filters.get(index) else { return Told::NoCallback };
        let vm = Rc::clone(&filter.vm);
        self.stream.sides.of_mut(direction).depth += 1;
        let (result, stop, failed) = {
            let mut vm = vm.borrow_mut();
            let result = if vm.failed { None } else { call(&mut vm) };
            (result, std::mem::take(&mut vm.state().stop), vm.failed)
        };
        let told = if failed {
            self.answer_failure(index);
            Told::Dead
        } else {
            self.run_actions(&vm);
            match result {
                _ if stop => Told::Result(u32::MAX),
                Some(result) => Told::Result(result),
                None => Told::NoCallback,
            }
        };
        self.stream.sides.of_mut(direction).depth -= 1;
        told
    }

    /// A filter whose VM is dead answers 503, once.
    fn answer_failure(&mut self, index: usize) {
        let Some(filter) = self.stream.filters.get_mut(index) else { return };
        if !std::mem::replace(&mut filter.failure_answered, true) {
            self.local_reply(LocalReply {
                status: 503,
                grpc_status: Some(14),
                details: "wasm_fail_stream".to_owned(),
                ..LocalReply::default()
            });
        }
    }

    fn view(&self, index: usize, change: impl FnOnce(&mut View)) {
        if let Some(filter) = self.stream.filters.get(index) {
            filter.view(change);
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
