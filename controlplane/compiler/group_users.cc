#include "controlplane/compiler/group_users.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>

namespace sluice::compiler {

namespace {

constexpr std::size_t kMaximumUsers = 100'000;
constexpr std::size_t kFirstLine = std::size_t{4} << 10;
constexpr std::size_t kLongestLine = std::size_t{16} << 20;

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

// The files are read as such and no directory service is asked: a daemon that waits for one keeps
// everybody waiting. `read` is fgetpwent_r or fgetgrent_r; a machine without the file has no
// entries.
template <typename Entry, typename Read, typename Use>
Result<Done> for_each_entry(const std::string& path, Read read, Use use) {
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
    if (file == nullptr && errno == ENOENT)
        return Done{};
    if (file == nullptr)
        return Error{ExitStatus::os, path + " cannot be read: " + std::strerror(errno)};
    std::vector<char> line(kFirstLine);
    for (;;) {
        const long begin = std::ftell(file.get());
        Entry entry{};
        Entry* found = nullptr;
        const int problem = read(file.get(), &entry, line.data(), line.size(), &found);
        if (problem == ERANGE && line.size() < kLongestLine) {
            line.resize(line.size() * 2);
            std::fseek(file.get(), begin, SEEK_SET);
        } else if (problem == ENOENT) {
            return Done{};
        } else if (problem != 0) {
            return Error{ExitStatus::os, path + " cannot be read: " + std::strerror(problem)};
        } else {
            use(entry);
        }
    }
}

}  // namespace

Result<std::vector<std::uint32_t>> users_of_group(std::uint32_t group, const UserFiles& files) {
    std::set<std::string> members;
    auto read = for_each_entry<struct group>(files.groups, fgetgrent_r, [&](const auto& entry) {
        if (entry.gr_gid == group)
            for (char** name = entry.gr_mem; *name != nullptr; ++name)
                members.insert(*name);
    });
    if (!read)
        return read.error();
    std::vector<std::uint32_t> users;
    read = for_each_entry<passwd>(files.users, fgetpwent_r, [&](const auto& entry) {
        if (entry.pw_gid == group || members.contains(entry.pw_name))
            users.push_back(entry.pw_uid);
    });
    if (!read)
        return read.error();
    std::sort(users.begin(), users.end());
    users.erase(std::unique(users.begin(), users.end()), users.end());
    if (users.size() > kMaximumUsers)
        return Error{ExitStatus::unavailable,
                     "group " + std::to_string(group) + " has " + std::to_string(users.size()) +
                         " users; a rule takes at most " + std::to_string(kMaximumUsers)};
    return users;
}

}  // namespace sluice::compiler
