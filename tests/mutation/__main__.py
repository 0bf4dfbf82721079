"""`python -m tests.mutation [PROCESSES]` prints the whole run."""

import sys
import warnings

from tests.mutation.whole_run import whole_run

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(whole_run(int(sys.argv[1]) if len(sys.argv) > 1 else None))
