"""A process that has imported NeMo once and forks a training program for each request.

What runs in the fork is the program itself, ``voice_pipeline.training.nemo.program.run``, with its own files for
stdout and stderr; only the seconds of NeMo's import are shared. One request a line, as JSON, on stdin:
``{"spec", "stdout", "stderr", "env", "orphan"}`` answers the process number; ``{"wait": pid}`` the exit code.
With ``"code"`` in place of ``"spec"`` it is a piece of a test that runs there.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import Any


def _run(request: dict[str, Any]) -> None:
    code = 99
    try:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            target = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(target, descriptor)
        os.environ.update(request.get("env", {}))
        if "code" in request:
            exec(request["code"], {})
            code = 0
        else:
            from voice_pipeline.training.nemo.program import run

            code = run([request["spec"]])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    if request.get("orphan"):
        # The trainer's parent is this short-lived process; the exit code goes to a file instead of to wait().
        child = os.fork()
        if child == 0:
            _run(request)
        time.sleep(request["orphan"])
        os._exit(0)
    _run(request)
    raise AssertionError("not reached")


def main() -> None:
    from voice_pipeline.training.nemo.runtime import import_nemo

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_nemo()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
        else:
            print(_start(request), file=answers, flush=True)


if __name__ == "__main__":
    main()
