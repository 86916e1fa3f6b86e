//! Expressions and variables of `http-check` and `tcp-check` lines: compiled texts, and the scene they are evaluated on.
//!
//! A check has no client and no stream of its own: its expressions see its backend and server, what the server has
//! answered so far, and `check.` variables, which live as long as the check.

use std::sync::Arc;

use hacore::probe::steps::{Received, Render, Text};

use super::actions::variable::{Test, holds};
use crate::expr::{
    Direction, Environment, EvalCtx, Expr, LogFormat, Now, Payload, Sample, Scope, VarName, Vars,
};
use crate::http::{ResponseHead, Version};
use crate::model::{ProxyId, ServerId};
use crate::txn::{SessionInfo, StreamInfo};

/// What the expressions of one check see besides the answer.
pub struct CheckScene {
    session: SessionInfo,
    stream: StreamInfo,
    vars: Vars,
    env: Box<dyn Environment>,
    now: Now,
}

impl CheckScene {
    /// A check of this server that begins now. `unique_id` is the backend's format.
    pub fn new(
        backend: ProxyId,
        server: ServerId,
        env: Box<dyn Environment>,
        now: Now,
        unique_id: Option<&LogFormat>,
    ) -> Self {
        let session = SessionInfo { accepted_us: now.wall_us, ..SessionInfo::default() };
        let stream = StreamInfo { backend: Some(backend), server: Some(server), ..StreamInfo::default() };
        let mut scene = Self { session, stream, vars: Vars::default(), env, now };
        if let Some(format) = unique_id {
            let id = scene.with(&Received::default(), |ctx| rendered(format, ctx));
            scene.stream.unique_id = Some(id);
        }
        scene
    }

    fn of<'a>(received: &Received<'a>) -> Option<&'a CheckScene> {
        received.scene?.downcast_ref()
    }

    fn with<T>(&self, received: &Received<'_>, evaluate: impl FnOnce(&EvalCtx<'_>) -> T) -> T {
        let head = received.status.map(|status| head(status, received.headers));
        let payload = Payload { data: received.bytes, complete: true, announced_bytes: None };
        evaluate(&EvalCtx {
            stream: Some(&self.stream),
            vars: Some(&self.vars),
            response: head.as_ref(),
            response_payload: payload,
            direction: Direction::Response,
            ..EvalCtx::new(&self.session, &*self.env, self.now)
        })
    }

    fn get(&self, name: &VarName) -> Option<Sample<'static>> {
        match name.scope {
            Scope::Process => self.env.process_variable(name),
            _ => self.vars.get(name),
        }
    }

    fn set(&self, name: &VarName, value: Option<Sample<'static>>) {
        match (name.scope, value) {
            (Scope::Process, value) => self.env.set_process_variable(name, value),
            (_, Some(value)) => {
                self.vars.set(name, value);
            }
            (_, None) => self.vars.unset(name),
        }
    }
}

/// The head as far as it fits: a header too many is not seen.
fn head(status: u16, headers: &[(String, Vec<u8>)]) -> ResponseHead {
    let mut head = ResponseHead::default();
    if head.set_start_line(Version::HTTP_11, status, b"").is_ok() {
        for (name, value) in headers {
            if head.headers.add(name.as_bytes(), value).is_err() {
                break;
            }
        }
    }
    head
}

fn rendered(format: &LogFormat, ctx: &EvalCtx<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    format.render(ctx, &mut out);
    out
}

/// What a text is made of.
enum Source {
    Format(LogFormat),
    Expr(Expr),
}

impl Source {
    fn text(&self, ctx: &EvalCtx<'_>) -> Vec<u8> {
        match self {
            Source::Format(format) => rendered(format, ctx),
            Source::Expr(expr) => {
                expr.eval(ctx).and_then(Sample::into_text).map(|data| data.into_vec()).unwrap_or_default()
            }
        }
    }
}

/// A text that is made when it is needed.
struct Made {
    source: Source,
    /// The text is pairs of hexadecimal digits; anything else gives nothing.
    hexadecimal: bool,
}

impl Render for Made {
    fn render(&self, received: &Received<'_>) -> Vec<u8> {
        let Some(scene) = CheckScene::of(received) else { return Vec::new() };
        let text = scene.with(received, |ctx| self.source.text(ctx));
        if self.hexadecimal { unhex(&text).unwrap_or_default() } else { text }
    }
}

/// The bytes of pairs of hexadecimal digits.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// A log format as a text.
pub fn format_text(format: LogFormat) -> Text {
    match format.as_constant() {
        Some(text) => Text::Fixed(text),
        None => Text::Dynamic(Arc::new(Made { source: Source::Format(format), hexadecimal: false })),
    }
}

/// A log format that gives hexadecimal digits; the text is their bytes. None: it is fixed and gives something else.
pub fn hex_format_text(format: LogFormat) -> Option<Text> {
    match format.as_constant() {
        Some(text) => unhex(&text).map(Text::Fixed),
        None => Some(Text::Dynamic(Arc::new(Made { source: Source::Format(format), hexadecimal: true }))),
    }
}

/// A sample expression as a text.
pub fn expression_text(expr: Expr) -> Text {
    Text::Dynamic(Arc::new(Made { source: Source::Expr(expr), hexadecimal: false }))
}

/// `set-var`, `set-var-fmt`, `unset-var`.
struct Assign {
    name: VarName,
    /// None: it is forgotten.
    value: Option<Source>,
    tests: Vec<Test>,
}

impl Render for Assign {
    /// Done for its effect; the text is empty.
    fn render(&self, received: &Received<'_>) -> Vec<u8> {
        let Some(scene) = CheckScene::of(received) else { return Vec::new() };
        let value = match &self.value {
            None => {
                scene.set(&self.name, None);
                return Vec::new();
            }
            Some(Source::Expr(expr)) => scene.with(received, |ctx| expr.eval(ctx).map(Sample::into_static)),
            Some(source) => {
                let text = scene.with(received, |ctx| source.text(ctx));
                Some(Sample::str(text).into_static())
            }
        };
        // An expression without a value leaves the variable as it is.
        if let Some(value) = value {
            let old = scene.get(&self.name);
            if self.tests.iter().all(|test| holds(*test, old.as_ref(), &value)) {
                scene.set(&self.name, Some(value));
            }
        }
        Vec::new()
    }
}

/// `set-var(NAME[,COND…]) EXPR`.
pub fn set_variable(name: VarName, tests: Vec<Test>, value: Expr) -> Text {
    Text::Dynamic(Arc::new(Assign { name, tests, value: Some(Source::Expr(value)) }))
}

/// `set-var-fmt(NAME[,COND…]) FORMAT`.
pub fn set_variable_format(name: VarName, tests: Vec<Test>, value: LogFormat) -> Text {
    Text::Dynamic(Arc::new(Assign { name, tests, value: Some(Source::Format(value)) }))
}

/// `unset-var(NAME)`.
pub fn unset_variable(name: VarName) -> Text {
    Text::Dynamic(Arc::new(Assign { name, tests: Vec::new(), value: None }))
}
