#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/cli/cli.h"
#include "controlplane/cli/follow_command.h"
#include "controlplane/cli/top_command.h"
#include "replay/replay.h"

int main(int argc, char** argv) {
    // It needs no daemon, and prints as it goes, as those below do.
    if (argc > 1 && std::string_view(argv[1]) == "replay")
        return sluice::replay::run(argc - 2, argv + 2);
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    if (sluice::cli::is_follow_command(words))
        return static_cast<int>(sluice::cli::run_follow_command(words));
    if (sluice::cli::is_top_command(words))
        return static_cast<int>(sluice::cli::run_top_command(words));
    const sluice::cli::Output output = sluice::cli::execute(words);
    std::fwrite(output.err.data(), 1, output.err.size(), stderr);
    const bool written =
        std::fwrite(output.out.data(), 1, output.out.size(), stdout) == output.out.size() &&
        std::fflush(stdout) == 0;
    const bool fine =
        output.status == sluice::ExitStatus::ok || output.status == sluice::ExitStatus::found;
    if (!written && fine) {
        std::perror("ipfw: standard output");
        return static_cast<int>(sluice::ExitStatus::os);
    }
    return static_cast<int>(output.status);
}
