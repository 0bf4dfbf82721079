"""``python -m benchmarks.gradbench.make_cases [EVAL ...]``: compute the expected outputs by JAX, for ``cases/``."""

import importlib
import json
import sys
from typing import Any

from .inputs import NAMES, SIZES, inputs
from .judge import CASES, digest_of_inputs, kept


def main(names: list[str]) -> None:
    """Write one file per size: whole outputs for the tiny cases, digests for the others."""
    for size in SIZES:
        path = CASES / f"{size}.json"
        cases: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        cases.update({name: made(name, size) for name in names})
        lines = [f' "{name}": {json.dumps(cases[name])}' for name in NAMES if name in cases]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def made(name: str, size: str) -> dict[str, Any]:
    """The outputs of one eval, as they are kept."""
    judge: Any = importlib.import_module("benchmarks.gradbench.jax_jit")
    given = inputs(name, size)
    prepared = getattr(judge, f"{name}_prepare")(given)
    results = {part: getattr(judge, f"{name}_{part}")(prepared) for part in ("primal", "derivative")}
    return {
        "inputs": digest_of_inputs(given),
        **{part: kept(result, whole=size == "tiny") for part, result in results.items()},
    }


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
