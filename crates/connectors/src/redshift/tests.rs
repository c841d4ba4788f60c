//! What the fixture cannot say: how later replies are judged, and what is planned.

use domain::connector::{Call, Means, Progress};
use serde_json::{Value, json};

use super::*;
use crate::kit::{NOW, described, event, fixture, open, reply, with_batch};

const MEANS: Means<'_> = Means { now: NOW, token: None };

fn outlet() -> Box<dyn Outlet> {
    open(&Redshift, &fixture("redshift").default)
}

/// What becomes of a batch whose statement ends like this, each time that it is handed over.
fn after(ends: &[Value]) -> Vec<String> {
    let replies: Vec<_> = ends.iter().flat_map(|end| [json!({"Id": "statement-1"}), end.clone()]).collect();
    after_replies(&replies)
}

fn after_replies(replies: &[Value]) -> Vec<String> {
    let events = [event("link.conversion"), event("link.clicked")];
    let outlet = outlet();
    with_batch(&events, false, |batch| {
        let mut progress = Progress::default();
        let mut step = outlet.prepare(batch, &mut progress);
        for body in replies {
            assert!(matches!(step, Step::Send(_)), "{step:?}");
            progress.replies += 1;
            step = outlet.advance(batch, &mut progress, &reply(200, &[], body.to_string()));
        }
        described(&step)
    })
}

fn failed(error: &str) -> Value {
    json!({"Status": "FAILED", "Error": error})
}

#[test]
fn a_statement_is_what_its_description_says() {
    assert_eq!(after(&[json!({"Status": "FINISHED"})]), ["delivered"; 2]);
    let running = "wait 2000 ms: Redshift is still at the statement; it is asked again";
    let (accepted, started) = (json!({"Id": "statement-1"}), json!({"Status": "STARTED"}));
    assert_eq!(after_replies(&[accepted, started.clone(), started.clone(), started]), [running; 2]);
    for (error, expect) in [
        (
            "ERROR: column \"tenant\" of relation \"x\" does not exist",
            "pause misconfigured: table `public.deep_link_events` lacks",
        ),
        (
            "ERROR: relation \"public.deep_link_events\" does not exist",
            "pause misconfigured: there is no table `public.deep_",
        ),
        ("ERROR: schema \"nope\" does not exist", "pause misconfigured: there is no table"),
        (
            "ERROR: permission denied for relation deep_link_events",
            "pause unauthorized: the database user may not write to",
        ),
        (
            "ERROR: syntax error at or near \"x\"",
            "pause misconfigured: the insert into `public.deep_link_events` is not",
        ),
    ] {
        // Amazon would say so long after somebody has mended it, so it is asked under a new name first.
        assert!(after(&[failed(error)])[0].starts_with("send POST "), "{error}");
        assert_eq!(after(&[failed(error), json!({"Status": "FINISHED"})]), ["delivered"; 2]);
        let twice = after(&[failed(error), failed(error)])[0].clone();
        assert!(twice.starts_with(expect), "{error}: {twice}");
    }
    let (unfilled, finished) =
        (failed("ERROR: Cannot insert a NULL value into column tenant"), json!({"Status": "FINISHED"}));
    assert_eq!(after(&[unfilled.clone(), finished]), ["delivered"; 2]);
    let twice = after(&[unfilled.clone(), unfilled])[0].clone();
    let expect =
        "pause misconfigured: table `public.deep_link_events` wants something in column `tenant`, which nothing fills";
    assert!(twice.starts_with(expect), "{twice}");
    for error in ["ERROR: Nobody has thought of this", "ERROR: Odd value 'permission denied: column does not exist'"] {
        let expect = format!("split, alone: retry server_error after 600000 ms: {error}");
        assert_eq!(after(&[failed(error)]), [expect], "an event cannot say what a failure is taken for");
    }
    for error in [
        "ERROR: Cannot insert a NULL value into column campaign",
        "ERROR: Value too long for character type",
        "ERROR: Numeric data overflow (result precision)",
    ] {
        assert_eq!(after(&[failed(error)]), [format!("split, alone: reject refused: {error}")]);
    }
}

#[test]
fn what_failed_for_want_of_luck_is_handed_over_once_more_under_another_name() {
    let unlucky = failed("ERROR: 1023 DETAIL: Serializable isolation violation on table");
    assert_eq!(after(std::slice::from_ref(&unlucky)), ["send POST https://redshift-data.eu-west-1.amazonaws.com/"]);
    assert_eq!(after(&[unlucky.clone(), json!({"Status": "FINISHED"})]), ["delivered"; 2]);
    let given_up = "retry server_error after 600000 ms: ERROR: 1023 DETAIL: Serializable isolation violation on table";
    assert_eq!(after(&[unlucky.clone(), unlucky]), [given_up; 2]);
}

/// The statements that are planned when the table is described like this.
fn planned(status: u16, description: &Value) -> Result<Vec<String>, String> {
    let actions = outlet().plan(&MEANS, &[reply(status, &[], description.to_string())])?;
    let statement = |action: Action| match action.call {
        Call::Http(call) => serde_json::from_slice::<Value>(&call.body).unwrap()["Sql"].as_str().unwrap().to_owned(),
        call => panic!("{call:?}"),
    };
    Ok(actions.into_iter().map(statement).collect())
}

#[test]
fn a_table_is_made_or_gets_what_it_lacks_or_is_left_alone() {
    for (status, nothing) in [(200, json!({"ColumnList": []})), (400, json!({"__type": "ResourceNotFoundException"}))] {
        let created = planned(status, &nothing).unwrap();
        let expect = "CREATE TABLE IF NOT EXISTS \"public\".\"deep_link_events\" (\"event_id\" varchar(256) NOT NULL, ";
        assert!(created.len() == 1 && created[0].starts_with(expect), "{created:?}");
        assert!(created[0].ends_with("\"data\" varchar(65535) NOT NULL) SORTKEY (\"occurred_at\")"), "{created:?}");
    }
    let layout = Layout::read_for(&fixture("redshift").default, Manner { time: with_zone, whole: &DATA }).unwrap();
    let all: Vec<_> = layout.names.iter().map(|name| json!({"name": name})).collect();
    assert_eq!(planned(200, &json!({"ColumnList": all})), Ok(Vec::new()));
    assert_eq!(
        planned(200, &json!({"ColumnList": all[1..]})).unwrap(),
        ["ALTER TABLE \"public\".\"deep_link_events\" ADD COLUMN \"event_id\" varchar(256)"]
    );
    let refusal = planned(400, &json!({"__type": "AccessDeniedException", "message": "no"}));
    assert_eq!(refusal, Err("Redshift says: no".to_owned()));
}

#[test]
fn a_serverless_workgroup_and_a_cluster_are_not_the_same() {
    let with = |changed: Value| {
        let mut settings = fixture("redshift").default;
        settings.0.extend(changed.as_object().unwrap().clone());
        Redshift.open(&settings).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(
        with(json!({"cluster": "main"})).starts_with("setting `workgroup` and `cluster` are two kinds of Redshift")
    );
    let mut settings = fixture("redshift").default;
    settings.0.remove("workgroup");
    settings.0.insert("cluster".to_owned(), "main".into());
    assert!(Redshift.open(&settings).err().unwrap().to_string().contains("needs `db_user` or `secret_arn`"));
    assert!(with(json!({"region": "eu-west-1.evil.example/"})).contains("is not the name of a region"));
}
