"""``python -m longdwm_env.cli``: the ``longdwm`` command where it is not on the path."""

import sys

from longdwm_env.cli import main

if __name__ == "__main__":
    sys.exit(main())
