"""`python -m srgan`."""

import sys

from srgan.cli.main import main

if __name__ == "__main__":  # a file may name this module where it names a class
    sys.exit(main())
