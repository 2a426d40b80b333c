//! A condition's text → CEL's tree, by `cel` → our tree.
//!
//! The parser runs on a thread of its own with a large stack, after `guard` has bounded the text, because it recurses
//! and an overflow could not be caught. Macros stay calls: `exists` and its kin become one node that `eval` walks with
//! unknowns and a budget.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators};
use cel::{Env, IdedExpr};

use super::facts::Path;
use super::functions::{self, Function};
use super::node::{Binary, Call, Each, How, Node, Op};
use super::value::Value;
use super::{ConditionError, guard};
use crate::domain::text::Str;
use crate::policy::document::nearest;

/// Stack of the parsing thread, far beyond what 2 KiB of text can use.
const STACK: usize = 64 << 20;
/// Deepest tree that is evaluated.
const MAX_DEPTH: usize = 96;
/// Deepest `exists` inside `exists`.
const MAX_LOOPS: usize = 2;

/// The tree, and the paths that it reads, sorted.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Path>), ConditionError> {
    guard::check(text)?;
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("condition".into()).stack_size(STACK);
        thread.spawn_scoped(scope, || on_own_stack(text)).map(|running| running.join())
    });
    match parsed {
        Ok(Ok(result)) => result,
        Ok(Err(_)) | Err(_) => Err(broken(text)),
    }
}

fn on_own_stack(text: &str) -> Result<(Node, Vec<Path>), ConditionError> {
    let parser = Env::default().with_optional_support(false).parser();
    let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse_with_source_info(text))).map_err(|_| broken(text))?;
    let (expression, places) = parsed.map_err(|errors| first(text, errors))?;
    let mut lower = Lower { text, places: &places, paths: Vec::new(), locals: Vec::new(), loops: 0, moved: None };
    let mut node = lower.node(&expression, 0)?;
    let mut paths = std::mem::take(&mut lower.paths);
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.sort_by(|left, right| paths[*left].cmp(&paths[*right]));
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    renumber(&mut node, &place);
    paths.sort();
    Ok((node, paths))
}

fn broken(text: &str) -> ConditionError {
    ConditionError {
        offset: 0,
        width: text.len().max(1),
        problem: "the parser could not work on this text".into(),
        accepted: "a CEL expression".into(),
    }
}

/// The first of the parser's errors, in our words and with bytes for its line and column.
fn first(text: &str, errors: cel::ParseErrors) -> ConditionError {
    let Some(error) = errors.errors.into_iter().next() else { return broken(text) };
    let line_start: usize =
        text.split_inclusive('\n').take((error.pos.0.max(1) - 1) as usize).map(str::len).sum::<usize>().min(text.len());
    let line = text[line_start..].lines().next().unwrap_or("");
    let column = (error.pos.1.max(1) - 1) as usize;
    let in_line = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    let offset = line_start + in_line;
    let width = token_width(&text[offset..]);
    let found = &text[offset..offset + width];
    let what = error.msg.trim_start_matches("Syntax error: ");
    let problem = if error.pos.1 < 1 {
        "the condition cannot be read".to_owned()
    } else if offset >= text.trim_end().len() {
        "the condition ends too early".to_owned()
    } else if what.starts_with("reserved identifier") {
        format!("{found:?} is a reserved word")
    } else {
        format!("{found:?} was not expected here")
    };
    let accepted = match found {
        "=" => "`==` to compare",
        "&" => "`&&` for and",
        "|" => "`||` for or",
        "and" | "AND" => "`&&` for and",
        "or" | "OR" => "`||` for or",
        "not" | "NOT" => "`!` for not",
        "<>" => "`!=` for unequal",
        "'" | "\"" => "text with its closing quote on the same line",
        _ if !found.is_ascii() => "names of the letters a to z, digits and `_`; other letters only in quotes",
        _ if found.bytes().all(|byte| byte.is_ascii_digit()) && found.len() > 18 => {
            "whole numbers of 64 bits with a sign"
        }
        "`" => "a name of letters, digits and `_`; other keys as ['a-key']",
        _ => "a CEL expression such as `data.type == 'usage' && data.age_days > 1095`",
    };
    ConditionError { offset, width: width.max(1), problem, accepted: accepted.to_owned() }
}

