// `ipfw replay`: a capture through the production engine, offline.
//
//     ipfw replay --rules RULES [--env ENV] --packets FILE.pcap [--meta META.csv] [--workers N]
//                 [--verdicts OUT.csv] [--log OUT.txt] [--show OUT.txt] [--dynamic OUT.txt]
//
// The same language, compiler, classifier and engine as the daemons; no DPDK, no daemon, no root.
#pragma once

namespace sluice::replay {

// `arguments` without the word `replay`. Returns the exit status (sysexits).
int run(int argument_count, char** arguments);

}  // namespace sluice::replay
