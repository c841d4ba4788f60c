"""Services of AWS as `moto` mimics them, with signatures checked.

Usage: aws_moto.py FILE BUCKET; writes the access key and its secret to FILE, a line each, makes the bucket, then prints `port N`.

moto answers everyone until it has served so many requests; only then it looks at who asks. So the one user is made first, with a
right to everything, and from then on a wrong signature is refused as AWS refuses it.
"""

import sys
import threading

import boto3
import moto.settings
from moto.server import ThreadedMotoServer

FILE, BUCKET = sys.argv[1:3]
EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()


def client(service):
    return boto3.client(
        service,
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
    )


iam = client("iam")
iam.create_user(UserName="afterclick")
iam.put_user_policy(UserName="afterclick", PolicyName="everything", PolicyDocument=EVERYTHING)
key = iam.create_access_key(UserName="afterclick")["AccessKey"]
client("s3").create_bucket(Bucket=BUCKET)
moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0.0

with open(FILE, "w", encoding="utf-8") as file:
    file.write(f"{key['AccessKeyId']}\n{key['SecretAccessKey']}\n")
print(f"port {port}", flush=True)
threading.Event().wait()
"""The server's own thread does the rest."""
