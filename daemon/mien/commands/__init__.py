"""One module a command of `mien`; each has `add(subcommands)` for its arguments and `run(args)`."""
