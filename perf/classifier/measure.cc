#include "perf/classifier/measure.h"

#include <malloc.h>
#include <time.h>

#include <cstdio>

namespace sluice::perf {

double thread_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::size_t heap_bytes() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

std::size_t peak_bytes() {
    std::size_t kilobytes = 0;
    if (FILE* file = std::fopen("/proc/self/status", "r")) {
        char line[256];
        while (std::fgets(line, sizeof line, file) != nullptr)
            if (std::sscanf(line, "VmHWM: %zu", &kilobytes) == 1)
                break;
        std::fclose(file);
    }
    return kilobytes * 1024;
}

void forget_peak() {
    if (FILE* file = std::fopen("/proc/self/clear_refs", "w")) {
        std::fputs("5", file);
        std::fclose(file);
    }
}

}  // namespace sluice::perf
