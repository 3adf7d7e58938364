// The sysexits(3) that ipfw(8) answers with; see also the table in the manual page of ipfw.
#pragma once

namespace sluice {

enum class ExitStatus : int {
    ok = 0,
    found = 1,           // `diff` and `lint` have found something, as diff(1) says it
    usage = 64,          // the command is malformed: unknown word, missing word, wrong order
    data = 65,           // a word has a wrong value
    no_host = 68,        // a host name cannot be resolved
    unavailable = 69,    // refused by the appliance, target not there, not supported yet, no daemon
    software = 70,       // an invariant of ours is broken
    os = 71,             // fork, pipe, memory, kernel
    no_permission = 77,  // who asks may not ask for that
};

}  // namespace sluice
