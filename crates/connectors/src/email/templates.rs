//! Which template an event gets, by its campaign, and what becomes of it.

use domain::connector::{Item, SettingsError};
use domain::expression::{Escape, ExpressionError, Template};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};
use serde_json::{Map, Value, json};

use super::letter::Content;
use super::{OwnTemplates, Refusal};
use crate::common::on_one_line;

/// Most campaigns with a template of their own.
const TEMPLATES_MAX: usize = 200;
/// Longest subject, in characters; what mail programs show is a tenth of it.
const SUBJECT_CHARS_MAX: usize = 400;
/// The members of one template.
const MEMBERS: [&str; 4] = ["subject", "text", "html", "template"];

/// The templates of a destination.
#[derive(Debug)]
pub(super) struct Templates {
    /// What names the template of an event; its campaign if there is nothing else.
    choose: Option<Template>,
    named: Vec<(String, Body)>,
    otherwise: Option<Body>,
    dynamic_data: Mapping,
}

/// One template.
#[derive(Debug)]
enum Body {
    Ours { subject: Template, text: Option<Box<Template>>, html: Option<Box<Template>> },
    Theirs { id: String, subject: Option<Template> },
}

impl Templates {
    pub(super) fn read(settings: &Settings, own: OwnTemplates) -> Result<Self, SettingsError> {
        let choose = settings.text("choose").map(|text| compile("choose", text)).transpose()?;
        let subject = settings.text("subject");
        let named = settings.object("templates").into_iter().flatten();
        let named = named.map(|(name, entry)| {
            let entry = match entry {
                Value::String(id) => &Map::from_iter([("template".to_owned(), Value::from(id.as_str()))]),
                Value::Object(entry) => entry,
                _ => {
                    return Err(SettingsError::new(
                        "templates",
                        format!("holds `{name}`, which is neither the id of a template nor an object"),
                    ));
                }
            };
            let body = Body::read("templates", &format!("holds `{name}`, which "), entry, subject, own)?;
            Ok((name.clone(), body))
        });
        let named: Vec<_> = named.collect::<Result<_, _>>()?;
        if named.len() > TEMPLATES_MAX {
            return Err(SettingsError::new("templates", format!("has more than {TEMPLATES_MAX} templates")));
        }
        let has_default = ["text", "html", "template"].iter().any(|name| settings.0.contains_key(*name));
        let otherwise = has_default.then(|| Body::read("template", "", &settings.0, subject, own)).transpose()?;
        if named.is_empty() && otherwise.is_none() {
            let message = "is missing; say what the mail is: `subject` with `text` or `html`, a `template` of the \
                provider, or `templates` by campaign";
            return Err(SettingsError::new("template", message));
        }
        // One for the campaigns whose mail is written here stands for itself.
        let is_ours = |body: &Body| matches!(body, Body::Ours { .. });
        let is_used = || named.iter().map(|(_, body)| body).chain(&otherwise).any(is_ours);
        if own == OwnTemplates::WithOwnSubject && subject.is_some() && !is_used() {
            return Err(SettingsError::new("subject", format!("has no effect; {SUBJECT_IN_TEMPLATE}")));
        }
        let none = Map::new();
        let dynamic_data = Mapping::compile(settings.object("dynamic_data").unwrap_or(&none))
            .map_err(|message| SettingsError::new("dynamic_data", message))?;
        Ok(Self { choose, named, otherwise, dynamic_data })
    }

    /// What the mail about an event says.
    pub(super) fn write(&self, item: &Item<'_>) -> Result<Content, Verdict> {
        let name = match &self.choose {
            Some(template) => rendered("choose", template, item)?,
            None => item.fields().campaign.map(String::from).unwrap_or_default(),
        };
        let named = self.named.iter().find(|(known, _)| *known == name).map(|(_, body)| body);
        let Some(body) = named.or(self.otherwise.as_ref()) else {
            return Err(Verdict::skip(match name.as_str() {
                "" => "the event names no campaign, and there is no template for those".to_owned(),
                name => format!("there is no template for `{}`", on_one_line(name, 80)),
            }));
        };
        let page = |field, page: &Option<Box<Template>>| {
            page.as_ref().map(|it| rendered(field, it, item).map(|text| without_controls(&text))).transpose()
        };
        Ok(match body {
            Body::Ours { subject, text, html } => Content::Rendered {
                subject: on_subject_line(subject, item)?,
                text: page("text", text)?,
                html: page("html", html)?,
            },
            Body::Theirs { id, subject } => Content::Template {
                id: id.clone(),
                subject: subject.as_ref().map(|it| on_subject_line(it, item)).transpose()?,
                data: self.data(item)?,
            },
        })
    }

