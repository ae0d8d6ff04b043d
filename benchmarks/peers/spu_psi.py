"""One party of SecretFlow SPU's PSI, CSV to CSV, run by benchmarks/psi.py with the peer's own interpreter.

python spu_psi.py RANK PORT_A PORT_B PROTOCOL INPUT.csv OUTPUT.csv    (prints seconds and rows found as JSON)
"""

import json
import sys
import time

import spu.libspu as libspu
import spu.psi as psi


def main() -> None:
    rank, port_a, port_b, protocol, source, target = sys.argv[1:]
    link = libspu.link
    desc = link.Desc()
    desc.add_party("a", f"127.0.0.1:{port_a}")
    desc.add_party("b", f"127.0.0.1:{port_b}")
    context = link.create_brpc(desc, int(rank))
    kind = getattr(psi.PsiProtocol, f"PROTOCOL_{protocol.upper()}")
    csv = psi.SourceType.SOURCE_TYPE_FILE_CSV
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=kind,
            receiver_rank=0,
            broadcast_result=True,
            bucket_size=1 << 24,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        input_params=psi.InputParams(type=csv, path=source, selected_keys=["customer"], keys_unique=True),
        output_params=psi.OutputParams(type=csv, path=target),
    )
    since = time.perf_counter()
    report = psi.psi_execute(config, context)
    seconds = time.perf_counter() - since
    print(json.dumps({"seconds": seconds, "found": report.intersection_count}))
    context.stop_link()


main()
