"""``python -m simulator.host --voice FD``: one instance, as its parent starts it."""

import argparse
import asyncio
import sys

from simulator.host.instance import serve
from simulator.host.worker import end_now


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulator.host", description=__doc__)
    parser.add_argument(
        "--voice", type=int, required=True, help="descriptor to speak to the parent"
    )
    status = asyncio.run(_until_over(parser.parse_args().voice))
    sys.exit(status)


async def _until_over(descriptor: int) -> int:
    status = await serve(descriptor)
    end_now(status)  # what still runs is lost with its worker, and nobody waits for it
    return status


main()
