//! Every `[[source]]` of a file.

use domain::hint::hint;
use domain::secret::Secret;
use domain::signature::Scheme;
use pipeline::Plugins;
use pipeline::reconcile::SourceSpec;

use super::problem::Problems;
use super::section::{Section, display, elements};
use super::settings::{masked, settings};
use super::show::{Line, Origin};
use super::value::{Kind, Value};

const KEYS: &[&str] = &["name", "kind", "scheme", "secrets", "settings"];

/// Reads every `[[source]]`.
pub(crate) fn read(value: &Value, plugins: Plugins, problems: &mut Problems, shown: &mut Vec<Line>) -> Vec<SourceSpec> {
    let mut sources: Vec<SourceSpec> = Vec::new();
    for (path, element) in elements(value, "source", problems) {
        let Some(mut section) = Section::open(element, path, KEYS, problems) else { continue };
        let source = source(&mut section, plugins);
        if let Some(source) = &source
            && sources.iter().any(|other| other.name == source.name)
        {
            section.fail(Some("name"), format!("there is another source named `{}`; names are unique", source.name));
        }
        shown.extend(section.into_shown());
        sources.extend(source);
    }
    sources
}

fn source(section: &mut Section<'_>, plugins: Plugins) -> Option<SourceSpec> {
    let name = section.required("name", "it is the last part of the path: `/webhooks/<name>`");
    let kind: Option<String> = section.required("kind", "write `tolinku`, or `generic` for any other sender of JSON");
    let scheme = section.read("scheme", Scheme::default(), Scheme::default().name());
    let secrets = secrets(section);

    let kind = kind?;
    let known: Vec<_> = plugins.dialects.iter().map(|dialect| dialect.manifest()).collect();
    let Some(manifest) = known.iter().find(|manifest| manifest.name == kind) else {
        let names: Vec<_> = known.iter().map(|manifest| manifest.name).collect();
        section.fail(Some("kind"), format!("`{kind}` is not a kind of source; {}", hint(&kind, &names)));
        return None;
    };
    let settings = settings(section, manifest.name, manifest.fields);
    Some(SourceSpec { name: name?, kind, scheme: scheme?, secrets: secrets?, settings: settings? })
}

/// The secrets of a source: a list of texts, shown only by their ends.
fn secrets(section: &mut Section<'_>) -> Option<Vec<Secret>> {
    let Some(value) = section.value("secrets").cloned() else {
        let name = section.name_of("secrets");
        section.fail(None, format!("`{name}` is missing; write `secrets = [\"${{TOLINKU_WEBHOOK_SECRET}}\"]`"));
        return None;
    };
    let Kind::List(items) = &value.kind else {
        let name = section.name_of("secrets");
        section.fail(Some("secrets"), format!("`{name}` must be a list of texts, not {}", value.noun()));
        return None;
    };
    let texts: Option<Vec<&Value>> =
        items.iter().map(|item| matches!(item.kind, Kind::Text(_)).then_some(item)).collect();
    let Some(texts) = texts else {
        let name = section.name_of("secrets");
        section.fail(Some("secrets"), format!("`{name}` must hold texts only"));
        return None;
    };
    let shown: Vec<String> = texts.iter().map(|text| masked(text)).collect();
    section.show("secrets", shown.join(", "), Origin::Line(value.line));
    Some(texts.iter().map(|text| Secret::new(display(&text.to_json()))).collect())
}
