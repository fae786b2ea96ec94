//! One exchange of the `host` runner: through the downstream filters, the route decision, the upstream filters, and back.

use super::connection;
use super::format::{Case, File, Leaves, expand};
use super::observe::{Message, Observation};
use super::routing::{Destination, destination, mirror};
use super::service::{Ask, Services};
use super::wasm::{Plan, pieces, request_head, response_head};
use crate::{
    Attributes, CalloutToken, Effect, GrpcAnswer, GrpcCallout, HeaderMap, LocalReply, Meter, StreamId, Worker,
};
use filter_kit::Answer;
use std::collections::VecDeque;
use std::time::Duration;

/// A chain of filters and the stream that goes through it.
struct Chain {
    worker: Worker,
    attributes: Attributes,
    id: StreamId,
    /// What left the chain towards the upstream, and towards the client.
    request: Side,
    response: Side,
    /// The latter once more, for the next chain.
    outward: Vec<Effect>,
    services: Services,
    /// Answers of services that the filters have not got yet.
    waiting: VecDeque<(CalloutToken, GrpcAnswer)>,
}

/// Answers after which a filter that asks again at every answer is stopped.
const MAX_ANSWERS: usize = 10_000;

/// What left a chain on one side.
#[derive(Default)]
struct Side {
    message: Message,
    begun: bool,
    ended: bool,
    reset: bool,
}

impl Chain {
    fn open(mut worker: Worker, attributes: Attributes, services: Services) -> Self {
        let id = worker.open(attributes.clone());
        let (request, response) = (Side::default(), Side::default());
        Self { worker, attributes, id, request, response, outward: Vec::new(), services, waiting: VecDeque::new() }
    }

    /// The next stream through the same filters.
    fn begin_anew(&mut self) {
        self.worker.close(self.id);
        self.id = self.worker.open(self.attributes.clone());
        (self.request, self.response) = (Side::default(), Side::default());
        self.outward.clear();
    }

    fn is_answered(&self) -> bool {
        self.response.begun || self.response.reset
    }

    fn call(&mut self, call: impl FnOnce(&mut Worker, StreamId) -> Vec<Effect>) {
        for effect in call(&mut self.worker, self.id) {
            self.take(effect);
        }
        self.send();
    }

    /// The services get what the filters ask, at once and in this order.
    fn send(&mut self) {
        for call in self.worker.grpc_callouts() {
            let answer = ask(&self.services, &call);
            self.waiting.push_back((call.token, answer));
        }
    }

    /// Answers calls in their order, while `wanted`.
    fn answer_while(&mut self, wanted: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..MAX_ANSWERS {
            if !wanted(self) {
                return Ok(());
            }
            let Some((token, answer)) = self.waiting.pop_front() else { return Ok(()) };
            let id = self.id;
            let effects = self.worker.answer_grpc(token, answer);
            effects.into_iter().filter(|(stream, _)| *stream == id).for_each(|(_, effect)| self.take(effect));
            self.send();
        }
        Err("a filter asks again and again".to_owned())
    }

    /// The filters hold a request back whose answers from services have not been given to them.
    fn is_held(&self) -> bool {
        !self.request.ended && !self.is_answered()
    }

    /// A whole request, as far as it gets before it is answered, or the client leaves.
    fn request(
        &mut self,
        head: HeaderMap,
        body: Vec<u8>,
        trailers: Vec<(String, Vec<u8>)>,
        plan: &Plan,
        leaves: bool,
    ) -> Result<(), String> {
        let ended = body.is_empty() && trailers.is_empty();
        self.call(|worker, id| worker.request_headers(id, head, ended));
        let mut pieces = if ended { Vec::new() } else { pieces(&body, plan, trailers.is_empty()) }.into_iter();
        loop {
            if plan.answers_at_once && !leaves {
                self.answer_while(Self::is_held)?;
            } else if self.worker.request_is_full(self.id) {
                if leaves {
                    return Ok(());
                }
                self.answer_while(|chain| chain.worker.request_is_full(chain.id) && chain.is_held())?;
            }
            if self.response.begun {
                return Ok(());
            }
            let Some((piece, end)) = pieces.next() else { break };
            self.call(|worker, id| worker.request_data(id, piece, end));
        }
        if !trailers.is_empty() {
            self.call(|worker, id| worker.request_trailers(id, trailers.into_iter().collect()));
        }
        if leaves { Ok(()) } else { self.answer_while(Self::is_held) }
    }

