//! JSON whose texts are templates: blocks, embeds and cards as people copy them from the vendor's own designer.
//!
//! The JSON is read before any template is, so no value can break out of its text, and each text is escaped for the
//! place where it stands. A text that comes out empty is left out, and so is whatever cannot be without it: that is how a
//! block is there for some events only.

use domain::expression::{Escape, EventValue, Expression, ExpressionError, Template};
use serde_json::{Map, Value};

use super::{cut, length};

/// Longest source, in bytes.
const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Most texts with expressions in them.
const TEMPLATES_MAX: usize = 500;

/// Where a text stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    /// The `type` of the object around it.
    pub(crate) kind: &'a str,
    /// Its name in that object.
    pub(crate) member: &'a str,
    /// The `type` of the next object around that one, and the name of the member in which all this is.
    pub(crate) around: (&'a str, &'a str),
}

/// What becomes of a text in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) escape: Escape,
    /// What is longer is cut; a URL that is longer is left out.
    pub(crate) length_max: usize,
}

/// A vendor's rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) of: fn(Place<'_>) -> Rule,
    /// Whether an object of which something came out empty can still be sent. The first is the name of the member in
    /// which it is.
    pub(crate) is_whole: fn(&str, &Map<String, Value>) -> bool,
}

/// JSON whose texts are templates, compiled once.
#[derive(Debug)]
pub(crate) struct Structure {
    root: Node,
    is_whole: fn(&str, &Map<String, Value>) -> bool,
}

#[derive(Debug)]
enum Node {
    Constant(Value),
    /// A text with expressions in it.
    Text(Template, Rule),
    /// A URL that is one expression: taken as it is.
    Url(Expression, Rule),
    List(Vec<Node>),
    Object {
        within: String,
        members: Vec<(String, Node)>,
    },
}

impl Structure {
    /// Reads JSON. A message continues "setting `…` ".
    pub(crate) fn parse(source: &str) -> Result<Value, String> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(format!("is longer than {SOURCE_BYTES_MAX} bytes"));
        }
        serde_json::from_str(source).map_err(|error| format!("is not JSON ({error}); copy it again"))
    }

    /// Compiles the texts in a value. A message continues "setting `…` ".
    pub(crate) fn compile(value: &Value, rules: Rules) -> Result<Self, String> {
        let mut compiler = Compiler { rules, templates: 0 };
        let root = compiler.node(value, Place::default())?;
        Ok(Self { root, is_whole: rules.is_whole })
    }

    /// The value for an event; `null` if nothing of it is left.
    pub(crate) fn render(&self, event: &EventValue) -> Result<Value, ExpressionError> {
        Ok(self.rendered(&self.root, event)?.unwrap_or_default())
    }

    fn rendered(&self, node: &Node, event: &EventValue) -> Result<Option<Value>, ExpressionError> {
        Ok(match node {
            Node::Constant(value) => Some(value.clone()),
            Node::Text(template, rule) => {
                let text = template.render(event)?;
                let text = text.trim();
                (!text.is_empty() && (rule.escape != Escape::Url || length(text) <= rule.length_max))
                    .then(|| cut(text.to_owned(), rule.length_max, rule.escape).into())
            }
            Node::Url(expression, rule) => match expression.evaluate(event)? {
                Value::String(url) if is_web(&url) && length(&url) <= rule.length_max => Some(url.into()),
                _ => None,
            },
            Node::List(nodes) => {
                let mut values = Vec::with_capacity(nodes.len());
                for node in nodes {
                    values.extend(self.rendered(node, event)?);
                }
                (!values.is_empty() || nodes.is_empty()).then_some(Value::Array(values))
            }
            Node::Object { within, members: nodes } => {
                let mut members = Map::with_capacity(nodes.len());
                for (name, node) in nodes {
                    if let Some(value) = self.rendered(node, event)? {
                        members.insert(name.clone(), value);
                    }
                }
                let is_whole = members.len() == nodes.len() || (self.is_whole)(within, &members);
                is_whole.then_some(Value::Object(members))
            }
        })
    }
}

/// No vendor takes other links, and `javascript:` is nobody's campaign.
fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

struct Compiler {
    rules: Rules,
    templates: usize,
}

impl Compiler {
    fn node(&mut self, value: &Value, place: Place<'_>) -> Result<Node, String> {
        Ok(match value {
            Value::String(text) => self.text(text, place)?,
            Value::Array(values) => {
                Node::List(values.iter().map(|value| self.node(value, place)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
                let around = (place.kind, place.member);
                let node = |(name, value): (&String, &Value)| {
                    let place = Place { kind, member: name, around };
                    Ok((name.clone(), self.node(value, place)?))
                };
                let within = place.member.to_owned();
                Node::Object { within, members: members.iter().map(node).collect::<Result<_, String>>()? }
            }
            other => Node::Constant(other.clone()),
        })
    }

    fn text(&mut self, text: &str, place: Place<'_>) -> Result<Node, String> {
        let rule = (self.rules.of)(place);
        if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
            if length(text) > rule.length_max {
                return Err(format!("has a text of more than {} characters at `{}`", rule.length_max, place.member));
            }
            return Ok(Node::Constant(text.into()));
        }
        self.templates += 1;
        if self.templates > TEMPLATES_MAX {
            return Err(format!("has more than {TEMPLATES_MAX} texts with expressions in them"));
        }
        let wrong = |error| format!("does not compile at `{}`: {error}", place.member);
        match Expression::sole_in(text).filter(|_| rule.escape == Escape::Url) {
            Some(source) => Ok(Node::Url(Expression::compile(source).map_err(wrong)?, rule)),
            None => Ok(Node::Text(Template::compile(text, rule.escape).map_err(wrong)?, rule)),
        }
    }
}
