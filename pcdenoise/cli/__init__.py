"""The command line. Each command is a file with `add_arguments` and `run`; nothing heavy is imported before `run`."""
