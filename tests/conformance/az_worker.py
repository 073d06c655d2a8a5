"""Runs az commands in one process, inside az's own environment: JSON lines in, JSON lines out.

Where az would sleep, the simulated clock moves by as much instead. Nothing else of az is touched.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
import urllib.request

CONTROL = os.environ["SIM_CONTROL"]


def _sleep(seconds: float) -> None:
    body = json.dumps({"advance": seconds}).encode()
    asked = urllib.request.Request(f"{CONTROL}/_sim/clock", data=body, method="POST")
    asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        answer.read()


def main() -> None:
    from azure.cli.core import get_default_cli

    time.sleep = _sleep
    answers = os.fdopen(os.dup(1), "w")  # what az prints by itself must not come between
    os.dup2(2, 1)
    for line in sys.stdin:
        args = json.loads(line)
        out, err = io.StringIO(), io.StringIO()
        told = logging.StreamHandler(err)
        told.setLevel(logging.ERROR)
        logging.getLogger("cli").addHandler(told)
        try:
            code = get_default_cli().invoke([*args, "-o", "json"], out_file=out)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Exception as broken:  # noqa: BLE001 - an az that breaks is an answer too
            code, _ = 99, err.write(repr(broken))
        finally:
            logging.getLogger("cli").removeHandler(told)
        answers.write(json.dumps({"exit": code, "out": out.getvalue(), "err": err.getvalue()}))
        answers.write("\n")
        answers.flush()


if __name__ == "__main__":
    main()
