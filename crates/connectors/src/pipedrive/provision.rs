//! The custom fields, made where they are missing, one after the other: who makes two of the same name at once gets two. Nothing is ever
//! changed that is there.

use domain::connector::{Action, Call, Reply};
use serde_json::Value;

use super::answer;
use super::calls::Entity;
use super::fields::{Custom, TEXT};
use super::lookup;
use super::refusal::{self, Refusal};
use super::settings::{Account, Properties};

impl Account {
    fn entities(&self) -> Vec<(Entity, &Properties)> {
        let deals = self.has_deals().then_some((Entity::Deal, &self.deals.properties));
        std::iter::once((Entity::Person, &self.people)).chain(deals).collect()
    }
}

/// The fields of people and, where there are deals, of deals.
pub(super) fn survey(account: &Account) -> Vec<Call> {
    account.entities().into_iter().map(|(entity, _)| account.list_fields(entity, None)).collect()
}

pub(super) fn plan(account: &Account, replies: &[Reply]) -> Result<Vec<Action>, String> {
    let mut actions = Vec::new();
    for (at, (entity, properties)) in account.entities().into_iter().enumerate() {
        let reply = replies.get(at).ok_or("Pipedrive was not asked")?;
        let there = fields(account, reply)?;
        if answer::next_cursor(reply).is_some() {
            return Err(format!("there are more than 500 fields of {}; delete some that nobody uses", entity.plural()));
        }
        for name in lookup::names(account, entity) {
            let same: Vec<_> = there.iter().filter(|(known, _)| *known == name).map(|(_, custom)| custom).collect();
            let ours = properties.custom().into_iter().find(|(known, _)| *known == name).and_then(|(_, ours)| ours);
            match same[..] {
                [] => {
                    let kind = ours.map_or(TEXT, |ours| ours.kind());
                    actions.push(Action {
                        reason: format!("create field `{name}` of {}, as `{kind}`", entity.plural()),
                        call: account.make_field(entity, &name, kind),
                    });
                }
                [custom] => check(account, entity, &name, custom, properties)?,
                _ => {
                    return Err(format!(
                        "there are {} fields `{name}` of {}, and nobody can tell which is meant; rename or delete all but one",
                        same.len(),
                        entity.plural()
                    ));
                }
            }
        }
    }
    Ok(actions)
}

pub(super) fn is_done(reply: &Reply) -> Result<(), String> {
    match answer::data(reply).filter(|_| reply.is_success()) {
        Some(data) if data["field_code"].is_string() => Ok(()),
        _ => Err(said(reply)),
    }
}

/// Whether a field that is there will do.
fn check(
    account: &Account,
    entity: Entity,
    name: &str,
    custom: &Custom,
    properties: &Properties,
) -> Result<(), String> {
    let kind = &custom.kind;
    if name == account.key_field {
        return if custom.can_be_key() {
            Ok(())
        } else {
            let of = entity.plural();
            Err(format!(
                "field `{name}` of {of} is there already and of type `{kind}`, which cannot be searched; set `key_field` to another name"
            ))
        };
    }
    // What the settings fill themselves may be of any kind; only they know what they write.
    let ours = properties.custom().into_iter().find(|(known, _)| *known == name).and_then(|(_, ours)| ours);
    match ours.filter(|ours| !properties.is_overridden(name) && !custom.takes(ours)) {
        None => Ok(()),
        Some(ours) => Err(format!(
            "field `{name}` of {} is of type `{kind}` and a `{}` is written; rename it, or leave it out by `properties.\"{name}\" = \"\"` \
             and fill another one in its place",
            entity.plural(),
            ours.kind()
        )),
    }
}

fn fields(account: &Account, reply: &Reply) -> Result<Vec<(String, Custom)>, String> {
    let data = answer::data(reply).filter(|_| reply.is_success());
    let list = data.as_ref().and_then(Value::as_array);
    let Some(list) = list else {
        return Err(match refusal::sort(reply, account.token_share) {
            Refusal::Everybody(_) | Refusal::NotFound(_) | Refusal::Unclear(_) if !reply.is_success() => said(reply),
            _ => "what answers is not Pipedrive; see whether `domain` is the company's".to_owned(),
        });
    };
    Ok(list.iter().filter_map(Custom::read).collect())
}

fn said(reply: &Reply) -> String {
    let text = refusal::words(reply);
    match reply.status {
        401 => format!("Pipedrive refused the API token ({text}); copy it again from Personal preferences › API"),
        403 if text.contains("limit") => {
            format!(
                "the plan has no room for more custom fields ({text}); delete some that nobody uses, or take a larger plan"
            )
        }
        403 => format!(
            "the user of the API token may not make custom fields ({text}); have an admin put an admin's token into `api_token` until this \
             is done, or make the fields by hand under Settings › Data fields"
        ),
        status => format!("Pipedrive answered with {status}: {text}"),
    }
}
