"""credstash as a library: fetch and put of one secret, with session, table and clients kept between calls."""

import itertools
from contextlib import redirect_stdout
from io import StringIO

import boto3
import credstash
import loop

dynamodb, kms = boto3.resource("dynamodb"), loop.note(boto3.client("kms"))
loop.note(dynamodb.meta.client)
key = kms.create_key()["KeyMetadata"]["Arn"]
with redirect_stdout(StringIO()):
    credstash.createDdbTable()
kept = {"dynamodb": dynamodb, "kms": kms, "context": {"user": "alice"}}
versions = itertools.count(1)


def put():
    credstash.putSecret("token", "t" * 1200, version=f"{next(versions):019}", kms_key=key, **kept)


def get():
    assert credstash.getSecret("token", **kept) == "t" * 1200  # noqa: S101 - a wrong answer is not a measurement


put()
loop.serve(get=get, put=put)
