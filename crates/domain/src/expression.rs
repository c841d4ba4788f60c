//! Filters and templates over an event: one small language, `MiniJinja`, with everything taken out that could run or grow
//! without bound.
//!
//! A filter is an expression (`data.country in ["DE", "AT"]`), a template is text with expressions in it
//! (`New install from {{ data.campaign }}`) and, if need be, `{% if %}`. Both see five names: `type`, `data`,
//! `timestamp`, `id` and `source`; templates also see `person`, what is known of whom the event is about. A member that is not there is undefined, and so are its members; asking is no error.
//!
//! What an expression can cost is bounded before it runs: no loops, assignments, macros or calls exist (`check.rs`), every
//! filter that makes text has a cap (`filters.rs`), and fuel and an output limit stand behind both.

mod check;
mod escape;
mod filters;

use std::io;
use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, Value};

use crate::body;
use crate::event::Event;
use crate::identity::Profile;

pub use check::ROOTS;
pub use escape::Escape;

/// Longest source of a filter or template, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;
/// Longest source of a template that is a whole page, the HTML of a mail for example, in bytes.
pub const PAGE_BYTES_MAX: usize = 64 * 1024;
/// Largest text that a template or a filter function may make, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Most instructions of one evaluation. Without loops a source of [`SOURCE_BYTES_MAX`] cannot need as many.
const FUEL: u64 = 50_000;

/// What filters and templates see of one event. Built once per event; clones share it.
#[derive(Debug, Clone)]
pub struct EventValue(Result<Value, ExpressionError>);

impl EventValue {
    /// The value of an event from the source of this name.
    ///
    /// `data` is the `data` object of the body or, for a sender whose envelope has none, the whole body.
    pub fn new(event: &Event, source_name: &str) -> Self {
        Self::about(event, source_name, None)
    }

    /// The same with what is known of the person that it is about, as `person`.
    pub fn about(event: &Event, source_name: &str, profile: Option<&Profile>) -> Self {
        // A body that cannot be read must fail the filters, not slip through them as "no match".
        let body: Value = match body::read(&event.body) {
            Ok(body) => body,
            Err(error) => return Self(Err(ExpressionError::new(format!("the body cannot be read: {error}")))),
        };
        let data = body.get_attr("data").ok().filter(|data| data.kind() == minijinja::value::ValueKind::Map);
        let person = profile.and_then(|profile| Some(("person", serde_json::from_value(profile.value()).ok()?)));
        let known = [
            ("type", Value::from(event.event_type.as_str())),
            ("data", data.unwrap_or(body)),
            ("timestamp", Value::from(event.occurred_at.to_string())),
            ("id", Value::from(event.id.to_string())),
            ("source", Value::from(source_name)),
        ];
        Self(Ok(Value::from_pairs(known.into_iter().chain(person))))
    }

    fn root(&self) -> Result<Value, ExpressionError> {
        self.0.clone()
    }
}

/// A condition on an event, compiled once.
#[derive(Debug)]
pub struct Filter(Expression);

impl Filter {
    /// Compiles an expression such as `data.revenue >= 100 and data.currency == "EUR"`.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        check::filter(source)?;
        Expression::compile(source).map(Self)
    }

    /// Whether the condition holds. Truth is Jinja's: undefined, `none`, `false`, zero and anything empty are not true.
    pub fn evaluate(&self, event: &EventValue) -> Result<bool, ExpressionError> {
        Ok(self.0.value(event)?.is_true())
    }
}

/// A single value out of an event, compiled once.
pub struct Expression {
    compiled: minijinja::Expression<'static, 'static>,
}

impl Expression {
    /// Compiles an expression such as `data.revenue * 100`.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::None));

