//! What a source may contain, decided on its syntax tree before it is compiled.
//!
//! The tree is the engine's own, so this check and the compiler cannot disagree about what a source means. It comes
//! first because the compiler already computes what is constant. Before the tree comes its depth: whatever walks it calls
//! itself at every level, and a stack that overflows takes the whole process with it.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, Token, parse, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use super::filters::{FILTERS, NUMBER_FILTERS, TESTS};
use super::{ExpressionError, SOURCE_BYTES_MAX};

/// The names an expression sees.
pub const ROOTS: [&str; 6] = ["type", "data", "timestamp", "id", "source", PERSON];
/// The name of the person that an event is about: not in filters, which are asked before anybody is looked up.
const PERSON: &str = "person";

/// Most `~` and `+` in one source: each may copy everything before it.
const JOINS_MAX: usize = 16;
/// Most operators, members, filters and brackets of one expression: each may be a level of its tree.
const LINKS_MAX: usize = 200;
/// Most brackets within brackets, and blocks within blocks: the parser goes through all its rules at each.
const NESTED_MAX: usize = 20;
/// Most `elif` of one source: each is a level of its tree.
const BRANCHES_MAX: usize = 50;

/// Checks an expression: no `{{ }}`, no statements.
pub(super) fn expression(source: &str) -> Result<(), ExpressionError> {
    checked(source, &ROOTS)
}

/// Checks an expression that sees an event and nobody behind it.
pub(super) fn filter(source: &str) -> Result<(), ExpressionError> {
    let (without_person, _) = ROOTS.split_at(ROOTS.len() - 1);
    checked(source, without_person)
}

fn checked(source: &str, roots: &'static [&'static str]) -> Result<(), ExpressionError> {
    length(source, SOURCE_BYTES_MAX)?;
    depth(source, Place::Expression)?;
    let expr = parse_expr(source).map_err(|error| ExpressionError::from_engine(&error))?;
    Check { roots, joins: 0 }.expr(&expr)
}

/// Whether a source is an expression by its syntax.
pub(super) fn is_expression(source: &str) -> bool {
    let is_small = source.len() <= SOURCE_BYTES_MAX && depth(source, Place::Expression).is_ok();
    is_small && parse_expr(source).is_ok()
}

/// Checks a text of at most so many bytes with `{{ }}` and `{% if %}` in it.
pub(super) fn text(source: &str, bytes_max: usize) -> Result<(), ExpressionError> {
    length(source, bytes_max)?;
    depth(source, Place::Text)?;
    let tree =
        parse(source, "template", SyntaxConfig::default()).map_err(|error| ExpressionError::from_engine(&error))?;
    Check { roots: &ROOTS, joins: 0 }.statement(&tree)
}

fn length(source: &str, bytes_max: usize) -> Result<(), ExpressionError> {
    if source.len() > bytes_max {
        return Err(ExpressionError::new(format!("the source is longer than {bytes_max} bytes")));
    }
    Ok(())
}

/// Where a source begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Expression,
}

/// Bounds the depth of the tree by what could make it deeper, before there is a tree.
fn depth(source: &str, begins: Place) -> Result<(), ExpressionError> {
    let mut depth = Depth::default();
    for token in tokenize(source, begins == Place::Expression, SyntaxConfig::default()) {
        let (token, span) = token.map_err(|error| ExpressionError::from_engine(&error))?;
        depth.note(&token);
        for (count, most, what) in [
            (depth.links, LINKS_MAX, "operators, members and brackets in one expression"),
            (depth.brackets, NESTED_MAX, "brackets within each other"),
            (depth.blocks, NESTED_MAX, "`if` within each other"),
            (depth.branches, BRANCHES_MAX, "`elif`"),
        ] {
            if count > most {
                return refuse(format!("more than {most} {what}"), span);
            }
        }
    }
    Ok(())
}

/// How deep a source may be so far.
#[derive(Default)]
struct Depth {
    links: usize,
    brackets: usize,
    blocks: usize,
    branches: usize,
    /// Whether the last token began a statement: the next one says which.
    at_statement: bool,
}

impl Depth {
    fn note(&mut self, token: &Token<'_>) {
        let at_statement = std::mem::replace(&mut self.at_statement, matches!(token, Token::BlockStart));
        match token {
            Token::VariableStart | Token::BlockStart => (self.links, self.brackets) = (0, 0),
            Token::Ident("if") if at_statement => self.blocks += 1,
            Token::Ident("endif") if at_statement => self.blocks = self.blocks.saturating_sub(1),
            Token::Ident("elif") => self.branches += 1,
            Token::BracketOpen | Token::ParenOpen | Token::BraceOpen => {
                self.links += 1;
                self.brackets += 1;
            }
            Token::BracketClose | Token::ParenClose | Token::BraceClose => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            token if is_link(token) => self.links += 1,
            _ => {}
        }
    }
}

/// Whether a token can put a part of an expression below another one.
fn is_link(token: &Token<'_>) -> bool {
    match token {
        Token::Ident(word) => ["and", "or", "not", "if", "else", "is", "in"].contains(word),
        Token::TemplateData(_)
        | Token::VariableEnd
        | Token::BlockEnd
        | Token::Str(_)
        | Token::String(_)
        | Token::Int(_)
        | Token::Int128(_)
        | Token::Float(_)
        | Token::Comma
        | Token::Colon => false,
        _ => true,
    }
}

struct Check {
    /// The names that are known.
    roots: &'static [&'static str],
    joins: usize,
}

