"""``python -m tikhub_app.sandbox``: the sandbox without Django."""

from tikhub_app.sandbox.command_line import main

if __name__ == "__main__":
    main()
