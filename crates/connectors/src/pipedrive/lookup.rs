//! Which codes the fields have, and which ids pipeline and stage. They differ from company to company and nobody can choose them, so
//! they are looked up by name once, and again when something that is written turns out to be gone.

use std::collections::BTreeMap;

use domain::Verdict;
use domain::connector::{Call, Progress, Reply};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer;
use super::bound::FIELDS;
use super::calls::Entity;
use super::fields::{Custom, Ours, TEXT};
use super::settings::Account;
use crate::warehouse::PROVISION;

/// Most pages of one list.
const PAGES_MAX: u32 = 4;
/// Most names that are told to a person.
const NAMES_MAX: usize = 20;

/// Everything that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schema {
    place: String,
    people: BTreeMap<String, Custom>,
    deals: BTreeMap<String, Custom>,
    pipeline: Option<Named>,
    stage: Option<Named>,
}

/// A pipeline or a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    name: String,
    id: u64,
}

impl Schema {
    /// What was kept, if it is from this company and has all that the settings want.
    pub(super) fn kept(account: &Account, progress: &Progress) -> Option<Self> {
        let schema: Self = serde_json::from_str(progress.bound(FIELDS)?).ok()?;
        let names = |named: &Option<Named>| named.as_ref().map(|named| named.name.clone());
        let is_whole = schema.place == account.place
            && schema.missing(account, Entity::Person).is_empty()
            && (!account.has_deals()
                || (schema.missing(account, Entity::Deal).is_empty()
                    && names(&schema.pipeline) == account.deals.pipeline
                    && names(&schema.stage) == account.deals.stage));
        is_whole.then_some(schema)
    }

    /// What would be looked up, with names in place of codes: for a preview.
    pub(super) fn by_names(account: &Account) -> Self {
        let people = account.people.custom().into_iter().map(|(name, ours)| (name, ours.map_or(TEXT, Ours::kind)));
        let key = (account.key_field.as_str(), TEXT);
        let named = |(name, kind): (&str, &str)| (name.to_owned(), Custom::by_name(name, kind));
        Self {
            place: account.place.clone(),
            people: people.chain([key]).map(named).collect(),
            deals: BTreeMap::new(),
            pipeline: None,
            stage: None,
        }
    }

    pub(super) fn keep(&self, progress: &mut Progress) {
        progress.bind(FIELDS, serde_json::to_string(self).unwrap_or_default());
    }

    pub(super) fn field(&self, entity: Entity, name: &str) -> Option<&Custom> {
        self.of(entity).get(name)
    }

    /// The code of the field by which records are told.
    pub(super) fn key(&self, account: &Account, entity: Entity) -> &str {
        self.field(entity, &account.key_field).map_or("", |custom| custom.code.as_str())
    }

    pub(super) fn codes(&self, entity: Entity) -> Vec<&str> {
        self.of(entity).values().map(|custom| custom.code.as_str()).collect()
    }

    pub(super) fn pipeline(&self) -> Option<u64> {
        self.pipeline.as_ref().map(|named| named.id)
    }

    pub(super) fn stage(&self) -> Option<u64> {
        self.stage.as_ref().map(|named| named.id)
    }

    const fn of(&self, entity: Entity) -> &BTreeMap<String, Custom> {
        match entity {
            Entity::Person => &self.people,
            Entity::Deal => &self.deals,
        }
    }

    fn missing(&self, account: &Account, entity: Entity) -> Vec<String> {
        names(account, entity).into_iter().filter(|name| !self.of(entity).contains_key(name)).collect()
    }
}

/// The custom fields that are written, the one for the key first.
pub(super) fn names(account: &Account, entity: Entity) -> Vec<String> {
    let properties = match entity {
        Entity::Person => &account.people,
        Entity::Deal => &account.deals.properties,
    };
    let others = properties.custom().into_iter().map(|(name, _)| name.to_owned());
    std::iter::once(account.key_field.clone()).chain(others).collect()
}

/// A look-up under way.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Lookup {
    list: List,
    cursor: Option<String>,
    pages: u32,
    people: BTreeMap<String, Custom>,
    deals: BTreeMap<String, Custom>,
    /// Each pipeline with its place among them.
    pipelines: Vec<(i64, Named)>,
    /// Each stage with the pipeline that it is in.
    stages: Vec<(u64, Named)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum List {
    #[default]
    PersonFields,
    DealFields,
    Pipelines,
    Stages,
}

impl Lookup {
    pub(super) fn call(&self, account: &Account) -> Call {
        let cursor = self.cursor.as_deref();
        match self.list {
            List::PersonFields => account.list_fields(Entity::Person, cursor),
            List::DealFields => account.list_fields(Entity::Deal, cursor),
            List::Pipelines => account.list_pipelines(cursor),
            List::Stages => account.list_stages(cursor),
        }
    }

