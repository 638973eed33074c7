"""What boto3 does with a queue, from making it to deleting it."""
import sys

import boto3

sqs = boto3.client("sqs", endpoint_url=sys.argv[1], region_name="us-east-1",
                   aws_access_key_id="any", aws_secret_access_key="key")
queue = sqs.create_queue(QueueName="story", Attributes={"VisibilityTimeout": "30"}, tags={"a": "b"})["QueueUrl"]

body = "grüße \U0001F600\r\n"
sent = sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes={
    "bytes": {"DataType": "Binary", "BinaryValue": b"\0\1"}, "number": {"DataType": "Number", "StringValue": "3"}})
got = sqs.receive_message(QueueUrl=queue, AttributeNames=["All"], MessageAttributeNames=["All"], WaitTimeSeconds=5)["Messages"][0]
assert got["Body"] == body and got["MessageAttributes"]["bytes"]["BinaryValue"] == b"\0\1", got
assert got["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"], (sent, got)
sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
again = sqs.receive_message(QueueUrl=queue, AttributeNames=["All"], WaitTimeSeconds=5)["Messages"][0]
assert again["Attributes"]["ApproximateReceiveCount"] == "2", again
sqs.delete_message(QueueUrl=queue, ReceiptHandle=got["ReceiptHandle"])

batch = sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(10)])
assert len(batch["Successful"]) == 10 and "Failed" not in batch, batch
got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
assert [m["Body"] for m in got] == [str(i) for i in range(10)], got
done = sqs.delete_message_batch(QueueUrl=queue, Entries=[
    {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(got)])
assert len(done["Successful"]) == 10 and "Failed" not in done, done
assert "Messages" not in sqs.receive_message(QueueUrl=queue)

try:
    sqs.get_queue_url(QueueName="missing")
    raise AssertionError("a queue that is not there was found")
except sqs.exceptions.QueueDoesNotExist as e:
    assert e.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue", e.response
    # Before 1.28 it speaks the query protocol, which has one code.
    assert e.response["Error"].get("QueryErrorCode", "QueueDoesNotExist") == "QueueDoesNotExist", e.response

sts = boto3.client("sts", endpoint_url=sys.argv[1], region_name="us-east-1",
                   aws_access_key_id="any", aws_secret_access_key="key")
assert sts.get_caller_identity()["Account"] == "000000000000"
sqs.delete_queue(QueueUrl=queue)
