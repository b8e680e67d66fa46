"""List runs, by their folders alone: python src/status.py outputs/ [--watch] [--json]."""

from firstorder.cli.watching import main

if __name__ == "__main__":
    main()
