#include "controlplane/cli/rule_source.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "common/read_file.h"
#include "common/unique_fd.h"

extern char** environ;

namespace sluice::cli {
namespace {

constexpr std::size_t kMaximumFileSize = std::size_t{64} << 20;

// The actions and their destruction.
struct SpawnActions {
    SpawnActions() { posix_spawn_file_actions_init(&actions); }
    ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
    posix_spawn_file_actions_t actions;
};

Result<Done> ended_well(pid_t child, const std::string& name) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return Error{ExitStatus::os, std::string("waitpid: ") + std::strerror(errno)};
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return Done{};
    return Error{
        ExitStatus::unavailable,
        "preprocessor " + name +
            (WIFEXITED(status) ? " exited with status " + std::to_string(WEXITSTATUS(status))
                               : " was ended by signal " + std::to_string(WTERMSIG(status)))};
}

// `preprocessor arguments…` with the file as its standard input.
Result<std::string> preprocessed(const language::FileCommand& file, int input) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return Error{ExitStatus::os, std::string("pipe: ") + std::strerror(errno)};
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);

    std::vector<char*> arguments;
    arguments.push_back(const_cast<char*>(file.preprocessor.c_str()));
    for (const std::string& argument : file.preprocessor_arguments)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);

    SpawnActions spawn;
    posix_spawn_file_actions_adddup2(&spawn.actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&spawn.actions, write_end.get(), STDOUT_FILENO);
    pid_t child = 0;
    const int failed = posix_spawnp(&child, file.preprocessor.c_str(), &spawn.actions, nullptr,
                                    arguments.data(), environ);
    if (failed != 0)
        return Error{ExitStatus::os, "cannot run the preprocessor " + file.preprocessor + ": " +
                                         std::strerror(failed)};
    write_end.reset();
    Result<std::string> text = read_all(read_end.get(), file.preprocessor, kMaximumFileSize);
    if (!text)
        kill(child, SIGTERM);  // it may wait for us to read on
    const Result<Done> ended = ended_well(child, file.preprocessor);
    if (text && !ended)
        return ended.error();
    return text;
}

}  // namespace

Result<std::string> read_rules(const language::FileCommand& file) {
    if (access(file.path.c_str(), R_OK) != 0)
        return Error{ExitStatus::usage, file.path + ": " + std::strerror(errno)};
    const UniqueFd input(open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!input)
        return Error{ExitStatus::unavailable, file.path + ": " + std::strerror(errno)};
    return file.preprocessor.empty() ? read_all(input.get(), file.path, kMaximumFileSize)
                                     : preprocessed(file, input.get());
}

}  // namespace sluice::cli
