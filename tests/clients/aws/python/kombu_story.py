"""What kombu does with queues of SQS: kombu_story.py http://HOST:PORT"""
import sys
from urllib.parse import urlparse

import boto3
import kombu
from kombu.transport.SQS import UndefinedQueueException

where = urlparse(sys.argv[1])
url = f"sqs://any:key@{where.hostname}:{where.port}"
options = {"region": "us-east-1", "is_secure": False, "visibility_timeout": 2, "wait_time_seconds": 5,
           "queue_name_prefix": "story-"}


sqs = boto3.client("sqs", endpoint_url=sys.argv[1], region_name="us-east-1",
                   aws_access_key_id="any", aws_secret_access_key="key")


def take(queue):
    return queue.get(block=True, timeout=20)


def left(name):
    """How many messages a queue has, with those in flight."""
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    said = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(said["ApproximateNumberOfMessages"]) + int(said["ApproximateNumberOfMessagesNotVisible"])


with kombu.Connection(url, transport_options=options) as conn:
    jobs = conn.SimpleQueue("jobs")
    jobs.put({"n": 1, "text": "grüße \U0001F600"})
    first = take(jobs)
    assert first.payload == {"n": 1, "text": "grüße \U0001F600"}, first.payload
    first.ack()

    # What is given back comes back; kombu sets its visibility to the time of a long poll.
    jobs.put({"n": 2})
    take(jobs).requeue()
    again = take(jobs)
    told = again.delivery_info["sqs_message"].get("Attributes", {})  # an old kombu does not ask for any
    assert again.payload == {"n": 2} and told.get("ApproximateReceiveCount", "2") == "2", again.delivery_info
    again.ack()

    # What is rejected is deleted. Before 5.7 kombu forgets it, and it comes back when its time is over.
    jobs.put({"n": 3})
    take(jobs).reject()
    if kombu.VERSION[:2] < (5, 7):
        back = take(jobs)
        assert back.payload == {"n": 3}, back.payload
        back.ack()
    assert left("story-jobs") == 0

    # Many; the size of a queue; a purge.
    for n in range(25):
        jobs.put({"n": n})
    assert jobs.qsize() == 25, jobs.qsize()
    got = [take(jobs) for _ in range(12)]
    assert sorted(m.payload["n"] for m in got) == list(range(12)), got
    for message in got:
        message.ack()
    jobs.clear()
    jobs.close()

# What a consumer held that went away comes back when its time is over.
with kombu.Connection(url, transport_options=options) as conn:
    held = conn.SimpleQueue("held")
    held.put("held")
    take(held)
with kombu.Connection(url, transport_options=options) as conn:
    held = conn.SimpleQueue("held")
    back = take(held)
    assert back.payload == "held", back.payload
    back.ack()

    # A topic exchange that kombu makes of queues.
    topic = kombu.Exchange("events", type="topic")
    bound = kombu.Queue("bound", topic, routing_key="a.*")
    with conn.channel() as channel:
        bound(channel).declare()
        kombu.Producer(channel, topic).publish("routed", routing_key="a.b")
        with kombu.Consumer(channel, [bound], callbacks=[lambda body, m: (seen.append(body), m.ack())]):
            seen = []
            while not seen:
                conn.drain_events(timeout=20)
        assert seen == ["routed"], seen

# Queues that others have made, by their URLs.
ours = sqs.create_queue(QueueName="ours")["QueueUrl"]
fixed = {"region": "us-east-1", "is_secure": False, "wait_time_seconds": 5, "predefined_queues": {
    "ours": {"url": ours, "access_key_id": "any", "secret_access_key": "key"}}}
with kombu.Connection(url, transport_options=fixed) as conn:
    queue = conn.SimpleQueue("ours")
    queue.put("predefined")
    message = take(queue)
    assert message.payload == "predefined", message.payload
    message.ack()
    try:
        conn.SimpleQueue("theirs").put("x")
        raise AssertionError("a queue that is not defined was found")
    except UndefinedQueueException:
        pass
assert left("ours") == 0