impl Check {
    fn statement(&mut self, statement: &Stmt<'_>) -> Result<(), ExpressionError> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr),
            Stmt::IfCond(condition) => {
                self.expr(&condition.expr)?;
                self.statements(&condition.true_body)?;
                self.statements(&condition.false_body)
            }
            // Loops, `set`, `with`, filter blocks and the like: everything by which a text could grow out of itself.
            Stmt::ForLoop(it) => refuse_statement("for", it.span()),
            Stmt::WithBlock(it) => refuse_statement("with", it.span()),
            Stmt::Set(it) => refuse_statement("set", it.span()),
            Stmt::SetBlock(it) => refuse_statement("set", it.span()),
            Stmt::AutoEscape(it) => refuse_statement("autoescape", it.span()),
            Stmt::FilterBlock(it) => refuse_statement("filter", it.span()),
            Stmt::Do(it) => refuse_statement("do", it.span()),
            #[allow(unreachable_patterns, reason = "features of the engine, if another crate turns them on, add more")]
            _ => Err(ExpressionError::new(ONLY_IF)),
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) -> Result<(), ExpressionError> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn expr(&mut self, expr: &Expr<'_>) -> Result<(), ExpressionError> {
        match expr {
            Expr::Const(_) => Ok(()),
            Expr::Var(var) if self.roots.contains(&var.id) => Ok(()),
            Expr::Var(var) => {
                let name = var.id;
                let hint = format!("`{name}` is not known here; use {}, like `data.{name}`", list(self.roots));
                refuse(hint, var.span())
            }
            Expr::GetAttr(get) => self.expr(&get.expr),
            Expr::GetItem(get) => self.exprs([&get.expr, &get.subscript_expr]),
            Expr::Slice(slice) if slice.step.is_some() => {
                refuse("a slice has a start and an end here, but no step", slice.span())
            }
            Expr::Slice(slice) => {
                self.expr(&slice.expr)?;
                self.exprs([&slice.start, &slice.stop].into_iter().flatten())
            }
            Expr::UnaryOp(operation) => self.expr(&operation.expr),
            Expr::BinOp(operation) => {
                let (left, right) = (&operation.left, &operation.right);
                match operation.op {
                    // A text times a number is a text of any length.
                    BinOpKind::Mul if !(is_number(left) && is_number(right)) => {
                        return refuse("`*` takes numbers only; write `data.price | float * 100`", operation.span());
                    }
                    BinOpKind::Concat | BinOpKind::Add => self.join(operation.span())?,
                    _ => {}
                }
                self.exprs([left, right])
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr)?;
                self.exprs(compare.ops.iter().map(|operation| &operation.expr))
            }
            Expr::IfExpr(choice) => {
                self.exprs([&choice.test_expr, &choice.true_expr])?;
                self.exprs(&choice.false_expr)
            }
            Expr::Filter(filter) if !FILTERS.contains(&filter.name) => {
                refuse(format!("there is no filter `{}`; there are {}", filter.name, list(FILTERS)), filter.span())
            }
            Expr::Filter(filter) => {
                self.exprs(&filter.expr)?;
                self.arguments(&filter.args, filter.span())
            }
            Expr::Test(test) if !TESTS.contains(&test.name) => {
                refuse(format!("there is no test `{}`; there are {}", test.name, list(TESTS)), test.span())
            }
            Expr::Test(test) => {
                self.expr(&test.expr)?;
                self.arguments(&test.args, test.span())
            }
            Expr::Call(call) => {
                refuse("functions cannot be called here; use a filter, like `data.country | lower`", call.span())
            }
            Expr::List(items) => self.exprs(&items.items),
            Expr::Tuple(items) => self.exprs(&items.items),
            Expr::Map(map) => self.exprs(map.keys.iter().chain(&map.values)),
        }
    }

    fn exprs<'e, 's: 'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr<'s>>) -> Result<(), ExpressionError> {
        exprs.into_iter().try_for_each(|expr| self.expr(expr))
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>], span: Span) -> Result<(), ExpressionError> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) => self.expr(expr),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => refuse("write the arguments out", span),
        })
    }

    fn join(&mut self, span: Span) -> Result<(), ExpressionError> {
        self.joins += 1;
        if self.joins > JOINS_MAX {
            return refuse(format!("more than {JOINS_MAX} `~` and `+` in one source"), span);
        }
        Ok(())
    }
}

/// Whether an expression is a number whatever the event says, or fails.
fn is_number(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(constant) => constant.value.kind() == ValueKind::Number,
        Expr::UnaryOp(operation) => matches!(operation.op, UnaryOpKind::Neg),
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::Sub
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow
            // Checked on its own.
            | BinOpKind::Mul => true,
            BinOpKind::Add => is_number(&operation.left) && is_number(&operation.right),
            _ => false,
        },
        Expr::Filter(filter) => {
            // The arguments count too: `int` gives back its default as it is.
            NUMBER_FILTERS.contains(&filter.name)
                && filter.args.iter().all(|argument| match argument {
                    CallArg::Pos(expr) | CallArg::Kwarg(_, expr) => is_number(expr),
                    CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
                })
        }
        _ => false,
    }
}

const ONLY_IF: &str = "a template has `if`, `elif` and `else` only";

fn refuse_statement(word: &str, span: Span) -> Result<(), ExpressionError> {
    refuse(format!("`{word}` is not available here; {ONLY_IF}"), span)
}

fn refuse(message: impl std::fmt::Display, span: Span) -> Result<(), ExpressionError> {
    Err(ExpressionError::at(message, span))
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
