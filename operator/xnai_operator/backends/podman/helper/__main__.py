"""The loop of the helper: requests on standard input, replies on standard output, until the input closes."""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from xnai_operator.backends.podman.helper import mounts, network, processes, protocol, syscalls
from xnai_operator.backends.podman.helper.protocol import A, Operation, R

STACK_BYTES = 512 << 10
"""A thread's, of which the default is 8 MiB."""

Handler = tuple[Operation[Any, Any], Callable[[Any], Any]]


def _handler(operation: Operation[R, A], function: Callable[[R], A]) -> Handler:
    """Takes only a function of the operation's own request and answer."""
    return operation, function


HANDLERS: dict[str, Handler] = {
    operation.name: (operation, function)
    for operation, function in (
        _handler(protocol.PREPARE, mounts.prepare),
        _handler(protocol.RESIZE, mounts.resize),
        _handler(protocol.REMOVE, mounts.remove),
        _handler(protocol.COPY, mounts.copy),
        _handler(protocol.ROOM, mounts.room),
        _handler(protocol.LIST_DIRECTORY, mounts.list_directory),
        _handler(protocol.OWNERS, mounts.owners),
        _handler(protocol.CONTAINER_MOUNTS, mounts.container_mounts),
        _handler(protocol.MEMORY, processes.memory),
        _handler(protocol.BIND_CPUS, processes.bind_cpus),
        _handler(protocol.END_EXEC, processes.end_exec),
        _handler(protocol.PROBE, network.probe),
        _handler(protocol.ALLOW_INGRESS, network.allow_ingress),
    )
}


def reply(message: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request. A failure is told, whatever it is: the next request must find the helper alive."""
    try:
        _, function = HANDLERS[message["operation"]]
        return {"id": message["id"], "answer": function(message["request"])}
    except Exception as error:
        return {"id": message["id"], "error": str(error) or type(error).__name__}


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer until the requests end."""
    lock = threading.Lock()

    def answer(message: dict[str, Any]) -> None:
        line = json.dumps(reply(message))
        with lock:
            replies.write(f"{line}\n")
            replies.flush()

    for line in requests:
        message = json.loads(line)
        operation = HANDLERS.get(message["operation"])
        if operation is not None and operation[0].beside:
            # The operator has one probe (or its end) and one copy at a time for a pod: no more threads than pods.
            threading.Thread(target=answer, args=(message,), daemon=True).start()
        else:
            answer(message)


def main() -> None:
    """Leave the parent and serve: `podman unshare` waits for its child, and takes 43 MiB meanwhile."""
    if os.fork():
        os._exit(0)
    syscalls.use_one_malloc_arena()
    threading.stack_size(STACK_BYTES)
    sys.stdout.write(json.dumps({"pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    serve(sys.stdin, sys.stdout)
    os._exit(0)  # a probe or a copy may still be under way, and nobody waits for its reply


if __name__ == "__main__":
    main()
