"""`python -m tests.mutation [PROCESSES]` prints the whole run and keeps it in record.json."""

import sys
import warnings

from tests.mutation.whole_run import whole_run, write_record

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run = whole_run(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    write_record(run)
    print(run)
