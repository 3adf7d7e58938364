#include "common/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "common/unique_fd.h"

namespace sluice {

namespace {

std::optional<std::uint64_t> number_in(const char* variable) {
    const char* text = std::getenv(variable);
    if (text == nullptr)
        return std::nullopt;
    std::uint64_t number = 0;
    const char* end = text + std::strlen(text);
    const auto [stopped, failure] = std::from_chars(text, end, number);
    return failure == std::errc() && stopped == end ? std::optional(number) : std::nullopt;
}

}  // namespace

void notify_service_manager(const char* state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
        std::strlen(path) >= sizeof address.sun_path)
        return;
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';  // the abstract name space
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    const UniqueFd descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    // Nobody there to complain to if it fails; systemd notices by its own time-out. And nobody to
    // wait for: a manager that does not read must not hold up the data plane.
    sendto(descriptor.get(), state, std::strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&address), length);
}

std::optional<std::chrono::microseconds> watchdog_period() {
    const auto process = number_in("WATCHDOG_PID");
    if (process && *process != static_cast<std::uint64_t>(getpid()))
        return std::nullopt;
    const auto period = number_in("WATCHDOG_USEC");
    if (!period || *period == 0 || *period > 86'400'000'000)
        return std::nullopt;
    return std::chrono::microseconds(*period);
}

}  // namespace sluice
