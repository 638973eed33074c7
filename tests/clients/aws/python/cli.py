"""Runs the AWS CLI, for the Go tests beside it: a line on standard input has the arguments of a command as a
list, and its answer is a line {"code": ..., "stdout": ..., "stderr": ...}.

Each command is a process of its own, made by fork when the CLI and what AWS has are loaded: that takes longer
than all the rest. It is the interpreter, and so the version of the CLI, with which this script is run.
"""
import json
import os
import sys
import tempfile

from awscli.clidriver import create_clidriver

driver = create_clidriver()
for service in ("sqs", "sns", "sts"):
    driver.session.get_service_model(service)


def run(args):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code = driver.main(args)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "stdout": out.read().decode(), "stderr": err.read().decode()}


for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
