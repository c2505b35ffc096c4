"""`python -m convscope` is the command line."""

from convscope.cli.main import run

if __name__ == "__main__":
    run()
