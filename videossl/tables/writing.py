"""Write what was found in a table, in the form that the name of the file asks for."""

from pathlib import Path

import pandas as pd

from videossl.errors import UsageError
from videossl.files import replacing

SUFFIXES = (".csv", ".parquet", ".json")


def check_suffix(out: Path | None) -> None:
    """Refuse a file of another kind before the work begins."""
    if out is not None and out.suffix not in SUFFIXES:
        raise UsageError(f"expected --out to end in {', '.join(SUFFIXES)}, got {out}.")


def write_found(found: pd.DataFrame, out: Path) -> None:
    """Write rows as CSV, Parquet or JSON (a list of objects), by the suffix of `out`."""
    check_suffix(out)
    with replacing(out) as temporary:
        if out.suffix == ".parquet":
            found.to_parquet(temporary, index=False)
        elif out.suffix == ".csv":
            found.to_csv(temporary, index=False)
        else:
            found.to_json(temporary, orient="records", indent=1, force_ascii=False)
