use bytes::Bytes;

use super::*;
use crate::event::{DedupeKey, TimeMark};
use crate::id::{AppspaceId, EventId, SourceId};
use crate::time::Timestamp;

fn event(body: impl Into<Vec<u8>>) -> EventValue {
    let at: Timestamp = "2026-03-04T14:32:08.441Z".parse().unwrap();
    let appspace = AppspaceId::mint(at, 1);
    let body = Bytes::from(body.into());
    let event = Event {
        id: EventId::mint(at, 7),
        appspace,
        source: SourceId::API,
        event_type: "link.clicked".parse().unwrap(),
        occurred_at: at,
        received_at: at,
        time_mark: TimeMark::Sender,
        dedupe_key: DedupeKey::of_body(SourceId::API, appspace, &body),
        body,
    };
    EventValue::new(&event, "tolinku")
}

fn sample() -> EventValue {
    event(
        r#"{"event":"link.clicked","timestamp":"2026-03-04T14:32:08.441Z","data":{"campaign":"a <b> & \"c\"","country":"US",
        "revenue":129.5,"cents":12950,"big":9007199254740993,"huge":18446744073709551615,"tags":["x","y"],"none":null,
        "zero":0,"ok":true,"user":{"name":"Ann"},"text_number":"7","match_confidence":0.92}}"#,
    )
}

fn holds(source: &str, expect: bool) {
    assert_eq!(Filter::compile(source).unwrap().evaluate(&sample()), Ok(expect), "{source}");
}

fn renders(source: &str, escape: Escape, expect: &str) {
    assert_eq!(Template::compile(source, escape).unwrap().render(&sample()).as_deref(), Ok(expect), "{source}");
}

/// Neither language takes it, and the message says this.
fn refused(source: &str, message: &str) {
    let error = Filter::compile(source).unwrap_err().to_string();
    assert!(error.contains(message), "{source}: {error}");
}

fn refused_in_text(source: &str, message: &str) {
    let error = Template::compile(source, Escape::None).unwrap_err().to_string();
    assert!(error.contains(message), "{source}: {error}");
}

#[test]
fn a_filter_sees_the_five_names() {
    holds("type == 'link.clicked'", true);
    holds("data.country in ['US', 'CA']", true);
    holds("timestamp == '2026-03-04T14:32:08.441Z'", true);
    holds("id is startingwith 'evt_' and source == 'tolinku'", true);
    refused(
        "country == 'US'",
        "`country` is not known here; use `type`, `data`, `timestamp`, `id`, `source`, like `data.country` (line 1, column 1)",
    );
}

#[test]
fn what_is_not_there_is_undefined_and_so_are_its_members() {
    holds("data.nope is undefined or data.nope >= 0.8", true);
    holds("data.match_confidence is undefined or data.match_confidence >= 0.8", true);
    holds("data.nope.deeper.still == 'x'", false);
    holds("data.nope", false);
    holds("data.country.nope is defined", false);
    let unreadable = Filter::compile("data.x is undefined").unwrap().evaluate(&event("{\"x\":"));
    assert!(unreadable.unwrap_err().to_string().starts_with("the body cannot be read"));
}

#[test]
fn truth_is_jinjas() {
    for (source, expect) in
        [("data.zero", false), ("data.none", false), ("data.ok", true), ("data.tags", true), ("''", false)]
    {
        holds(source, expect);
    }
}

#[test]
fn numbers_keep_their_precision() {
    holds("data.big == 9007199254740993", true);
    holds("data.big == 9007199254740992", false);
    renders(
        "{{ data.big }} {{ data.huge }} {{ data.revenue }}",
        Escape::None,
        "9007199254740993 18446744073709551615 129.5",
    );
    renders("{{ data.big }} {{ data.cents / 100 }} {{ data.cents / 10 }}", Escape::Json, "9007199254740993 129.5 1295");
}

