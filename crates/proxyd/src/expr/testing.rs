//! A context for tests.

use std::cell::RefCell;

use hacore::diag::{FileId, Span};

use super::{
    BackendView, Contexts, Data, Direction, Environment, EvalCtx, Expr, FrontendView, LoadState, NoFiles,
    Now, ProcessView, Sample, ServerView, VarName, Vars,
};
use crate::http::{RequestHead, Version};
use crate::model::{Mode, ProxyId, ServerId};
use crate::txn::SessionInfo;

/// Knows one frontend and one backend with one server, and process-wide variables.
#[derive(Default)]
pub(crate) struct TestEnvironment {
    variables: RefCell<Vec<(VarName, Sample<'static>)>>,
}

impl Environment for TestEnvironment {
    fn process(&self) -> ProcessView<'_> {
        ProcessView { hostname: "host", pid: 42, ..ProcessView::default() }
    }

    fn frontend(&self, _: ProxyId) -> Option<FrontendView<'_>> {
        Some(FrontendView {
            name: "fe",
            numeric_id: 2,
            connections: 3,
            is_http: true,
            ..FrontendView::default()
        })
    }

    fn backend(&self, _: ProxyId) -> Option<BackendView<'_>> {
        Some(BackendView { name: "be", servers_usable: 2, queue_total: 5, ..BackendView::default() })
    }

    fn server(&self, _: ProxyId, _: ServerId) -> Option<ServerView<'_>> {
        Some(ServerView { name: "srv", usable: true, ..ServerView::default() })
    }

    fn find_frontend(&self, name: &[u8]) -> Option<ProxyId> {
        (name == b"fe").then_some(ProxyId(0))
    }

    fn find_backend(&self, name: &[u8]) -> Option<ProxyId> {
        (name == b"be").then_some(ProxyId(1))
    }

    fn find_server(&self, _: ProxyId, name: &[u8]) -> Option<ServerId> {
        (name == b"srv").then_some(ServerId(0))
    }

    fn environment_variable(&self, _: &str) -> Option<Data<'_>> {
        None
    }

    fn random_u64(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }

    fn process_variable(&self, name: &VarName) -> Option<Sample<'static>> {
        self.variables.borrow().iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    fn process_variables(&self) -> Vec<(VarName, Sample<'static>)> {
        self.variables.borrow().clone()
    }

    fn capture_length(&self, _: ProxyId, direction: Direction, slot: usize) -> Option<usize> {
        (direction == Direction::Request && slot < 2).then_some(4)
    }

    fn set_process_variable(&self, name: &VarName, value: Option<Sample<'static>>) {
        let mut variables = self.variables.borrow_mut();
        variables.retain(|(n, _)| n != name);
        variables.extend(value.map(|value| (name.clone(), value)));
    }
}

/// The value of an expression in a request rule of the frontend `fe`, as text.
pub(crate) fn parse_and_eval(text: &str, environment: &TestEnvironment) -> Option<String> {
    let load = LoadState::default();
    let scope = load.scope(Contexts::HTTP_REQUEST, Mode::Http, Some("fe"), &NoFiles);
    let expr = Expr::parse_str(text, SPAN, &scope).unwrap_or_else(|d| panic!("{text}: {}", d.message));
    let (session, vars) = (SessionInfo::default(), Vars::default());
    let mut ctx = EvalCtx::new(&session, environment, Now::default());
    ctx.vars = Some(&vars);
    let value = expr.eval(&ctx)?.into_text()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

const SPAN: Span = Span { file: FileId(0), line: 1, start: 0, end: 0 };

/// A request head without its wire form.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_start_line(method.as_bytes(), target.as_bytes(), Version::HTTP_11).unwrap();
    for (name, value) in headers {
        head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    head
}
