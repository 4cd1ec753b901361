"""`python -m videossl.cli`."""

from videossl.cli import main

if __name__ == "__main__":  # processes that decode import this module too
    main()
