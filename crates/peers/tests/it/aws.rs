use std::process::Command;

use peers::{Aws, home, http};

/// Runs lines of Python with `client(service)`, AWS's own client, signing with `secret`. Gives what was printed.
fn python(server: &Aws, secret: &str, lines: &str) -> String {
    let program = format!(
        "import boto3, botocore
def client(service):
    return boto3.client(service, endpoint_url='{}', region_name='{}', aws_access_key_id='{}', aws_secret_access_key='{secret}')
try:
    {lines}
except botocore.exceptions.ClientError as error:
    print(error.response['Error']['Code'])
",
        server.url(),
        Aws::REGION,
        server.access_key()
    );
    let output = Command::new(home().join("venv/bin/python")).args(["-c", &program]).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

const PUT: &str =
    "client('s3').put_object(Bucket='events', Key='day=1/a b.jsonl', Body=bytes([0, 255]), ContentType='x/y')";

#[test]
fn an_object_goes_in_and_comes_out() {
    let Some(server) = Aws::start() else { return };
    assert_eq!(python(&server, server.secret_key(), PUT), "");
    let [object] = &server.objects().unwrap()[..] else { panic!("one object") };
    assert_eq!((object.key.as_str(), object.content_type.as_str()), ("day=1/a b.jsonl", "x/y"));
    assert_eq!(object.body, [0, 255]);
}

#[test]
fn whoever_signs_wrongly_or_not_at_all_is_refused() {
    let Some(server) = Aws::start() else { return };
    assert_eq!(python(&server, "wrong", PUT), "SignatureDoesNotMatch\n");
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    assert!(http::request("PUT", port, "/events/a", &[], b"x").unwrap().status >= 400);
    assert_eq!(server.objects().unwrap(), []);
}

#[test]
fn a_statement_for_redshift_is_remembered() {
    let Some(server) = Aws::start() else { return };
    let ask =
        "print(client('redshift-data').execute_statement(Sql='SELECT :n', Database='events', WorkgroupName='work',
        Parameters=[{'name': 'n', 'value': '7'}])['Id'])";
    let id = python(&server, server.secret_key(), ask);
    let statement = server.statement(id.trim_end()).unwrap();
    assert_eq!((statement.sql.as_str(), statement.database.as_str()), ("SELECT :n", "events"));
    assert_eq!(statement.parameters, [("n".to_owned(), "7".to_owned())]);
}
