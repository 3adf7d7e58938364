#include "controlplane/service/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/unique_fd.h"

namespace sluice::service {

void notify_ready() {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path == nullptr || std::strlen(path) >= sizeof address.sun_path)
        return;
    std::memcpy(address.sun_path, path, std::strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    constexpr std::string_view kMessage = "READY=1";
    const auto length = offsetof(sockaddr_un, sun_path) + std::strlen(path);
    // Nobody there to complain to if it fails; systemd notices by its own time-out.
    [[maybe_unused]] const ssize_t sent =
        sendto(fd.get(), kMessage.data(), kMessage.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length));
}

}  // namespace sluice::service
