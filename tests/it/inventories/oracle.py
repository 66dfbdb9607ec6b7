"""Runs `ansible-inventory --list` for one inventory after another, as its own process each, but loads the
program only once: it takes longer to start than to answer.

A line of JSON each in: the arguments. A line of JSON each out: what it printed, or null and why."""

import json
import os
import sys
import tempfile

from ansible.cli.inventory import InventoryCLI


def answer(arguments):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                InventoryCLI.cli_executor(["ansible-inventory", "--list", *arguments])
            except SystemExit as end:
                status = end.code or 0
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        if status != 0:
            return {"printed": None, "why": err.read()}
        return {"printed": json.load(out), "why": err.read()}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
