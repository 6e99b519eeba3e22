"""Reads a trace with Perfetto's own descriptors: python3 trace.py TRACE.

No field is unknown, every slice has an end within its track, times go forward, flows begin before
they end, and names are interned before their use.
"""

import sys
from collections import Counter

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as perfetto


def unknown(message, path):
    """The unknown fields of a message and of the messages in it."""
    for field in UnknownFieldSet(message):
        yield f"{path}: field {field.field_number}"
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        for one in [value] if not hasattr(value, "add") else value:
            yield from unknown(one, f"{path}.{descriptor.name}")


def main():
    trace = perfetto.Trace()
    with open(sys.argv[1], "rb") as file:
        trace.ParseFromString(file.read())
    event = perfetto.TrackEvent
    names, threads, counters = {}, {}, set()
    open_slices, times, flows, seen = {}, Counter(), set(), Counter()
    problems = []
    for at, packet in enumerate(trace.packet):
        problems += unknown(packet, f"packet {at}")
        sequence = packet.trusted_packet_sequence_id
        if packet.sequence_flags & 1:
            names[sequence] = {}
        interned = packet.interned_data
        for entry in interned.event_names:
            names[sequence][entry.iid] = entry.name
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            if track.HasField("thread"):
                threads[sequence] = track.thread
            if track.HasField("counter"):
                counters.add(track.uuid)
        if not packet.HasField("track_event"):
            continue
        one = packet.track_event
        seen[event.Type.Name(one.type)] += 1
        if packet.timestamp < times[sequence]:
            problems.append(f"packet {at}: the time goes back")
        times[sequence] = packet.timestamp
        if one.name_iid:
            name = names[sequence].get(one.name_iid)
            if name is None:
                problems.append(f"packet {at}: name {one.name_iid} is not interned")
            seen[name.split(" ")[0] if name and name.startswith("session") else name] += 1
        depth = open_slices.setdefault(sequence, [])
        if one.type == event.TYPE_SLICE_BEGIN:
            depth.append(one.name_iid)
        elif one.type == event.TYPE_SLICE_END:
            if not depth:
                problems.append(f"packet {at}: an end without a begin")
            else:
                depth.pop()
        elif one.type == event.TYPE_COUNTER and one.track_uuid not in counters:
            problems.append(f"packet {at}: a counter without a track")
        flows.update(one.flow_ids)
        for flow in one.terminating_flow_ids:
            if flow not in flows:
                problems.append(f"packet {at}: flow {flow} ends before it begins")
    problems += [f"sequence {one}: an open slice" for one, depth in open_slices.items() if depth]
    if len({thread.tid for thread in threads.values()}) != len(threads) or not threads:
        problems.append(f"the threads are not told apart: {threads}")
    for name in ["turn", "session", "accept", "received", "TYPE_COUNTER"]:
        if not seen[name]:
            problems.append(f"there is no {name}")
    if problems:
        sys.exit("\n".join(problems[:20]))
    print(f"{len(trace.packet)} packets of {len(threads)} lanes, {seen['session']} of sessions")


main()
