"""`python -m sharpwave` is the command `sharpwave`."""

from sharpwave.commands.cli import main

if __name__ == "__main__":
    main()
