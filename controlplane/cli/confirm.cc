#include "controlplane/cli/confirm.h"

#include <unistd.h>

#include <cctype>
#include <cstdio>

namespace sluice::cli {

bool confirmed() {
    for (;;) {
        std::fputs("Are you sure? [yn] ", stdout);
        std::fflush(stdout);
        const int first = std::getchar();
        for (int c = first; c != '\n' && c != EOF;)
            c = std::getchar();
        if (first == EOF) {
            std::fputc('\n', stdout);
            return false;
        }
        const int answer = std::tolower(first);
        if (answer == 'y' || answer == 'n')
            return answer == 'y';
    }
}

bool can_ask() {
    return isatty(STDIN_FILENO) == 1;
}

}  // namespace sluice::cli
