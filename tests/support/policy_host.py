"""
A replacement for the official engine's language host for Python: it starts the folder of a policy pack.

The host from the Go modules is older and cannot start a pack. As a script, this file prints its port, as a host does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

NAME = "pulumi-language-python"


class PolicyHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The calls of the engine before and at the start of a pack. The names are from the protocol."""

    def Handshake(  # noqa: N802
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: object, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:  # noqa: N802
        return plugin_pb2.PluginInfo(version="3.274.1")

    def RunPlugin(  # noqa: N802
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        command = ["python3", "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory]
        variables = dict(one.split("=", 1) for one in request.env)
        with subprocess.Popen(command, cwd=request.pwd, env=variables, stdout=subprocess.PIPE) as process:
            context.add_callback(process.kill)
            for line in process.stdout or ():
                yield language_pb2.RunPluginResponse(stdout=line)
        yield language_pb2.RunPluginResponse(exitcode=process.returncode)


def write(folder: Path) -> None:
    """Write the command of the host into a folder."""
    script = folder / NAME
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__)} "$@"\n', encoding="utf-8")
    script.chmod(0o755)


def main() -> None:
    """Serve until the engine ends this process."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(PolicyHost(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