/// How long the word or sign is that a text begins with.
fn token_width(rest: &str) -> usize {
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) }
}

struct Lower<'a> {
    text: &'a str,
    places: &'a SourceInfo,
    paths: Vec<Path>,
    /// Names bound by `exists` and its kin, outermost first.
    locals: Vec<Str>,
    loops: usize,
    /// The better place for the call that was just read: the parser places calls at their bracket.
    moved: Option<(usize, usize)>,
}

impl Lower<'_> {
    fn node(&mut self, from: &IdedExpr, depth: usize) -> Result<Node, ConditionError> {
        let at = self.place(from.id);
        if depth > MAX_DEPTH {
            return Err(error(at, "the condition is nested too deeply", "shorter chains; split it into several rules"));
        }
        if let Some(path) = self.path(from)? {
            return Ok(path);
        }
        let op = match &from.expr {
            Expr::Literal(literal) => Op::Literal(literal_value(literal, at)?),
            Expr::Ident(name) => match self.locals.iter().rposition(|local| **local == **name) {
                Some(slot) => Op::Local(slot, Str::from(name.as_str())),
                None => return Err(error(at, &format!("{name:?} cannot be read"), "a name")),
            },
            Expr::Select(select) => {
                Op::Select(Box::new(self.node(&select.operand, depth + 1)?), Str::from(select.field.as_str()))
            }
            Expr::List(list) => Op::List(self.nodes(&list.elements, depth)?),
            Expr::Map(map) => Op::Map(
                map.entries
                    .iter()
                    .map(|entry| match &entry.expr {
                        EntryExpr::MapEntry(pair) => match &pair.key.expr {
                            Expr::Literal(LiteralValue::String(key)) => {
                                Ok((Str::from(key.inner()), self.node(&pair.value, depth + 1)?))
                            }
                            _ => Err(error(at, "a key of a map is not text", "keys in quotes")),
                        },
                        EntryExpr::StructField(_) => Err(error(at, "a structure", "a map with keys in quotes")),
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Expr::Call(call) => self.call(call, at, depth)?,
            Expr::Struct(_) => return Err(error(at, "a structure", "a map with keys in quotes")),
            Expr::Comprehension(_) | Expr::Unspecified => {
                return Err(error(at, "this cannot be evaluated", "a CEL expression"));
            }
        };
        Ok(Node { op, at: self.moved.take().unwrap_or(at) })
    }

    fn nodes(&mut self, from: &[IdedExpr], depth: usize) -> Result<Vec<Node>, ConditionError> {
        from.iter().map(|item| self.node(item, depth + 1)).collect()
    }

    fn boxed(&mut self, from: &IdedExpr, depth: usize) -> Result<Box<Node>, ConditionError> {
        self.node(from, depth + 1).map(Box::new)
    }

    fn call(&mut self, call: &CallExpr, at: (usize, usize), depth: usize) -> Result<Op, ConditionError> {
        let name = call.func_name.as_str();
        if call.target.is_none() {
            match (name, &call.args[..]) {
                (operators::LOGICAL_AND | operators::LOGICAL_OR, args) => {
                    let mut parts = Vec::new();
                    self.chain(name, args, &mut parts, depth)?;
                    return Ok(if name == operators::LOGICAL_AND { Op::And(parts) } else { Op::Or(parts) });
                }
                (operators::LOGICAL_NOT, [inner]) => return Ok(Op::Not(self.boxed(inner, depth)?)),
                (operators::NEGATE, [inner]) => return Ok(Op::Negate(self.boxed(inner, depth)?)),
                (operators::CONDITIONAL, [test, yes, no]) => {
                    return Ok(Op::Choose(self.boxed(test, depth)?, self.boxed(yes, depth)?, self.boxed(no, depth)?));
                }
                (operators::INDEX, [inner, index]) => {
                    return Ok(Op::Index(self.boxed(inner, depth)?, self.boxed(index, depth)?));
                }
                (operators::HAS, [tested]) => return self.has(tested, at, depth),
                (_, [left, right]) => {
                    if let Some((op, ..)) = Binary::ALL.into_iter().find(|(_, known, _)| *known == name) {
                        return Ok(Op::Binary(op, self.boxed(left, depth)?, self.boxed(right, depth)?));
                    }
                }
                _ => {}
            }
        }
        if let (Some(range), Some((how, _))) = (&call.target, How::ALL.into_iter().find(|(_, word)| *word == name)) {
            return self.each(how, range, &call.args, at, depth);
        }
        self.function(call, at, depth)
    }

    /// One flat list for a chain of `&&` or of `||`, which the parser balances into a tree.
    fn chain(
        &mut self,
        name: &str,
        args: &[IdedExpr],
        parts: &mut Vec<Node>,
        depth: usize,
    ) -> Result<(), ConditionError> {
        for arg in args {
            match &arg.expr {
                Expr::Call(inner) if inner.func_name == name && inner.target.is_none() && depth < MAX_DEPTH => {
                    self.chain(name, &inner.args, parts, depth + 1)?;
                }
                _ => parts.push(self.node(arg, depth + 1)?),
            }
        }
        Ok(())
    }

    fn has(&mut self, tested: &IdedExpr, at: (usize, usize), depth: usize) -> Result<Op, ConditionError> {
        let wrong = || error(at, "has() takes a field", "`has(name.field)`; other keys as `'a-key' in name`");
        if let Some(path) = self.path(tested)? {
            return match path.op {
                Op::Path(index, text) if self.paths[index].segments.len() > 1 => {
                    self.moved = Some(path.at);
                    Ok(Op::Has(index, text))
                }
                _ => Err(wrong()),
            };
        }
        match &tested.expr {
            Expr::Select(select) => {
                Ok(Op::HasField(self.boxed(&select.operand, depth)?, Str::from(select.field.as_str())))
            }
            _ => Err(wrong()),
        }
    }

    fn each(
        &mut self,
        how: How,
        range: &IdedExpr,
        args: &[IdedExpr],
        at: (usize, usize),
        depth: usize,
    ) -> Result<Op, ConditionError> {
        let form = match how {
            How::Map => "`list.map(name, value)` or `list.map(name, test, value)`".to_owned(),
            _ => format!("`list.{}(name, test)`", how.word()),
        };
        let (name, test, make) = match (how, args) {
            (How::Map, [name, make]) => (name, None, Some(make)),
            (How::Map, [name, test, make]) => (name, Some(test), Some(make)),
            (_, [name, test]) if how != How::Map => (name, Some(test), None),
            _ => return Err(error(at, &format!("{} has {} arguments", how.word(), args.len()), &form)),
        };
        let Expr::Ident(name) = &name.expr else {
            return Err(error(at, &format!("the first argument of {} is not a name", how.word()), &form));
        };
        let range = self.node(range, depth + 1)?;
        if self.loops == MAX_LOOPS {
            return Err(error(
                at,
                &format!("more than {MAX_LOOPS} of exists, all, filter and map inside one another"),
                &format!("at most {MAX_LOOPS}"),
            ));
        }
        self.loops += 1;
        self.locals.push(Str::from(name.as_str()));
        let slot = self.locals.len() - 1;
        let test = test.map(|test| self.node(test, depth + 1)).transpose();
        let make = make.map(|make| self.node(make, depth + 1)).transpose();
        self.locals.pop();
        self.loops -= 1;
        Ok(Op::Each(Box::new(Each { how, range, name: Str::from(name.as_str()), slot, test: test?, make: make? })))
    }

    fn function(&mut self, call: &CallExpr, at: (usize, usize), depth: usize) -> Result<Op, ConditionError> {
        let name = call.func_name.as_str();
        // Its place in the source is the bracket's.
        let at = match self.text.get(..at.0).map(|before| before.trim_end()) {
            Some(before) if before.ends_with(name) => (before.len() - name.len(), name.len()),
            _ => at,
        };
        let Some(signature) = functions::ALL.iter().find(|known| known.name == name) else {
            let names: Vec<&str> =
                functions::ALL.iter().map(|known| known.name).chain(How::ALL.map(|(_, word)| word)).collect();
            let plain: Vec<&str> = names.iter().copied().filter(|name| !name.starts_with("get")).collect();
            let shown = name.trim_matches(|c: char| !c.is_alphanumeric());
            let near = nearest(name, names.iter().copied()).map(|near| format!("; did you mean {near}()?"));
            return Err(error(
                at,
                &format!("there is no function {shown:?}{}", near.unwrap_or_default()),
                &format!("{}, and the parts of times such as getHours", plain.join(", ")),
            ));
        };
        let count = call.args.len();
        let fits = match &call.target {
            Some(_) => signature.method.is_some_and(|(least, most)| (least..=most).contains(&count)),
            None => signature.function == Some(count),
        };
        if !fits {
            let plural = |count: usize| if count == 1 { "1 argument".into() } else { format!("{count} arguments") };
            let method = signature.method.map(|(least, most)| {
                format!(
                    "value.{name}() with {}",
                    if least == most { plural(most) } else { format!("{least} or {most} arguments") }
                )
            });
            let function = signature.function.map(|count| format!("{name}() with {}", plural(count)));
            let forms: Vec<String> = function.into_iter().chain(method).collect();
            let how = if call.target.is_some() { "as a method" } else { "as a function" };
            return Err(error(at, &format!("{name} {how} with {}", plural(count)), &forms.join(", or ")));
        }
        let mut args = Vec::with_capacity(count + 1);
        for from in call.target.as_deref().into_iter().chain(&call.args) {
            args.push(self.node(from, depth + 1)?);
        }
        let function = if name == "matches" {
            match &args[1].op {
                Op::Literal(Value::Text(text)) => Function::Matches(functions::pattern(text).map_err(|problem| {
                    error(args[1].at, &problem, "a regular expression that the Rust crate `regex` takes")
                })?),
                _ => return Err(error(at, "the pattern of matches() is not written out", "a pattern in quotes")),
            }
        } else {
            functions::find(signature, args.len(), call.target.is_some())
        };
        let method = call.target.is_some();
        // What needs no facts is reckoned now, so that a wrong `duration('4 days')` is an error of the policy.
        if matches!(function, Function::Duration | Function::Standard(_))
            && let Some(given) = args.iter().map(literal_of).collect::<Option<Vec<_>>>()
        {
            let value = functions::call(&function, name, &given).map_err(|problem| {
                let (problem, accepted) = problem.split_once("; accepted: ").unwrap_or((&problem, "another value"));
                error(args[0].at, problem, accepted)
            })?;
            self.moved = Some(at);
            return Ok(Op::Literal(value));
        }
        self.moved = Some(at);
        Ok(Op::Call(Box::new(Call { function, name: signature.name, method, args })))
    }

    /// A path: a name that is not bound, then fields and keys in quotes.
    fn path(&mut self, from: &IdedExpr) -> Result<Option<Node>, ConditionError> {
        let mut segments = Vec::new();
        let mut at = from;
        loop {
            match &at.expr {
                Expr::Ident(name) => {
                    if self.locals.iter().any(|local| **local == **name) {
                        return Ok(None);
                    }
                    segments.push(Str::from(name.as_str()));
                    break;
                }
                Expr::Select(select) if !select.test => {
                    segments.push(Str::from(select.field.as_str()));
                    at = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX && call.target.is_none() => {
                    let [inner, index] = &call.args[..] else { return Ok(None) };
                    let Expr::Literal(LiteralValue::String(key)) = &index.expr else { return Ok(None) };
                    segments.push(Str::from(key.inner()));
                    at = inner;
                }
                _ => return Ok(None),
            }
        }
        if segments.len() > super::MAX_SEGMENTS {
            return Err(error(
                self.place(from.id),
                &format!("a name with {} parts", segments.len()),
                &format!("at most {} parts", super::MAX_SEGMENTS),
            ));
        }
        segments.reverse();
        let text = segments.join(".");
        let index = self.paths.iter().position(|known| *known.segments == *segments).unwrap_or_else(|| {
            self.paths.push(Path { text, segments: segments.into() });
            self.paths.len() - 1
        });
        let (start, _) = self.place(at.id);
        let (last, width) = self.place(from.id);
        // A field's place in the source is its dot's; the name behind it belongs to the path as well.
        let end = last + width;
        let end = match self.text.get(last..) {
            Some(rest) if rest.starts_with('.') => last + 1 + token_width(&self.text[last + 1..]),
            Some(rest) if rest.starts_with('[') => rest.find(']').map_or(end, |close| last + close + 1),
            _ => end,
        };
        let written = shown(&self.paths[index]);
        Ok(Some(Node { op: Op::Path(index, written), at: (start, end.saturating_sub(start).max(1)) }))
    }

    /// Byte offset and length of a node's sign.
    fn place(&self, id: u64) -> (usize, usize) {
        let (start, stop) = self.places.offset_for(id).unwrap_or_default();
        let mut start = (start as usize).min(self.text.len());
        let mut end = (stop as usize).saturating_add(1).clamp(start, self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        (start, (end - start).max(1))
    }
}

/// A path as a condition writes it: keys that are no names in brackets.
fn shown(path: &Path) -> Arc<str> {
    let mut text = String::new();
    for (index, segment) in path.segments.iter().enumerate() {
        let plain = segment
            .chars()
            .enumerate()
            .all(|(at, c)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit()));
        match (index, plain && !segment.is_empty()) {
            (0, _) => text.push_str(segment),
            (_, true) => {
                text.push('.');
                text.push_str(segment);
            }
            (_, false) => text.push_str(&format!("[{}]", Value::Text(segment.clone()))),
        }
    }
    Arc::from(text)
}

fn literal_of(node: &Node) -> Option<&Value> {
    match &node.op {
        Op::Literal(value) => Some(value),
        _ => None,
    }
}

fn literal_value(literal: &LiteralValue, at: (usize, usize)) -> Result<Value, ConditionError> {
    Ok(match literal {
        LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
        LiteralValue::Int(value) => Value::Int(*value.inner()),
        LiteralValue::UInt(value) => Value::Int(
            i64::try_from(*value.inner())
                .map_err(|_| error(at, "the number is too large", "whole numbers of 64 bits with a sign"))?,
        ),
        LiteralValue::Double(value) if value.inner().is_finite() => Value::Double(*value.inner()),
        LiteralValue::Double(_) => return Err(error(at, "the number is too large", "a finite number")),
        LiteralValue::String(text) => Value::text(text.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::Bytes(_) => return Err(error(at, "bytes", "text in quotes")),
    })
}

/// Gives each path the place that sorting gave it.
fn renumber(node: &mut Node, place: &[usize]) {
    match &mut node.op {
        Op::Path(index, _) | Op::Has(index, _) => *index = place[*index],
        Op::Literal(_) | Op::Local(..) => {}
        Op::Select(inner, _) | Op::HasField(inner, _) | Op::Not(inner) | Op::Negate(inner) => renumber(inner, place),
        Op::Index(left, right) | Op::Binary(_, left, right) => {
            renumber(left, place);
            renumber(right, place);
        }
        Op::And(parts) | Op::Or(parts) | Op::List(parts) => parts.iter_mut().for_each(|part| renumber(part, place)),
        Op::Choose(test, yes, no) => [test, yes, no].into_iter().for_each(|part| renumber(part, place)),
        Op::Map(entries) => entries.iter_mut().for_each(|(_, value)| renumber(value, place)),
        Op::Each(each) => {
            renumber(&mut each.range, place);
            each.test.iter_mut().chain(&mut each.make).for_each(|part| renumber(part, place));
        }
        Op::Call(call) => call.args.iter_mut().for_each(|arg| renumber(arg, place)),
    }
}

pub(super) fn error(at: (usize, usize), problem: &str, accepted: &str) -> ConditionError {
    ConditionError { offset: at.0, width: at.1, problem: problem.to_owned(), accepted: accepted.to_owned() }
}
