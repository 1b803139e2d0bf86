"""The command `nas`, also as `python -m nas`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def console_script() -> NoReturn:
    """The console script; an interrupt while its parts are loaded is no traceback either."""
    try:
        from nas.cli import main
    except KeyboardInterrupt:
        os.write(sys.stderr.fileno(), b"nas: interrupted\n")
        sys.exit(130)
    main()


if __name__ == "__main__":
    console_script()
