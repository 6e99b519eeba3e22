"""Reads the report of one iperf3 run: prints Gbit/s each way, as received, and the retransmitted
segments of the senders; fails when the report has an error or a direction that moved nothing."""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    if "error" in report:
        sys.exit(f"iperf3: {report['error']}")
    end = report["end"]
    ways = [suffix for suffix in ("", "_bidir_reverse") if f"sum_sent{suffix}" in end]
    if not ways:
        sys.exit("iperf3: the report has no sums")
    if report["start"]["test_start"].get("bidir") and len(ways) != 2:
        sys.exit("iperf3: the report has only one direction")
    rates, retransmits = [], 0
    for way in ways:
        sent, received = end[f"sum_sent{way}"], end[f"sum_received{way}"]
        if sent["bytes"] <= 0 or received["bytes"] <= 0:
            sys.exit(f"iperf3: nothing moved: {sent} {received}")
        rates.append(f"{received['bits_per_second'] / 1e9:.2f}")
        retransmits += sent.get("retransmits", 0)
    print(f"{'+'.join(rates)} Gbit/s {retransmits} retr")


main()
