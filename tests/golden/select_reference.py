"""Cut the reference values that tests need out of the full set: `python select_reference.py FULL_FOLDER`.

Copies arrays as they are, computes nothing. See README.md beside this file for where the numbers come from.
"""

import json
import sys
from pathlib import Path

import numpy as np

WANTED = {  # file -> (beginnings of case names, beginnings of keys, keys left out); an empty beginning takes all
    "multiview.npz": ([""], [""], ["pvc_arithmetic_official"]),  # what its README says not to imitate
    "adassl_ntxent.npz": ([""], [""], []),
    "adassl_latent.npz": ([""], [""], []),
    "adassl_model.npz": ([""], [""], []),
    "byol.npz": ([""], [""], []),
    "xclr.npz": ([""], [""], []),
    "factorcl_critics.npz": ([""], [""], []),
    "factorcl_composed.npz": ([""], [""], []),
}


def select(full: Path, out: Path) -> None:
    """Write the wanted part of every file of `full` into `out`."""
    for name, (case_starts, key_starts, left_out) in WANTED.items():
        with np.load(full / name, allow_pickle=False) as arrays:
            cases = [str(case) for case in arrays["cases"] if str(case).startswith(tuple(case_starts))]
            kept = {
                key: arrays[key]
                for key in arrays.files
                if "/" in key
                and key.split("/")[0] in cases
                and key.split("/")[1].startswith(tuple(key_starts))
                and not key.split("/")[1].startswith(tuple(left_out))
            }
            meta = json.loads(str(arrays["meta"]))
        meta["notes"] = {case: meta["notes"].get(case, "") for case in cases}
        np.savez_compressed(out / name, cases=np.array(cases), meta=np.array(json.dumps(meta)), **kept)
        print(f"{name}: {len(cases)} cases, {len(kept)} arrays, {(out / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python select_reference.py FULL_FOLDER")
    select(Path(sys.argv[1]), Path(__file__).parent)
