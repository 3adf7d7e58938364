#include "common/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/unique_fd.h"

namespace sluice {

namespace {

constexpr std::size_t kReadSize = 64 * 1024;

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t maximum) {
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return Error{ExitStatus::usage, path + ": " + std::strerror(errno)};
    return read_all(file.get(), path, maximum);
}

Result<std::string> read_all(int fd, const std::string& name, std::size_t maximum) {
    std::string text;
    std::string buffer(kReadSize, '\0');
    for (;;) {
        const ssize_t n = read(fd, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return Error{ExitStatus::unavailable, name + ": " + std::strerror(errno)};
        if (n == 0)
            return text;
        text.append(buffer, 0, static_cast<std::size_t>(n));
        if (text.size() > maximum)
            return Error{ExitStatus::data,
                         name + " has more than " + std::to_string(maximum >> 20) + " MiB"};
    }
}

}  // namespace sluice