    /// Takes in a page. `None` if there is more to be asked.
    pub(super) fn hear(&mut self, account: &Account, data: &Value, reply: &Reply) -> Result<Option<Schema>, Verdict> {
        let entries = data.as_array().map_or(&[][..], Vec::as_slice);
        match self.list {
            List::PersonFields => take(&mut self.people, entries, &names(account, Entity::Person)),
            List::DealFields => take(&mut self.deals, entries, &names(account, Entity::Deal)),
            List::Pipelines => {
                self.pipelines.extend(entries.iter().filter_map(|it| Some((it["order_nr"].as_i64()?, named(it)?))));
            }
            List::Stages => {
                self.stages.extend(entries.iter().filter_map(|it| Some((it["pipeline_id"].as_u64()?, named(it)?))));
            }
        }
        self.pages += 1;
        self.cursor = answer::next_cursor(reply).filter(|_| self.pages < PAGES_MAX);
        if self.cursor.is_some() {
            return Ok(None);
        }
        self.pages = 0;
        match self.following(account) {
            Some(list) => {
                self.list = list;
                Ok(None)
            }
            None => self.schema(account).map(Some),
        }
    }

    fn following(&self, account: &Account) -> Option<List> {
        let wants_stage = account.deals.stage.is_some();
        match self.list {
            List::PersonFields if account.has_deals() => Some(List::DealFields),
            List::DealFields if wants_stage || account.deals.pipeline.is_some() => Some(List::Pipelines),
            List::Pipelines if wants_stage => Some(List::Stages),
            _ => None,
        }
    }

    fn schema(&mut self, account: &Account) -> Result<Schema, Verdict> {
        let pipeline = self.pipeline(account)?;
        let stage = self.stage(account, pipeline.as_ref())?;
        let schema = Schema {
            place: account.place.clone(),
            people: std::mem::take(&mut self.people),
            deals: std::mem::take(&mut self.deals),
            pipeline,
            stage,
        };
        let entities = if account.has_deals() { &[Entity::Person, Entity::Deal][..] } else { &[Entity::Person] };
        for &entity in entities {
            let missing = schema.missing(account, entity);
            if !missing.is_empty() {
                return Err(lacking(entity, &missing));
            }
            let key = schema.field(entity, &account.key_field);
            if let Some(kind) = key.filter(|key| !key.can_be_key()).map(|key| &key.kind) {
                return Err(Verdict::misconfigured(format!(
                    "the field `{}` of {} is of type `{kind}` and cannot be searched; set `key_field` to another name and run {PROVISION}, \
                     then resume the destination",
                    account.key_field,
                    entity.plural()
                )));
            }
        }
        Ok(schema)
    }

    fn pipeline(&self, account: &Account) -> Result<Option<Named>, Verdict> {
        let Some(name) = &account.deals.pipeline else { return Ok(None) };
        let found = self.pipelines.iter().find(|(_, pipeline)| pipeline.name == *name);
        let there = || in_words(self.pipelines.iter().map(|(_, pipeline)| pipeline.name.as_str()));
        found.map(|(_, pipeline)| Some(pipeline.clone())).ok_or_else(|| {
            Verdict::misconfigured(format!(
                "there is no pipeline `{name}` in Pipedrive, only {}; mend `pipeline`, then resume the destination",
                there()
            ))
        })
    }

    /// The stage in the pipeline that is wanted, else in the first one that has it.
    fn stage(&self, account: &Account, pipeline: Option<&Named>) -> Result<Option<Named>, Verdict> {
        let Some(name) = &account.deals.stage else { return Ok(None) };
        let order = |id: u64| self.pipelines.iter().find(|(_, pipeline)| pipeline.id == id).map_or(i64::MAX, |it| it.0);
        let is_in = |id: u64| pipeline.is_none_or(|pipeline| pipeline.id == id);
        let inside = self.stages.iter().filter(|(id, _)| is_in(*id));
        let found = inside.clone().filter(|(_, stage)| stage.name == *name).min_by_key(|(id, _)| order(*id));
        let Some((_, stage)) = found else {
            return Err(Verdict::misconfigured(format!(
                "there is no stage `{name}` in Pipedrive{}, only {}; mend `stage`, then resume the destination",
                pipeline.map(|it| format!(" in pipeline `{}`", it.name)).unwrap_or_default(),
                in_words(inside.map(|(_, stage)| stage.name.as_str()))
            )));
        };
        Ok(Some(stage.clone()))
    }
}

/// What of a list of fields is written; of two with the same name the one that was there first.
fn take(known: &mut BTreeMap<String, Custom>, entries: &[Value], names: &[String]) {
    for (name, custom) in entries.iter().filter_map(Custom::read) {
        if names.contains(&name) {
            known.entry(name).or_insert(custom);
        }
    }
}

fn named(entry: &Value) -> Option<Named> {
    if entry["is_deleted"] == true {
        return None;
    }
    Some(Named { name: entry["name"].as_str()?.trim().to_owned(), id: entry["id"].as_u64()? })
}

/// Something that is written is not there.
fn lacking(entity: Entity, names: &[String]) -> Verdict {
    let setting = match entity {
        Entity::Person => "properties",
        Entity::Deal => "deal_properties",
    };
    Verdict::misconfigured(format!(
        "{} in Pipedrive lack custom fields that are written ({}); run {PROVISION} to make what is missing, or leave it out by \
         `{setting}.\"…\" = \"\"`, then resume the destination",
        entity.plural(),
        in_words(names.iter().map(String::as_str))
    ))
}

fn in_words<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> =
        names.take(NAMES_MAX).map(|name| format!("`{}`", crate::common::on_one_line(name, 60))).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
