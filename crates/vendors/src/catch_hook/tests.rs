use super::*;
use crate::faults::Faults;
use crate::probe;

fn post(tool: Tool, body: &Value) -> Request {
    Request::post(tool.path(), body)
}

#[test]
fn each_tool_thanks_in_its_own_way_over_http() {
    let thanks = [
        (Tool::Zapier, r#"{"status":"success","#),
        (Tool::Make, "Accepted"),
        (Tool::N8n, r#"{"message":"Workflow was started"}"#),
    ];
    for (tool, thanks) in thanks {
        let simulator = CatchHook::new(tool).start(Faults::none());
        let reply = probe::send(simulator.address(), &post(tool, &json!({ "id": "evt_1" }))).unwrap();
        assert!(reply.status == 200 && reply.body.starts_with(thanks), "{}", reply.body);
        assert!(simulator.hook_url().ends_with(tool.path()));
        simulator.book(|book| assert_eq!(book.stored_keys(), ["evt_1"]));
    }
}

#[test]
fn an_array_triggers_once_per_element_and_nesting_is_flagged() {
    let mut book = Book::default();
    let body = json!([{ "id": "a" }, { "id": "b", "data": { "c": 1 } }]);
    CatchHook::new(Tool::Zapier).answer(&post(Tool::Zapier, &body), &mut book);
    assert_eq!((book.stored_keys(), book.flagged.len()), (vec!["a", "b"], 1));
}

#[test]
fn a_hook_that_is_not_live_says_so_or_lies() {
    let cases = [
        (Tool::Zapier, State::SwitchedOff, 200, 1),
        (Tool::Zapier, State::Gone, 410, 0),
        (Tool::Zapier, State::Full, 429, 0),
        (Tool::Make, State::SwitchedOff, 400, 0),
        (Tool::Make, State::Gone, 410, 0),
        (Tool::Make, State::Full, 400, 0),
        (Tool::N8n, State::SwitchedOff, 404, 0),
        (Tool::N8n, State::Gone, 404, 0),
    ];
    for (tool, state, status, lost) in cases {
        let mut book = Book::default();
        let answer = CatchHook { tool, state }.answer(&post(tool, &json!({ "id": "a" })), &mut book);
        assert_eq!((answer.status, book.stored.len(), book.lost.len()), (status, 0, lost), "{tool:?} {state:?}");
    }
}
