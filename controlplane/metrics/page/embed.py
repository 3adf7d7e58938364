"""embed.py OUTPUT FILE...: a C++ source with the contents of the files, for page.h."""

import sys
from pathlib import Path

output, *files = map(Path, sys.argv[1:])
lines = ['#include "controlplane/metrics/page.h"', "", "namespace sluice::metrics {", "namespace {", ""]
table = []
for number, path in enumerate(files):
    octets = path.read_bytes()
    lines.append(f"constexpr char kFile{number}[] = {{")
    for start in range(0, len(octets), 20):
        # Bytes above 127 do not fit into a char everywhere.
        lines.append("    " + " ".join(f"'\\x{octet:02x}'," for octet in octets[start:start + 20]))
    lines.append("};\n")
    table.append(f'    {{"/{path.name}", {{kFile{number}, sizeof kFile{number}}}}},')
lines += ["constexpr PageFile kFiles[] = {", *table, "};", "", "}  // namespace", "",
          "std::span<const PageFile> page_files() {", "    return kFiles;", "}", "",
          "}  // namespace sluice::metrics"]
output.write_text("\n".join(lines) + "\n")