#[test]
fn a_text_may_branch_and_is_escaped_for_its_place() {
    let source = "{% if data.country == 'US' %}hi {{ data.campaign }}{% elif data.ok %}a{% else %}b{% endif %}";
    renders(source, Escape::None, "hi a <b> & \"c\"");
    renders(source, Escape::Html, "hi a &lt;b&gt; &amp; &quot;c&quot;");
    renders(source, Escape::Slack, "hi a &lt;b&gt; &amp; \"c\"");
    renders("/?c={{ data.campaign }}", Escape::Url, "/?c=a%20%3Cb%3E%20%26%20%22c%22");
    renders(r#"{"c":{{ data.campaign }},"n":{{ data.nope }}}"#, Escape::Json, r#"{"c":"a <b> & \"c\"","n":null}"#);
    renders("[{{ data.nope }}{{ data.none }}]", Escape::None, "[]");
    renders("{% raw %}{{ type }}{% endraw %}{# note #}*{{ type }}*", Escape::Slack, "{{ type }}*link.clicked*");
}

#[test]
fn a_value_that_people_read_begins_no_line_and_turns_nothing_around() {
    let value =
        event(r#"{"data":{"campaign":"spring\r\n*ADMIN*:\tpay\u2028now\u202e\u0001\u2066\u200f!","list":["a\nb"]}}"#);
    let rendered = |escape| {
        let source = "first\n{{ data.campaign }}\nlast {{ data.list[0] }}";
        Template::compile(source, escape).unwrap().render(&value).unwrap()
    };
    assert_eq!(rendered(Escape::Line), "first\nspring *ADMIN*: pay now!\nlast a b");
    assert_eq!(rendered(Escape::Slack), "first\nspring *ADMIN*: pay now!\nlast a b");
    assert_eq!(rendered(Escape::Markdown), "first\nspring \\*ADMIN\\*: pay now!\nlast a b");
    assert_eq!(rendered(Escape::None).lines().count(), 5, "as it came");
}

#[test]
fn a_body_without_data_is_data_itself() {
    let value = event(r#"{"kind":"install","app":{"id":7}}"#);
    assert_eq!(Filter::compile("data.app.id == 7").unwrap().evaluate(&value), Ok(true));
}

#[test]
fn the_filters_do_what_they_say() {
    renders("{{ data.country | lower }}{{ data.tags | join('+') }}{{ data.tags | last }}", Escape::None, "usx+yy");
    renders("{{ data.nope | default('-') }}{{ 'a,b' | split(',') | first }}", Escape::None, "-a");
    renders("{{ 'a.b' | replace('.', '/') }}{{ 'a/b' | urlencode }}", Escape::None, "a/ba%2Fb");
    renders("{{ data.revenue | round }} {{ 1.005 | round(1) }} {{ 7 | round }}", Escape::None, "130.0 1.0 7");
    renders("{{ data.user | tojson }}", Escape::None, r#"{"name":"Ann"}"#);
    renders("{{ data.text_number | float * 100 }} {{ (data.cents | int + 50) * 2 }}", Escape::None, "700.0 26000");
}

/// Chains of one link: how they begin, what is repeated, how they end.
const CHAINS: [(&str, &str, &str); 15] = [
    ("", "-", "1"),
    ("", "not ", "data"),
    ("data", ".a", ""),
    ("data", "[0]", ""),
    ("data", "|lower", ""),
    ("1", "-1", ""),
    ("1", " or 1", ""),
    ("1", "**1", ""),
    ("data", " is defined", ""),
    ("1", " if 1", ""),
    ("1", " if 1 else 1", ""),
    ("", "[", "1"),
    ("", "{1:", "1"),
    ("data", "[data", ""),
    ("data", "|default(data", ""),
];

#[test]
fn an_expression_that_goes_down_without_end_is_refused_before_anything_goes_down() {
    for (start, link, end) in CHAINS {
        let deep = format!("{start}{}{end}", link.repeat((SOURCE_BYTES_MAX - 20) / link.len()));
        assert!(Filter::compile(&deep).is_err(), "{link}");
        assert_eq!(Expression::sole_in(&format!("{{{{ {deep} }}}}")), None, "{link}");
        let page = format!("{{{{ {start}{}{end} }}}}", link.repeat((PAGE_BYTES_MAX - 20) / link.len()));
        assert!(Template::compile_page(&page, Escape::Html).is_err(), "{link}");
    }
    let branches = format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(5_000));
    assert!(Template::compile_page(&branches, Escape::Html).is_err());
    let blocks = "{% if 1 %}".repeat(6_000);
    assert!(Template::compile_page(&blocks, Escape::Html).is_err());
}

#[test]
fn the_deepest_that_is_taken_fits_into_a_small_stack() {
    let compile = || {
        for (start, link, end) in CHAINS {
            let taken = (1..=200).rev().find(|&count| {
                let source = format!("{start}{}{end}", link.repeat(count));
                Filter::compile(&source).map(|filter| filter.evaluate(&sample())).is_ok()
            });
            let is_closed = link.matches(['[', '{', '(']).count() == link.matches([']', '}', ')']).count();
            let expect = is_closed.then_some(60);
            assert!(taken >= expect, "{link}: {taken:?}");
        }
        let brackets = format!("{}{}", "[".repeat(20), "]".repeat(20));
        assert!(Filter::compile(&brackets).is_ok());
        let blocks = format!("{}{}", "{% if 0 %}".repeat(20), "{% endif %}".repeat(20));
        assert_eq!(Template::compile(&blocks, Escape::None).unwrap().render(&sample()), Ok(String::new()));
        let branches = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(50));
        assert_eq!(Template::compile(&branches, Escape::None).unwrap().render(&sample()), Ok(String::new()));
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(compile).unwrap().join().unwrap();
}

#[test]
fn a_long_list_is_not_deep() {
    let countries = (0..400).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(",");
    assert!(Filter::compile(&format!("data.country in [{countries}]")).is_ok());
}

#[test]
fn what_could_grow_is_refused_before_it_runs() {
    refused("'a' * 1000000000", "`*` takes numbers only");
    refused(
        "data.price * data.quantity",
        "`*` takes numbers only; write `data.price | float * 100` (line 1, column 1)",
    );
    refused("(data.x | int('aaaa')) * 100000000", "`*` takes numbers only");
    refused("[1] * 100000000", "`*` takes numbers only");
    refused("(data.a + data.b) * 9", "`*` takes numbers only");
    refused("range(1000000000)", "functions cannot be called");
    refused("data.x(1)", "functions cannot be called here");
    refused("data.x | map('upper')", "there is no filter `map`");
    refused("data.x is filter", "there is no test `filter`");
    refused("data.x[::-1]", "no step");
    refused(&vec!["data.x"; 18].join("~"), "more than 16 `~` and `+`");
    refused(&"(".repeat(3_000), "");
    refused(&"x".repeat(5_000), "longer than 4096 bytes");
    refused("", "");
}

#[test]
fn a_text_has_no_statement_but_if() {
    for word in ["for x in data", "set x = 1", "set x", "with x = 1", "filter upper", "autoescape true", "do data.x()"]
    {
        let word_only = word.split(' ').next().unwrap();
        let end = format!("{{% end{word_only} %}}");
        let source = if word.contains("do ") || word.contains('=') && word_only == "set" {
            format!("{{% {word} %}}")
        } else {
            format!("{{% {word} %}}x{end}")
        };
        refused_in_text(&source, &format!("`{word_only}` is not available here"));
    }
    for word in
        ["macro m()", "include 'x'", "import 'x' as y", "from 'x' import y", "block b", "extends 'x'", "call m()"]
    {
        refused_in_text(&format!("{{% {word} %}}"), "unknown statement");
    }
    refused_in_text("{{ type", "");
    refused_in_text("a\n{{ nope }}", "(line 2, column 4)");
}

#[test]
fn what_a_hostile_event_makes_large_is_an_error_and_not_memory() {
    let long = "a".repeat(200_000);
    let value = event(format!(r#"{{"data":{{"x":"{long}","quotes":"{}"}}}}"#, "\\\"".repeat(20_000)));
    let fails =
        |source: &str, escape| Template::compile(source, escape).unwrap().render(&value).unwrap_err().to_string();
    assert_eq!(fails("{{ data.x }}{{ data.x }}", Escape::None), "the text is longer than 256 KiB");
    for source in [
        "{{ data.x | replace('a', data.x) }}",
        "{{ data.x | replace('', data.x) }}",
        "{{ [data.x, data.x] | join(data.x) }}",
    ] {
        assert!(fails(source, Escape::None).starts_with("the text is longer than 256 KiB"), "{source}");
    }
    assert!(fails("{{ data.quotes | tojson | tojson | tojson | tojson | tojson }}", Escape::None).contains("256 KiB"));
    assert!(fails("{{ data.x | split('a') }}", Escape::None).contains("1000 parts"));
    assert!(fails("{{ data.x | urlencode ~ data.x | urlencode }}", Escape::Html).contains("256 KiB"));
}

#[test]
fn an_error_does_not_quote_the_event() {
    let value = event(r#"{"data":{"secret":9223372036854775807}}"#);
    let error = Filter::compile("data.secret ** 99").unwrap().evaluate(&value).unwrap_err().to_string();
    assert!(!error.contains("9223372036854775807"), "{error}");
}

#[test]
fn compiled_ones_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Filter>();
    shared::<Template>();
    shared::<EventValue>();
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    fn word() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "data",
            "type",
            ".",
            "x",
            "n",
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            ":",
            ",",
            "|",
            "is",
            "not",
            "and",
            "or",
            "in",
            "if",
            "else",
            "~",
            "+",
            "-",
            "*",
            "**",
            "/",
            "//",
            "%",
            "==",
            "<",
            "'a'",
            "''",
            "0",
            "1",
            "-1",
            "9223372036854775807",
            "1e308",
            "170141183460469231731687303715884105727",
            "round",
            "int",
            "float",
            "abs",
            "length",
            "last",
            "first",
            "split",
            "join",
            "replace",
            "default",
            "tojson",
            "string",
            "title",
            "none",
            "true",
            "odd",
            "divisibleby",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_source_panics(words in proptest::collection::vec(word(), 1..24), spaced in any::<bool>()) {
            let source = words.join(if spaced { " " } else { "" });
            let value = event(r#"{"data":{"x":"aé","n":-9223372036854775808,"f":1.7e308,"l":[1,[],{}]}}"#);
            if let Ok(filter) = Filter::compile(&source) {
                let _ = filter.evaluate(&value);
            }
            if let Ok(template) = Template::compile(&format!("{{{{{source}}}}}"), Escape::Json) {
                let _ = template.render(&value);
            }
        }

        #[test]
        fn no_text_panics(source in ".{0,80}") {
            let _ = Filter::compile(&source);
            let _ = Template::compile(&source, Escape::Html).map(|template| template.render(&sample()));
        }
    }
}