        check::expression(source)?;
        let compiled =
            ENVIRONMENT.compile_expression_owned(source.to_owned()).map_err(|e| ExpressionError::from_engine(&e))?;
        Ok(Self { compiled })
    }

    /// The source of the expression in a text that is `{{ … }}` and nothing else.
    pub fn sole_in(text: &str) -> Option<&str> {
        let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        let inside = inside.strip_prefix('-').unwrap_or(inside);
        let inside = inside.strip_suffix('-').unwrap_or(inside).trim();
        // `{{ a }} and {{ b }}` begins and ends the same way, and its middle is no expression.
        check::is_expression(inside).then_some(inside)
    }

    /// The value for an event, `null` if it is undefined.
    pub fn evaluate(&self, event: &EventValue) -> Result<serde_json::Value, ExpressionError> {
        let text = escape::json(&self.value(event)?).map_err(|e| ExpressionError::from_engine(&e))?;
        if text.len() > OUTPUT_BYTES_MAX {
            return Err(ExpressionError::new(too_long()));
        }
        serde_json::from_str(&text).map_err(|_| ExpressionError::new("the value cannot be written as JSON"))
    }

    fn value(&self, event: &EventValue) -> Result<Value, ExpressionError> {
        self.compiled.eval(event.root()?).map_err(|e| ExpressionError::from_engine(&e))
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expression")
    }
}

/// A text with expressions in it, compiled once.
pub struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Compiles a text whose values are escaped for the place it goes to.
    pub fn compile(source: &str, escape: Escape) -> Result<Self, ExpressionError> {
        Self::compile_within(source, escape, SOURCE_BYTES_MAX)
    }

    /// The same for a whole page, which is mostly text. It is bounded by the same number of instructions.
    pub fn compile_page(source: &str, escape: Escape) -> Result<Self, ExpressionError> {
        Self::compile_within(source, escape, PAGE_BYTES_MAX)
    }

    fn compile_within(source: &str, escape: Escape, bytes_max: usize) -> Result<Self, ExpressionError> {
        check::text(source, bytes_max)?;
        let mut environment = environment(escape);
        environment
            .add_template_owned(TEMPLATE_NAME, source.to_owned())
            .map_err(|e| ExpressionError::from_engine(&e))?;
        Ok(Self { environment })
    }

    /// The text for an event, at most [`OUTPUT_BYTES_MAX`] bytes of it; a longer one is an error, never cut.
    pub fn render(&self, event: &EventValue) -> Result<String, ExpressionError> {
        let mut output = Capped::default();
        match self.get()?.render_captured_to(event.root()?, &mut output) {
            Ok(_) => String::from_utf8(output.bytes).map_err(|_| ExpressionError::new("the text is not UTF-8")),
            Err(_) if output.overflowed => Err(ExpressionError::new(too_long())),
            Err(error) => Err(ExpressionError::from_engine(&error)),
        }
    }

    fn get(&self) -> Result<minijinja::Template<'_, '_>, ExpressionError> {
        self.environment.get_template(TEMPLATE_NAME).map_err(|e| ExpressionError::from_engine(&e))
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Template")
    }
}

/// A filter or template that cannot be compiled, or that failed on an event. For a person; holds no value of the event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    message: String,
}

impl ExpressionError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    fn at(message: impl std::fmt::Display, span: minijinja::machinery::Span) -> Self {
        Self::new(format!("{message} (line {}, column {})", span.start_line, span.start_col + 1))
    }

    fn from_engine(error: &minijinja::Error) -> Self {
        let message = match error.detail() {
            // "unable to calculate …" quotes the operands, which may be anybody's data.
            Some(detail) if detail.starts_with("unable to calculate") => "a calculation overflowed or divided by zero",
            Some(detail) => detail,
            None => return Self::new(error.kind().to_string()),
        };
        match error.line() {
            Some(line) => Self::new(format!("{message} (line {line})")),
            None => Self::new(message),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------

const TEMPLATE_NAME: &str = "template";

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(move |out, _, value| escape.write(out, value));
    filters::add_to(&mut environment);
    environment
}

fn too_long() -> String {
    format!("the text is longer than {} KiB", OUTPUT_BYTES_MAX / 1024)
}

/// Takes at most [`OUTPUT_BYTES_MAX`] bytes.
#[derive(Default)]
struct Capped {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES_MAX {
            self.overflowed = true;
            return Err(io::Error::other("output limit"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
