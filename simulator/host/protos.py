"""Stand-ins for the gRPC classes that indexing an app builds its answers from.

The worker library takes its message classes as a parameter. Only the classes below are touched
while an app is indexed; invocations go through the library's native entry and need none.
"""

from types import SimpleNamespace


class Record:
    """A message: whatever fields it was built with, as attributes."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


class StatusResult(Record):
    Failure = 0
    Success = 1


class BindingInfo(Record):
    """One binding of an indexed function; ``undefined`` is the absent data type."""

    undefined = 0
    out = 1
    inout = 2


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    FunctionLoadResponse=Record,
    FunctionMetadataResponse=Record,
    RpcException=Record,
    RpcFunctionMetadata=Record,
    RpcRetryOptions=Record,
    StatusResult=StatusResult,
    WorkerInitResponse=Record,
    WorkerMetadata=Record,
)
