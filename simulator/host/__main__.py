"""``python -m simulator.host --voice FD``: one instance, as its parent starts it."""

import argparse
import asyncio

from simulator.host.instance import serve
from simulator.host.worker import end_now


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulator.host", description=__doc__)
    parser.add_argument(
        "--voice", type=int, required=True, help="descriptor to speak to the parent"
    )
    descriptor = parser.parse_args().voice
    with asyncio.Runner() as runner:
        try:
            status = runner.run(serve(descriptor))
        except SystemExit as exited:  # the app's own: its worker is gone, with all that ran
            status = exited.code if isinstance(exited.code, int) else 1
        end_now(status)  # nothing is cancelled or awaited: a killed worker does neither


main()
