"""``longdwm serve-policy``: answer evaluations elsewhere."""

import signal
from pathlib import Path

LAST_ANSWER_S = 5.0
"""How long a server that is to end waits for the policy's answer under way."""


def serve_policy(policy: str, host: str = "127.0.0.1", port: int = 8765, token_file: Path | None = None) -> int:
    """Serve a policy over a websocket; evaluations name it ws://HOST:PORT. Stops with Ctrl-C.

    Args:
        policy: name of the policy, as for ``longdwm evaluate --policy``.
        host: address to listen on. Any but loopback needs a token.
        port: 0 picks a free one.
        token_file: file whose first line clients must present; else the environment variable LONGDWM_POLICY_TOKEN.
    """
    from longdwm_env.cli.drives.serve import first_line
    from longdwm_env.cli.extras import need

    need("longdwm serve-policy", "remote", "websockets")
    import os
    import sys
    import threading

    from longdwm_env.agents.remote.client import TOKEN_VARIABLE
    from longdwm_env.agents.remote.server import start_server
    from longdwm_env.errors import InvalidConfig

    token = os.environ.get(TOKEN_VARIABLE)
    if token_file is not None:
        token = first_line(token_file)
        if not token:
            raise InvalidConfig(f"the token file {token_file} is empty")
    server = start_server(policy, host, port, token)
    address, opened = server.socket.getsockname()[:2]
    print(f"serving {policy} at ws://{address}:{opened}", flush=True)
    try:
        server.serve_forever()
    finally:
        ending = threading.Thread(target=server.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_ANSWER_S)
        if ending.is_alive():
            # A thread that a policy holds cannot be ended, and the interpreter would wait for it for ever.
            print(f"longdwm serve-policy: the policy gave no answer for {LAST_ANSWER_S:g} s; left", file=sys.stderr)
            sys.stderr.flush()
            os._exit(128 + signal.SIGINT)
    return 0