    /// What the provider's template is filled with: the document's two names, and what the destination adds.
    fn data(&self, item: &Item<'_>) -> Result<Map<String, Value>, Refusal> {
        let fields = item.fields();
        let mut data = Map::new();
        if let Some(campaign) = &fields.campaign {
            data.insert("campaign_name".to_owned(), json!(campaign));
        }
        let content = item.data().get("route_params").filter(|params| !params.is_null()).cloned();
        if let Some(content) = content.or_else(|| fields.route.as_deref().map(Value::from)) {
            data.insert("deep_link_content".to_owned(), content);
        }
        self.dynamic_data
            .apply(item.value(), &mut data)
            .map_err(|error| Refusal::new(FailureReason::TemplateError, format!("setting `dynamic_data`: {error}")))?;
        Ok(data)
    }
}

impl Body {
    fn read(
        field: &str,
        begin: &str,
        entry: &Map<String, Value>,
        subject: Option<&str>,
        own: OwnTemplates,
    ) -> Result<Self, SettingsError> {
        let wrong = |what: String| SettingsError::new(field, format!("{begin}{what}"));
        if field == "templates" {
            for (name, value) in entry {
                if !MEMBERS.contains(&name.as_str()) || !value.is_string() {
                    return Err(wrong(format!(
                        "has a member `{name}`; a template has the texts `subject`, `text`, `html` or `template`"
                    )));
                }
            }
        }
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let compiled = |name: &str, escape| {
            let page = |source| Template::compile_page(source, escape).map(Box::new);
            text(name).map(page).transpose().map_err(|error| wrong(format!("does not compile at `{name}`: {error}")))
        };
        let is_own = text("subject").is_some();
        let subject = text("subject").or(subject);
        let subject = subject.map(|text| compile("subject", text)).transpose()?;
        match (text("template"), text("text").is_some() || text("html").is_some()) {
            (Some(_), true) => Err(wrong("stands beside `text` or `html`; keep one of them".to_owned())),
            (Some(_), false) if own == OwnTemplates::None => Err(wrong(
                "is a template of a provider, and a mail server has none; write `subject` with `text` or `html`"
                    .to_owned(),
            )),
            (Some(_), false) if own == OwnTemplates::WithSubject && subject.is_none() => {
                Err(SettingsError::new("subject", "is missing; the provider wants one with its templates too"))
            }
            (Some(_), false) if own == OwnTemplates::WithOwnSubject && field == "templates" && is_own => {
                Err(wrong(format!("has a `subject` beside its `template`; {SUBJECT_IN_TEMPLATE}")))
            }
            (Some(id), false) => Ok(Self::Theirs { id: id.to_owned(), subject }),
            (None, true) => {
                let subject = subject.ok_or_else(|| SettingsError::new("subject", "is missing; a mail has one"))?;
                Ok(Self::Ours { subject, text: compiled("text", Escape::None)?, html: compiled("html", Escape::Html)? })
            }
            (None, false) => Err(wrong("has neither `text` nor `html` nor `template`".to_owned())),
        }
    }
}

/// What to do about a subject that the provider would not take notice of.
const SUBJECT_IN_TEMPLATE: &str = "the provider takes the subject from its template, so write it there";

fn compile(field: &str, text: &str) -> Result<Template, SettingsError> {
    Template::compile(text, Escape::None)
        .map_err(|error| SettingsError::new(field, format!("does not compile: {error}")))
}

fn rendered(field: &str, template: &Template, item: &Item<'_>) -> Result<String, Refusal> {
    let failed =
        |error: ExpressionError| Refusal::new(FailureReason::TemplateError, format!("setting `{field}`: {error}"));
    template.render(item.value()).map_err(failed)
}

/// A line break in a subject would begin another header.
fn on_subject_line(subject: &Template, item: &Item<'_>) -> Result<String, Refusal> {
    let line = on_one_line(&rendered("subject", subject, item)?, SUBJECT_CHARS_MAX);
    if line.is_empty() {
        return Err(Refusal::unprocessable("setting `subject` comes out empty; write something beside the expression"));
    }
    Ok(line)
}

/// A body without the control characters that are neither line breaks nor tabs: mail cannot carry all of them, and no
/// reader wants any.
fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect()
}
