"""Calls AWS with boto3, for the Go tests beside it, in the way that js/engine.js describes.

Where the server is says AWS_ENDPOINT_URL, which boto3 knows since 1.28.
"""
import base64
import json
import os
import sys

import boto3
import botocore.exceptions

clients = {
    service: boto3.client(service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1",
                          aws_access_key_id="any", aws_secret_access_key="key")
    for service in ("sqs", "sns", "sts")
}


def to_bytes(value):
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value


def from_bytes(value):
    return {"$bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)


def answer(service, action, input):
    client = clients[service]
    try:
        output = getattr(client, boto3.session.botocore.xform_name(action))(**input)
    except botocore.exceptions.ClientError as e:
        known = type(e) is not botocore.exceptions.ClientError
        return {"error": {"type": type(e).__name__ if known else "", "code": e.response["Error"]["Code"],
                          "message": e.response["Error"]["Message"]}}
    del output["ResponseMetadata"]
    return {"output": output}


for line in sys.stdin:
    print(json.dumps(answer(**json.loads(line, object_hook=to_bytes)), default=from_bytes), flush=True)
