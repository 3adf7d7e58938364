#include "common/local_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace sluice {

namespace {

constexpr mode_t kSocketMask = 0117;  // leaves 0660

Error socket_error(const LocalListenerSpec& spec, const char* what) {
    const int code = errno;
    std::string sentence =
        "the " + spec.what + " " + spec.path + " " + what + ": " + std::strerror(code);
    if (code == EACCES || code == EPERM)
        sentence += "; run as root, or set " + spec.setting +
                    " in the settings to a path in a folder of yours";
    return {ExitStatus::os, sentence};
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return address;
}

UniqueFd make_socket() {
    return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

Result<Done> remove_stale(const LocalListenerSpec& spec) {
    const std::string& path = spec.path;
    const std::string other = "set another " + spec.setting + " in the settings";
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0)
        return socket_error(spec, "cannot be made");
    if (!S_ISSOCK(status.st_mode))
        return Error{ExitStatus::unavailable,
                     path + " exists and is no socket; remove it, or " + other};
    const sockaddr_un address = address_of(path);
    const UniqueFd probe = make_socket();
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno == EAGAIN)
        return Error{ExitStatus::unavailable, "the " + spec.what + " " + path +
                                                  " is in use: another sluice-dataplane runs; "
                                                  "stop it, or " +
                                                  other};
    if (errno == EPROTOTYPE)
        return Error{ExitStatus::unavailable,
                     "the " + spec.what + " " + path + " is in use by another program; " + other};
    if (errno != ECONNREFUSED)
        return socket_error(spec, "exists, and whether it is in use cannot be told");
    if (unlink(path.c_str()) != 0)
        return socket_error(spec, "cannot be replaced");
    return Done{};
}

bool bind_to(int descriptor, const std::string& path) {
    const sockaddr_un address = address_of(path);
    const mode_t before = umask(kSocketMask);
    const int result =
        bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(before);
    return result == 0;
}

}  // namespace

Result<LocalListener> LocalListener::open(const LocalListenerSpec& spec) {
    const std::string& path = spec.path;
    // The usual folder, /run/sluice, is gone after each boot.
    if (const std::size_t slash = path.rfind('/'); slash != 0 && slash != path.npos)
        mkdir(path.substr(0, slash).c_str(), 0755);
    UniqueFd socket = make_socket();
    if (!socket)
        return socket_error(spec, "cannot be made");
    if (!bind_to(socket.get(), path)) {
        if (errno != EADDRINUSE)
            return socket_error(spec, "cannot be made");
        if (auto removed = remove_stale(spec); !removed)
            return removed.error();
        if (!bind_to(socket.get(), path))
            return socket_error(spec, "cannot be replaced");
    }
    LocalListener listener(path, std::move(socket));
    if (::listen(listener.descriptor(), spec.backlog) != 0)
        return socket_error(spec, "does not listen");
    return listener;
}

LocalListener::LocalListener(std::string path, UniqueFd descriptor)
    : path_(std::move(path)), descriptor_(std::move(descriptor)) {
    struct stat status {};
    if (lstat(path_.c_str(), &status) == 0)
        inode_ = status.st_ino;
}

LocalListener::~LocalListener() {
    struct stat status {};
    if (descriptor_ && lstat(path_.c_str(), &status) == 0 && S_ISSOCK(status.st_mode) &&
        status.st_ino == inode_)
        unlink(path_.c_str());
}

UniqueFd LocalListener::accept() const {
    return UniqueFd(accept4(descriptor_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

}  // namespace sluice
