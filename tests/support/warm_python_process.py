"""A Python that has imported the large libraries and runs programs in copies of itself.

    warm_python_process.py DESCRIPTOR LIBRARY ...

Every message on the socket is one program: its arguments as Python's own, its environment and its
folder as JSON, with the descriptors of its output, its errors, and where its number and then its
exit status are written. Of the project nothing is imported before a copy has its environment.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any, NoReturn


def serve(control: socket.socket) -> None:
    """Run what is asked for, until nobody can ask any more."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            _reap(0)
            return
        if os.fork() == 0:
            control.close()
            out, err, status = descriptors
            if _in_a_copy(status):
                _end_as(json.loads(message), out, err)
        for descriptor in descriptors:
            os.close(descriptor)
        _reap(os.WNOHANG)


def _reap(options: int) -> None:
    """Take note of the copies that have ended, whose processor time is then this one's too."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _in_a_copy(status: int) -> bool:
    """True in a copy of this process, which itself writes how that one ended, and is done."""
    copy = os.fork()
    if copy == 0:
        os.close(status)
        return True
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3, status):
        os.dup2(null, descriptor)
    os.write(status, f"{copy}\n".encode())
    _, ended = os.waitpid(copy, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _end_as(program: dict[str, Any], out: int, err: int) -> NoReturn:
    """End this process with a program's exit status, and without taking all of Python apart."""
    status: Any = 0
    try:
        run(program, out, err)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def run(program: dict[str, Any], out: int, err: int) -> None:
    """Become a program in a session of its own."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(program["environment"])
    os.chdir(program["folder"])
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    option, text, *arguments = program["arguments"]
    sys.argv = [option, *arguments]
    if option == "-m":
        runpy.run_module(text, run_name="__main__", alter_sys=True)
    else:
        exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    sys.path[0] = ""  # the folder that a program runs in, as Python itself has it
    for library in sys.argv[2:]:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # or every copy would write into what it shares
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # libraries complain of what is frozen
