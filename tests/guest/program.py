"""What the service under test runs, given to `python3 -c`: it takes orders from a file and writes down what it did."""

import errno
import json
import os
import time


def write(**facts: object) -> None:
    with open("/diary/log", "a") as log:  # noqa: PTH123 - every import is memory of the small container
        log.write(json.dumps({"at": time.time(), **facts}) + "\n")


def used() -> int:
    found = os.statvfs("/scratch")
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def fill() -> None:
    """Write into the tmpfs until it is full."""
    written = 0
    with open("/scratch/file", "wb", buffering=0) as file:  # noqa: PTH123
        try:
            while True:
                written += file.write(bytes(1 << 16))
        except OSError as error:
            write(did="fill", written=written, error=errno.errorcode[error.errno or 0])


def hog() -> None:
    """Take memory until the kernel ends it."""
    write(did="hog", used=used())
    taken = []
    while True:
        taken.append(bytearray(b"x") * (1 << 20))


def take_orders() -> None:
    try:
        os.rename("/diary/order", "/diary/taken")  # noqa: PTH104
    except FileNotFoundError:
        time.sleep(0.1)
        return
    with open("/diary/taken") as order:  # noqa: PTH123
        for word in order.read().split():
            {"fill": fill, "hog": hog}[word]()


if __name__ == "__main__":
    write(did="start", used=used())
    while True:
        take_orders()