    fn take(&mut self, effect: Effect) {
        let fields = |map: &HeaderMap| -> Vec<(String, Vec<u8>)> {
            map.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
        };
        let (side, end) = match &effect {
            Effect::RequestHeaders(_, end) | Effect::RequestData(_, end) => (&mut self.request, *end),
            Effect::ResponseHeaders(_, end) | Effect::ResponseData(_, end) => (&mut self.response, *end),
            Effect::RequestTrailers(_) => (&mut self.request, true),
            Effect::ResponseTrailers(_) => (&mut self.response, true),
            Effect::Reset(_) => {
                self.response.reset = true;
                return;
            }
        };
        side.begun = true;
        side.ended |= end;
        match &effect {
            Effect::RequestHeaders(map, _) | Effect::ResponseHeaders(map, _) => side.message.headers = fields(map),
            Effect::RequestData(data, _) | Effect::ResponseData(data, _) => side.message.body.extend(data),
            Effect::RequestTrailers(map) | Effect::ResponseTrailers(map) => side.message.trailers = fields(map),
            Effect::Reset(_) => {}
        }
        self.outward.push(effect);
    }
}

/// An exchange under way.
pub struct Exchange<'a> {
    file: &'a File,
    case: &'a Case,
    plan: &'a Plan,
    /// The filters before the route decision.
    downstream: Chain,
    /// Those behind it.
    upstream: Chain,
    seen: Observation,
    meters: Vec<Meter>,
    /// The client has left.
    left: bool,
}

impl<'a> Exchange<'a> {
    /// Runs a case. Counters are the caller's.
    ///
    /// # Errors
    /// If a filter traps, or does what would end Envoy.
    pub fn run(
        file: &'a File,
        case: &'a Case,
        plan: &'a Plan,
        services: &Services,
        [downstream, upstream]: [Worker; 2],
    ) -> Result<(Observation, Vec<Meter>), String> {
        let head: HeaderMap = request_head(case).into_iter().collect();
        let attributes = connection::attributes(case);
        let behind = Attributes { behind_routing: true, ..attributes.clone() };
        let downstream = Chain::open(downstream, attributes, services.clone());
        let upstream = Chain::open(upstream, behind, services.clone());
        let (seen, meters) = (Observation::default(), Vec::new());
        let mut exchange = Exchange { file, case, plan, downstream, upstream, seen, meters, left: false };
        exchange.go(head)?;
        if case.request.leaves.is_some() != exchange.left {
            return Err("the client was to leave while something is waited for, and nothing was".to_owned());
        }
        exchange.finish()
    }

    fn go(&mut self, head: HeaderMap) -> Result<(), String> {
        let body = self.case.request.body.as_ref().map(|body| body.bytes().to_vec()).unwrap_or_default();
        let leaves = self.leaves_at_call();
        self.downstream.request(head, body, expand(&self.case.request.trailers), self.plan, leaves)?;
        if self.downstream.is_answered() || !self.downstream.request.ended {
            self.left = leaves && !self.downstream.waiting.is_empty();
            return Ok(());
        }
        let routed = self.downstream.request.message.clone();
        let cluster = match destination(self.file, &routed.headers) {
            Destination::Cluster(cluster) => cluster,
            Destination::Answer(status) => {
                let reply = LocalReply { status: status.into(), details: "route".into(), ..LocalReply::default() };
                self.downstream.call(|worker, id| worker.reply(id, reply));
                return Ok(());
            }
        };
        if let Some((cluster, copy)) = mirror(self.file, &routed) {
            self.seen.mirror = self.behind_routing(copy)?.map(|message| (cluster, message));
            self.meters.extend(self.upstream.worker.meter(self.upstream.id));
            self.upstream.begin_anew();
        }
        match self.behind_routing(routed)? {
            Some(message) => {
                self.seen.upstream = Some((cluster, message));
                self.left = self.case.request.leaves == Some(Leaves::Upstream);
                if !self.left {
                    self.answer();
                }
            }
            None if leaves => self.left = !self.upstream.waiting.is_empty(),
            None => self.pass_response(),
        }
        Ok(())
    }

