"""A Celery worker that runs tasks from SQS, is killed in one, and one that goes on: celery_story.py ENDPOINT"""
import os
import subprocess
import sys
import threading

os.environ.update(STORY_ENDPOINT=sys.argv[1], STORY_WORKER="none", AWS_DEFAULT_REGION="us-east-1")
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import celery_app as tasks  # noqa: E402


class Worker:
    """A worker is a process of its own; heard is what its tasks have said."""

    def __init__(self, name):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "solo", "--without-gossip",
             "--without-mingle", "--without-heartbeat", "-l", "warning"],
            cwd=here, env={**os.environ, "STORY_WORKER": name}, stdout=subprocess.PIPE, text=True)
        self.heard, self.news = [], threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            if line.startswith("said: "):
                with self.news:
                    self.heard.append(line[6:].strip())
                    self.news.notify_all()

    def await_all(self, *words, timeout=60):
        with self.news:
            if not self.news.wait_for(lambda: all(w in self.heard for w in words), timeout):
                raise AssertionError(f"heard {self.heard}, not all of {words}")


first, second = Worker("first"), None
try:
    for n in range(10):
        tasks.add.delay(n, 100)
    tasks.flaky.delay()
    tasks.given_back.delay()
    tasks.dropped.delay()
    tasks.add.apply_async((1, 1), countdown=2)
    first.await_all(*(f"add {n + 100}" for n in range(10)), "flaky 0", "flaky 1", "flaky 2", "given_back 0",
                    "given_back 1", "dropped", "add 2")
    tasks.long.delay("interrupted")
    first.await_all("long interrupted")
    first.process.kill()
    first.process.wait()
    second = Worker("second")
    second.await_all("long done interrupted")
    # What was acknowledged long before does not come back; a worker settles what it did last between two tasks.
    assert not [word for word in second.heard if word.startswith("add 10")], second.heard
finally:
    for worker in (first, second):
        if worker:
            worker.process.kill()
            worker.process.wait()
