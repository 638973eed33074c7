"""An application of Celery whose broker is SQS. Tasks say what they do on standard output."""
import os
import time
from urllib.parse import urlparse

from celery import Celery
from celery.exceptions import Reject

where = urlparse(os.environ["STORY_ENDPOINT"])
app = Celery("celery_app", broker=f"sqs://any:key@{where.hostname}:{where.port}")
app.conf.update(
    broker_transport_options={"region": "us-east-1", "is_secure": False, "visibility_timeout": 4,
                              "wait_time_seconds": 2, "polling_interval": 0.1},
    broker_connection_retry_on_startup=True, task_acks_late=True, worker_prefetch_multiplier=1,
    task_default_queue="tasks", worker_hijack_root_logger=False, worker_redirect_stdouts=False)


def say(*words):
    print("said:", *words, flush=True)


@app.task
def add(a, b):
    say("add", a + b)


@app.task(bind=True, default_retry_delay=1, max_retries=2)
def flaky(self):
    say("flaky", self.request.retries)
    if self.request.retries < 2:
        raise self.retry()


refused = []


@app.task
def given_back():
    say("given_back", len(refused))
    if not refused:
        refused.append(1)
        raise Reject("not now", requeue=True)


@app.task
def dropped():
    say("dropped")
    raise Reject("never", requeue=False)


@app.task
def long(name):
    say("long", name)
    time.sleep(60 if os.environ["STORY_WORKER"] == "first" else 0)
    say("long done", name)
