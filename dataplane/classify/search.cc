#include "dataplane/classify/search.h"

namespace sluice::classify {

bool is_available(InstructionSet set) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    switch (set) {
        case InstructionSet::portable:
            return true;
        case InstructionSet::avx2:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") &&
                   __builtin_cpu_supports("bmi");
        case InstructionSet::avx512:
            return is_available(InstructionSet::avx2) && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    }
#endif
    return set == InstructionSet::portable;
}

InstructionSet best_instruction_set() {
    for (const InstructionSet set : {InstructionSet::avx512, InstructionSet::avx2})
        if (is_available(set))
            return set;
    return InstructionSet::portable;
}

const char* name_of(InstructionSet set) {
    switch (set) {
        case InstructionSet::portable:
            return "portable";
        case InstructionSet::avx2:
            return "AVX2";
        case InstructionSet::avx512:
            return "AVX-512";
    }
    return "";
}

SearchFunction search_function(InstructionSet set) {
#if defined(__x86_64__)
    if (set == InstructionSet::avx512)
        return search_avx512;
    if (set == InstructionSet::avx2)
        return search_avx2;
#endif
    (void)set;
    return search_portable;
}

}  // namespace sluice::classify
