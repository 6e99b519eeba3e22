//! Every message about `[runtime]`, `[log]`, `[shutdown]` and unknown tables, to the letter.
//!
//! A case is what stands from line 3 on, and all the lines of its answer.

use super::{ECHO, wrong};

/// Tables other than listeners and upstreams: what stands on line 3, and what it gets.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "runtime.lanes = 0",
        &["3: runtime.lanes = 0: out of range; write 1 to 1024: one for each CPU is enough"],
    ),
    (
        "runtime.lanes = 1025",
        &["3: runtime.lanes = 1025: out of range; write 1 to 1024: one for each CPU is enough"],
    ),
    (
        "runtime.lanes = -99999999999999999999",
        &[
            "3: runtime.lanes = -99999999999999999999: out of range; write 1 to 1024: one for each \
             CPU is enough",
        ],
    ),
    (
        "runtime.lanes = \"many\"",
        &[
            "3: runtime.lanes = \"many\": not a number of lanes; write \"auto\", 1 to 1024, or a \
             list of CPU ids such as [0, 1]",
        ],
    ),
    (
        "runtime.lanes = 2.0",
        &[
            "3: runtime.lanes = 2.0: not a number of lanes; write \"auto\", 1 to 1024, or a list \
             of CPU ids such as [0, 1]",
        ],
    ),
    (
        "runtime.lanes = []",
        &["3: runtime.lanes = []: no CPU, so no lane; write at least one CPU id, or \"auto\""],
    ),
    (
        "runtime.lanes = [1,\n  1, 1024,\n  '2', -1]",
        &[
            "4: runtime.lanes[1] = 1: this CPU is on line 3 already; write another",
            "4: runtime.lanes[2] = 1024: out of range; write 0 to 1023: the CPUs that a thread can \
             be bound to",
            "5: runtime.lanes[3] = '2': not a whole number; write 0 to 1023, without quotes",
            "5: runtime.lanes[4] = -1: out of range; write 0 to 1023: the CPUs that a thread can \
             be bound to",
        ],
    ),
    (
        "runtime.pin = \"true\"",
        &[
            "3: runtime.pin = \"true\": not a boolean; write \"auto\", or true or false, without \
             quotes",
        ],
    ),
    (
        "runtime = { lanes = [0], pin = false }",
        &[
            "3: runtime.pin = false: runtime.lanes names the CPUs that lanes are bound to; write \
             true here, or a number of lanes there",
        ],
    ),
    (
        "runtime.poller = \"uring\"",
        &[
            "3: runtime.poller = \"uring\": not a poller; write \"auto\", \"io_uring\", \"epoll\", \
             \"kqueue\" or \"iocp\"",
        ],
    ),
    (
        "runtime.poller = \"EPOLL\"",
        &[
            "3: runtime.poller = \"EPOLL\": not a poller; write \"auto\", \"io_uring\", \"epoll\", \
             \"kqueue\" or \"iocp\"",
        ],
    ),
    (
        "runtime.idle_spin = 20",
        &[
            "3: runtime.idle_spin = 20: not a duration; write a number and a unit (ns, us, ms, s, \
             m, h, d), \"0s\" to \"1ms\"",
        ],
    ),
    (
        "runtime.idle_spin = \"20 us\"",
        &["3: runtime.idle_spin = \"20 us\": not a duration; write \"20us\""],
    ),
    (
        "runtime.idle_spin = \"1001us\"",
        &[
            "3: runtime.idle_spin = \"1001us\": out of range; write \"0s\" to \"1ms\": a longer \
             spin burns a core and saves nothing, a wake takes some 50us",
        ],
    ),
    (
        "runtime.max_sessions = 0",
        &[
            "3: runtime.max_sessions = 0: out of range; write 1 to 100000000: a session costs \
             memory and descriptors",
        ],
    ),
    (
        "runtime.max_sessions = 4_294_967_297",
        &[
            "3: runtime.max_sessions = 4_294_967_297: out of range; write 1 to 100000000: a \
             session costs memory and descriptors",
        ],
    ),
    (
        "runtime.max_sessions = []",
        &[
            "3: runtime.max_sessions = []: not a number of sessions; write \"auto\", or 1 to \
             100000000",
        ],
    ),
    (
        "runtime.high_mark = 65536",
        &[
            "3: runtime.high_mark = 65536: not a size; write a number and a unit (B, KiB, MiB, \
             GiB), \"40KiB\" to \"16MiB\"",
        ],
    ),
    (
        "runtime.high_mark = '64kB'",
        &[
            "3: runtime.high_mark = '64kB': KB, MB and GB count by 1000 to some and by 1024 to \
             others; write \"64KiB\"",
        ],
    ),
    (
        "runtime.high_mark = '40959B'",
        &[
            "3: runtime.high_mark = '40959B': out of range; write \"40KiB\" to \"16MiB\": less \
             stops a fast transfer at every turn, more lets one slow reader hold it all",
        ],
    ),
    (
        "runtime.high_mark = '99999999999999999999GiB'",
        &[
            "3: runtime.high_mark = '99999999999999999999GiB': out of range; write \"40KiB\" to \
             \"16MiB\": less stops a fast transfer at every turn, more lets one slow reader hold \
             it all",
        ],
    ),
    (
        "runtime = 1979-05-27",
        &["3: runtime = 1979-05-27: not a table; write [runtime]"],
    ),
    (
        "[runtime]\nlane = 1",
        &["4: runtime.lane = 1: unknown key; did you mean lanes?"],
    ),
    (
        "[runtime]\nthreads = [1]",
        &[
            "4: runtime.threads: unknown key; known here: lanes, pin, poller, idle_spin, \
             max_sessions, high_mark",
        ],
    ),
    (
        "[process]\nuser = 33\ngroup = '-g'\npid_file = 'corelane.pid'",
        &[
            "4: process.user = 33: not the name of an account; write \"off\", or 1 to 32 of a-z, \
             A-Z, 0-9, '_', '-' and '.', or the number, in quotes",
            "5: process.group = '-g': not the name of an account; write \"off\", or 1 to 32 of \
             a-z, A-Z, 0-9, '_', '-' and '.', or the number, in quotes",
            "6: process.pid_file = 'corelane.pid': not a path; write \"off\", or an absolute one, \
             in quotes",
        ],
    ),
    (
        "[control]\nsocket = 'c.sock'\nmode = '0800'\nread = 'www'\noperate = ['a b']\n\
         tcp = 'localhost:9100'",
        &[
            "4: control.socket = 'c.sock': not a path; write \"off\", or an absolute one, in \
             quotes",
            "5: control.mode = '0800': not a file mode; write octal digits, in quotes: \"0600\" or \
             \"0660\"",
            "6: control.read = 'www': not a list of accounts; write a list of names or numbers, \
             e.g. [\"monitoring\", \"1001\"]",
            "7: control.operate[0] = 'a b': not the name of an account; write 1 to 32 of a-z, \
             A-Z, 0-9, '_', '-' and '.', or the number, in quotes",
            "8: control.tcp = 'localhost:9100': host names are looked up for endpoints alone; \
             write \"127.0.0.1:9100\" or \"[::1]:9100\"",
        ],
    ),
    (
        "[dashboard]\nbind = 'localhost:9900'\ntoken_file = 'token'\ntoken = 'x'",
        &[
            "4: dashboard.bind = 'localhost:9900': host names are looked up for endpoints alone; \
             write \"127.0.0.1:9900\" or \"[::1]:9900\"",
            "5: dashboard.token_file = 'token': not a path; write \"off\", or an absolute one, \
             in quotes",
            "6: dashboard.token = 'x': unknown key; known here: bind, token_file",
        ],
    ),
    (
        "[sandbox]\nmode = true\nconnect_ports = [1, '9-8', '7 - x', 65536]",
        &[
            "4: sandbox.mode = true: not a mode; write \"on\", \"log\" or \"off\"",
            "5: sandbox.connect_ports[1] = '9-8': the range ends before it begins; write \"8-9\"",
            "5: sandbox.connect_ports[2] = '7 - x': not a port or a range; write \"any\", \
             \"configured\", a port, a range such as \"8000-8099\", or a list of them, [443, \
             \"8000-8099\"]",
            "5: sandbox.connect_ports[3] = 65536: out of range; write 0 to 65535: the ports that \
             TCP has",
        ],
    ),
    (
        "[sandbox]\nconnect_ports = false",
        &[
            "4: sandbox.connect_ports = false: not a list of ports; write \"any\", \
             \"configured\", a port, a range such as \"8000-8099\", or a list of them, [443, \
             \"8000-8099\"]",
        ],
    ),
    (
        "[log]\nlevel = 'information'\nformat = 'yaml'",
        &[
            "4: log.level = 'information': not a level; write \"error\", \"warn\", \"info\", \
             \"debug\" or \"trace\"",
            "5: log.format = 'yaml': not a format; write \"text\" or \"json\"",
        ],
    ),
    (
        "[log]\nlevel = 3",
        &[
            "4: log.level = 3: not a level; write \"error\", \"warn\", \"info\", \"debug\" or \
             \"trace\"",
        ],
    ),
    (
        "[shutdown]\ngrace = '1441m'",
        &[
            "4: shutdown.grace = '1441m': out of range; write \"0s\" to \"1d\": a drain that takes \
             longer than a day does not end by itself",
        ],
    ),
    (
        "[shutdown]\ngrace = '-1s'",
        &[
            "4: shutdown.grace = '-1s': not a duration; write a number and a unit (ns, us, ms, s, \
             m, h, d), \"0s\" to \"1d\"",
        ],
    ),
    (
        "[runtme]\nlanes = 0",
        &["3: runtme: unknown key; did you mean runtime?"],
    ),
    (
        "[tls]",
        &[
            "3: tls: unknown key; known here: runtime, process, control, dashboard, sandbox, \
             resolver, discovery, etcd, log, access_log, shutdown, upstream, listener",
        ],
    ),
    (
        "grace = '3s'",
        &[
            "3: grace = '3s': unknown key; known here: runtime, process, control, dashboard, \
             sandbox, resolver, discovery, etcd, log, access_log, shutdown, upstream, listener",
        ],
    ),
    (
        "[log.levels]\nx = 1",
        &["3: log.levels: unknown key; did you mean level?"],
    ),
    (
        "log.\"\\u001b[31m\\n\" = \"\\u001b\"",
        &[
            "3: log.\"\\u{1b}[31m\\n\" = \"\\u001b\": unknown key; known here: level, format, \
             target",
        ],
    ),
    (
        "log.\"\" = 1",
        &["3: log.\"\" = 1: unknown key; known here: level, format, target"],
    ),
    (
        "log.level = '''\u{202e}\n[31m'''",
        &[
            "3: log.level = '''\\u{202e}\\n[31m''': not a level; write \"error\", \"warn\", \
             \"info\", \"debug\" or \"trace\"",
        ],
    ),
];

#[test]
fn says_what_is_wrong_with_the_process_tables() {
    for (lines, expected) in REFUSED {
        assert_eq!(wrong(&format!("{ECHO}{lines}")), *expected, "{lines}");
    }
}
