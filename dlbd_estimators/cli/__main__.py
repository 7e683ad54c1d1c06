"""Run the program ``dlbd`` by ``python -m dlbd_estimators.cli``."""

from __future__ import annotations

from dlbd_estimators.cli.program import main

if __name__ == "__main__":
    main(prog_name="dlbd")
