"""`python -I -S run_fork.py SOCKET ARGUMENTS`: `testlab-mcp ARGUMENTS` as a fork, for who starts servers by a command.

This process stands for the fork: signals reach it, its exit code is this one's, and it ends when this is killed.
"""

import json
import os
import signal
import socket
import sys

address, *arguments = sys.argv[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
    asked.connect(address)
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ), "numbers": [0, 1, 2]}
    socket.send_fds(asked, [json.dumps(request).encode()], [0, 1, 2])
    pid = int(asked.recv(100))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    for file in (0, 1, 2):  # whoever reads what the fork writes waits for the last that could
        os.close(file)
    code = int(asked.recv(100))
os._exit(code % 256)
