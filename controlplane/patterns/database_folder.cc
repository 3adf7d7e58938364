#include "controlplane/patterns/database_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "common/unique_fd.h"
#include "controlplane/patterns/compiler_process.h"
#include "controlplane/patterns/order_format.h"

namespace sluice::patterns {
namespace {

constexpr std::string_view kEnding = ".db";
constexpr std::string_view kUnfinished = ".new";

struct Header {
    std::uint64_t magic = 0x3142445054505453;
    std::uint64_t content = 0;
    std::uint64_t size = 0;
    std::uint64_t checksum = 0;
};

std::string name_of(std::uint64_t content) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(content));
    return std::string(digits) + std::string(kEnding);
}

std::uint64_t checksum_of(const std::vector<std::byte>& bytes) {
    return hash_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

UniqueFd open_folder(const std::string& folder) {
    return UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool is_ours(const struct stat& about) {
    return S_ISREG(about.st_mode) && (about.st_uid == geteuid() || about.st_uid == 0) &&
           (about.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

template <typename Call>
bool whole(std::size_t size, Call call) {
    for (std::size_t at = 0; at < size;) {
        const ssize_t moved = call(at, size - at);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return false;
        at += static_cast<std::size_t>(moved);
    }
    return true;
}

bool read_into(int file, void* to, std::size_t size, std::size_t from) {
    return whole(size, [&](std::size_t at, std::size_t left) {
        return pread(file, static_cast<char*>(to) + at, left, static_cast<off_t>(from + at));
    });
}

bool write_from(int file, const void* bytes, std::size_t size) {
    return whole(size, [&](std::size_t at, std::size_t left) {
        return write(file, static_cast<const char*>(bytes) + at, left);
    });
}

struct Kept {
    std::string name;
    std::uint64_t bytes = 0;
    timespec changed = {};
};

struct CloseFolder {
    void operator()(DIR* folder) const { closedir(folder); }
};

std::vector<Kept> files_of(int folder) {
    std::vector<Kept> files;
    const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseFolder> list(fdopendir(copy));
    if (!list) {
        if (copy >= 0)
            close(copy);
        return files;
    }
    while (const dirent* entry = readdir(list.get())) {
        const std::string_view name = entry->d_name;
        struct stat about {};
        if ((name.ends_with(kEnding) || name.ends_with(kUnfinished)) &&
            fstatat(folder, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0)
            files.push_back({.name = std::string(name),
                             .bytes = static_cast<std::uint64_t>(about.st_size),
                             .changed = about.st_mtim});
    }
    return files;
}

// The newest stay.
void drop_oldest(int folder) {
    std::vector<Kept> files = files_of(folder);
    std::sort(files.begin(), files.end(), [](const Kept& a, const Kept& b) {
        return a.changed.tv_sec != b.changed.tv_sec ? a.changed.tv_sec > b.changed.tv_sec
                                                    : a.changed.tv_nsec > b.changed.tv_nsec;
    });
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
        bytes += files[i].bytes;
        if (i >= kKeptDatabases || bytes > kKeptBytes)
            unlinkat(folder, files[i].name.c_str(), 0);
    }
}

}  // namespace

std::optional<Database> read_database(const std::string& folder, std::uint64_t content) {
    const UniqueFd place = open_folder(folder);
    const UniqueFd file(openat(place.get(), name_of(content).c_str(),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat about {};
    Header header;
    if (!place || !file || fstat(file.get(), &about) != 0 || !is_ours(about) ||
        !read_into(file.get(), &header, sizeof header, 0) || header.magic != Header{}.magic ||
        header.content != content || header.size > kLongestAnswer ||
        static_cast<std::uint64_t>(about.st_size) != sizeof header + header.size)
        return std::nullopt;
    Database database{.content = content, .bytes = std::vector<std::byte>(header.size)};
    if (!read_into(file.get(), database.bytes.data(), database.bytes.size(), sizeof header) ||
        checksum_of(database.bytes) != header.checksum)
        return std::nullopt;
    return database;
}

void keep_database(const std::string& folder, const Database& database) {
    mkdir(folder.c_str(), 0700);
    const UniqueFd place = open_folder(folder);
    if (!place)
        return;
    const std::string name = name_of(database.content);
    const std::string unfinished = name + std::string(kUnfinished);
    unlinkat(place.get(), unfinished.c_str(), 0);
    const UniqueFd file(openat(place.get(), unfinished.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file)
        return;
    const Header header{.content = database.content,
                        .size = database.bytes.size(),
                        .checksum = checksum_of(database.bytes)};
    if (!write_from(file.get(), &header, sizeof header) ||
        !write_from(file.get(), database.bytes.data(), database.bytes.size()) ||
        renameat(place.get(), unfinished.c_str(), place.get(), name.c_str()) != 0)
        unlinkat(place.get(), unfinished.c_str(), 0);
    drop_oldest(place.get());
}

}  // namespace sluice::patterns
