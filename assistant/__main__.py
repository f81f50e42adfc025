"""The command `assistant`, also as `python -m assistant`."""

from assistant.cli import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
