"""`python -m medrecon` is `medrecon`."""

from medrecon.cli import main

if __name__ == "__main__":
    main()
