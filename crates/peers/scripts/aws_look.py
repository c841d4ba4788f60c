"""What AWS's own client finds in the services: one JSON object a line.

Usage: aws_look.py URL ACCESS_KEY SECRET_KEY objects BUCKET | statement ID
"""

import json
import sys

import boto3
from botocore.config import Config

URL, ACCESS_KEY, SECRET_KEY, WHAT, *ARGUMENTS = sys.argv[1:]


def client(service):
    return boto3.client(
        service,
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}) if service == "s3" else None,
    )


def objects(bucket):
    s3 = client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            found = s3.get_object(Bucket=bucket, Key=entry["Key"])
            yield {
                "key": entry["Key"],
                "content_type": found["ContentType"],
                "content_encoding": found.get("ContentEncoding"),
                "body": list(found["Body"].read()),
            }


def statement(identifier):
    found = client("redshift-data").describe_statement(Id=identifier)
    yield {
        "database": found["Database"],
        "sql": found["QueryString"],
        "parameters": [(entry["name"], entry["value"]) for entry in found.get("QueryParameters") or []],
    }


for line in {"objects": objects, "statement": statement}[WHAT](*ARGUMENTS):
    print(json.dumps(line))
