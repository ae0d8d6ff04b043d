"""Both parties of OpenMined's PSI, run by benchmarks/psi.py with the peer's own interpreter.

python openmined_psi.py ROWS    (prints seconds and the number of common rows as JSON)

The library leaves the transport to its caller, so the messages are passed on in memory. The server's setup and the
client's request could run at the same time on two cores: the time is that of the longer one, and then the rest.
"""

import json
import sys
import time

import private_set_intersection.python as psi


def timed(function, *arguments):
    since = time.perf_counter()
    found = function(*arguments)
    return time.perf_counter() - since, found


def main() -> None:
    rows = int(sys.argv[1])
    first = 110_101_190_000_000_000
    ours = [str(first + i) for i in range(rows)]
    theirs = [str(first + rows // 2 + i) for i in range(rows)]
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup_s, setup = timed(server.CreateSetupMessage, 1e-9, rows, theirs, psi.DataStructure.GCS)
    request_s, request = timed(client.CreateRequest, ours)
    answer_s, answer = timed(server.ProcessRequest, request)
    found_s, found = timed(client.GetIntersection, setup, answer)
    seconds = max(setup_s, request_s) + answer_s + found_s
    print(json.dumps({"seconds": seconds, "cpu": setup_s + request_s + answer_s + found_s, "found": len(found)}))


main()
