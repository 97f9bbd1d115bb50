"""Run the command with ``python -m valkey_vector.command_line``."""

from valkey_vector.command_line.entry import main

if __name__ == "__main__":
    main()