    fn leaves_at_call(&self) -> bool {
        self.case.request.leaves == Some(Leaves::Service)
    }

    /// Sends a message through the upstream filters; what comes out, if they do not answer it.
    fn behind_routing(&mut self, message: Message) -> Result<Option<Message>, String> {
        let head = message.headers.into_iter().collect();
        let leaves = self.leaves_at_call();
        self.upstream.request(head, message.body, message.trailers, self.plan, leaves)?;
        let passed = self.upstream.request.ended && !self.upstream.is_answered();
        Ok(passed.then(|| self.upstream.request.message.clone()))
    }

    /// The upstream's answer goes back through both chains, piece by piece.
    fn answer(&mut self) {
        let head: HeaderMap = response_head(self.case).into_iter().collect();
        let body = self.case.response.body.bytes().to_vec();
        let trailers = expand(&self.case.response.trailers);
        let bodyless = self.case.request.method == "HEAD" || body.is_empty() && trailers.is_empty();
        self.step(|worker, id| worker.response_headers(id, head, bodyless));
        if bodyless {
            return;
        }
        for (piece, end) in pieces(&body, self.plan, trailers.is_empty()) {
            if self.downstream.response.reset {
                return;
            }
            self.step(|worker, id| worker.response_data(id, piece, end));
        }
        if !trailers.is_empty() && !self.downstream.response.reset {
            self.step(|worker, id| worker.response_trailers(id, trailers.into_iter().collect()));
        }
    }

    fn step(&mut self, call: impl FnOnce(&mut Worker, StreamId) -> Vec<Effect>) {
        self.upstream.call(call);
        self.pass_response();
    }

    /// What has left the upstream filters towards the client goes to the downstream filters.
    fn pass_response(&mut self) {
        for effect in std::mem::take(&mut self.upstream.outward) {
            self.downstream.call(|worker, id| match effect {
                Effect::ResponseHeaders(map, end) => worker.response_headers(id, map, end),
                Effect::ResponseData(data, end) => worker.response_data(id, data, end),
                Effect::ResponseTrailers(map) => worker.response_trailers(id, map),
                _ => Vec::new(),
            });
        }
        self.downstream.response.reset |= self.upstream.response.reset;
    }

    fn finish(mut self) -> Result<(Observation, Vec<Meter>), String> {
        for chain in [&mut self.downstream, &mut self.upstream] {
            self.meters.extend(chain.worker.meter(chain.id));
            // both chains of a stream share these in Envoy
            let state = chain.worker.close(chain.id).filter_state;
            // the last calls, and those that nothing has waited for
            chain.send();
            chain.answer_while(|_| true)?;
            for name in self.case.log.keys() {
                if let Some(value) = state.get(format!("wasm.{name}").as_bytes()) {
                    self.seen.log.insert(name.clone(), value.clone());
                }
            }
            if let Some(trap) = chain.worker.take_traps().first() {
                return Err(trap.to_string());
            }
            if let Some(misuse) = chain.worker.take_misuse().first() {
                return Err(misuse.to_string());
            }
        }
        let mut seen = self.seen;
        let client = self.downstream.response;
        seen.reset = !self.left && (client.reset || !client.ended);
        seen.client = client.message;
        for (_, message) in [&mut seen.upstream, &mut seen.mirror].into_iter().flatten() {
            check_length(message);
        }
        if self.case.request.method != "HEAD" {
            check_length(&mut seen.client);
        }
        Ok((seen, self.meters))
    }
}

/// Asks the service as a host does.
fn ask(services: &Services, call: &GrpcCallout) -> GrpcAnswer {
    let GrpcCallout { service, method, message, .. } = call;
    let timeout = call.timeout.unwrap_or(Duration::MAX);
    match services.ask(&Ask { service, method, message, timeout }) {
        Answer::Message(message) => GrpcAnswer::Message(message),
        Answer::Failed(status) => GrpcAnswer::Failed { status, message: String::new() },
    }
}

/// On the wire a body of another length than the head says would be a wrong one.
fn check_length(message: &mut Message) {
    let length = message.value("content-length").map(|text| String::from_utf8_lossy(text).into_owned());
    let real = message.body.len();
    if let Some(length) = length.filter(|length| *length != real.to_string()) {
        message.framing = Some(format!("content-length {length} before {real} bytes"));
    }
}
